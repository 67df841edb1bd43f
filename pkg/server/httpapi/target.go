package httpapi

import (
	"net/http"
	"strings"

	"github.com/latch-linux/latch/pkg/server/store"
)

// asked is what follows the account in a path.
type asked struct {
	store.Target
	noOTP, silent bool
}

// Which optional parts a call's path may have.
const (
	allowInstance = 1 << iota
	allowFlags
)

// target reads `[op/{op}][/i/{i}][/nootp][/silent]`, the flags in either order and each at most
// once. Anything else is an unknown path.
func target(r *http.Request, allow int) (asked, error) {
	var a asked
	rest := r.PathValue("rest")
	if rest == "" {
		if strings.HasSuffix(r.URL.Path, "/") {
			return asked{}, statusError(http.StatusNotFound)
		}
		return a, nil
	}
	parts := strings.Split(rest, "/")
	if len(parts) >= 2 && parts[0] == "op" && parts[1] != "" {
		a.OperationID, parts = parts[1], parts[2:]
	}
	if allow&allowInstance != 0 && len(parts) >= 2 && parts[0] == "i" && parts[1] != "" {
		a.InstanceID, parts = parts[1], parts[2:]
	}
	for _, flag := range parts {
		switch {
		case allow&allowFlags != 0 && flag == "nootp" && !a.noOTP:
			a.noOTP = true
		case allow&allowFlags != 0 && flag == "silent" && !a.silent:
			a.silent = true
		default:
			return asked{}, statusError(http.StatusNotFound)
		}
	}
	return a, nil
}
