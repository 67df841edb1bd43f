package installer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/installer"
)

// TestThirdPartyModules installs services of a Debian whose pam-auth-update put modules of others into common-auth, among
// them some that we do not know, and compares the result with what somebody read and approved.
func TestThirdPartyModules(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(stored, "third-party", "*"))
	if err != nil || len(dirs) < 9 {
		t.Fatalf("the stacks are %q, %v", dirs, err)
	}
	var got strings.Builder
	for _, dir := range dirs {
		s := unpack(t, machines["debian12"])
		for _, file := range []string{"common-auth", "common-account"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(s.PamDirs[0], file), string(text))
		}
		for _, service := range []string{"su", "sudo", "sshd"} {
			fmt.Fprintf(&got, "== %s %s\n", filepath.Base(dir), service)
			c, err := s.Plan(service, installer.Options{})
			if err != nil {
				fmt.Fprintf(&got, "%v\n", err)
			}
			got.WriteString(strings.ReplaceAll(c.Diff(), filepath.Dir(filepath.Dir(s.PamDirs[0])), ""))
			for _, note := range c.Notes {
				fmt.Fprintf(&got, "note: %s\n", note)
			}
		}
	}
	compare(t, filepath.Join(stored, "golden", "install", "third-party.txt"), got.String())
}

// TestOnePhaseIsEnough installs the phase that has a place where the other one has none; sshd needs the account phase, since
// a key passes by the auth phase.
func TestOnePhaseIsEnough(t *testing.T) {
	for service, says := range map[string]string{"door": "", "sshd": "a closed latch would not refuse"} {
		s, _ := one(t, "")
		write(t, filepath.Join(s.PamDirs[0], service), "auth requisite pam_unix.so\naccount include weird\n")
		write(t, filepath.Join(s.PamDirs[0], "weird"), "account [default=reset] pam_acme.so\naccount required pam_unix.so\n")
		c, err := s.Plan(service, installer.Options{})
		if says != "" {
			if !errors.Is(err, installer.ErrRefused) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v\n%s", service, err, c.Diff())
			}
			continue
		}
		if err != nil || strings.Count(c.Diff(), "pam_latch.so") != 1 || !strings.Contains(strings.Join(c.Notes, "\n"), "only the auth phase asks: no place for the account line") {
			t.Errorf("%s: %v\n%s%q", service, err, c.Diff(), c.Notes)
		}
	}
}

// TestDenyOnlyLine installs into a phase in which no other rule may return success: the line denies and lets nobody in.
func TestDenyOnlyLine(t *testing.T) {
	s, _ := one(t, "auth requisite pam_unix.so\naccount required pam_nologin.so\n")
	c, err := s.Plan("door", installer.Options{})
	if err != nil || !strings.Contains(c.Diff(), "+account    [success=ignore ignore=ignore default=bad] pam_latch.so\n") || !strings.Contains(c.Diff(), "+auth       required     pam_latch.so\n") {
		t.Errorf("%v\n%s", err, c.Diff())
	}
	apply(t, s, []installer.Change{c}, nil)
	if again, err := s.Plan("door", installer.Options{}); err != nil || !again.None() {
		t.Errorf("a second time: %v\n%s", err, again.Diff())
	}
}
