package doctor

import (
	"context"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/sshd"
)

// TestPenalties reads what `sshd -T` of OpenSSH 9.2 and 10.0 prints.
func TestPenalties(t *testing.T) {
	const byDefault = "persourcepenalties crash:90 authfail:5 noauth:1 grace-exceeded:10 refuseconnection:10 max:600 min:15"
	for settings, noted := range map[string]bool{
		"": false, // 9.2 knows none
		"persourcepenaltyexemptlist none\n" + byDefault:                                    true,
		"persourcepenaltyexemptlist 198.51.100.0/24\n" + byDefault:                         false,
		"persourcepenaltyexemptlist none\npersourcepenalties no":                           false,
		strings.Replace(byDefault, "authfail:5", "authfail:0", 1) + " overflow:permissive": false,
	} {
		e := examination{ctx: t.Context(), Machine: Machine{Run: func(context.Context, string, ...string) ([]byte, error) {
			return []byte("usepam yes\n" + settings + "\n"), nil
		}}}
		e.PAM.FindPrograms(e.ctx, e.Run, sshd.Files{Root: t.TempDir()})
		e.sshd()
		found := false
		for _, f := range e.findings {
			found = found || f.State == OK && strings.Contains(f.Text, "PerSourcePenalties")
		}
		if found != noted {
			t.Errorf("%q: noted %v", settings, found)
		}
	}
}
