package packages

import (
	"runtime"
	"slices"
)

var (
	kinds  = []string{"deb", "rpm"}
	arches = []string{runtime.GOARCH, other[runtime.GOARCH]} // the first is that of the machine

	other   = map[string]string{"amd64": "arm64", "arm64": "amd64"}
	rpmArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
)
var _ = slices.Sort[[]string]
