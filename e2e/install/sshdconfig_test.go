package install

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

const sshDir = "/etc/ssh"

// sshdCase is a configuration of sshd with the right answers, which pkg/setup/sshd is tested with too.
type sshdCase struct {
	dir  string
	want map[string]string
}

func sshdCases(t *testing.T) []sshdCase {
	t.Helper()
	root, err := fixture.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(root + "/pkg/setup/sshd/testdata/any/*/want")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var all []sshdCase
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := sshdCase{filepath.Dir(file), map[string]string{}}
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			what, right, _ := strings.Cut(line, " ")
			c.want[what] = right
		}
		all = append(all, c)
	}
	return all
}

// lay makes the case's files sshd's configuration, until the test ends.
func (c sshdCase) lay(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("tmpfs", sshDir, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(sshDir, 0); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.Command("cp", "-r", c.dir+sshDir+"/.", sshDir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	layHostKey(t)
}

// settings is what the real sshd says of its configuration.
func settings(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("/usr/sbin/sshd", "-T").CombinedOutput()
	if err != nil {
		t.Fatalf("sshd -T: %v %s", err, out)
	}
	return string(out)
}

// TestSSHDConfigurations installs on each configuration with a code: sshd itself says what is on file, and the installation
// is refused or not as it should be. A remedy that is a command is run as printed.
func TestSSHDConfigurations(t *testing.T) {
	before := tree(t)
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range sshdCases(t) {
		t.Run(filepath.Base(c.dir), func(t *testing.T) {
			c.lay(t)
			recorded, err := os.ReadFile(c.dir + "/sshd-T")
			if err != nil {
				t.Fatal(err)
			}
			effective := settings(t)
			for _, line := range strings.Split(strings.TrimSpace(string(recorded)), "\n") {
				if keyword, _, _ := strings.Cut(line, " "); !strings.Contains("\n"+effective, "\n"+line+"\n") && keyword != "authenticationmethods" {
					t.Errorf("this sshd does not say %q", line)
				}
			}
			out, errs, status := latch(t, nil, "install", "sshd", "--otp", "totp", "--dry-run")
			reason, refused := strings.CutPrefix(c.want["code"], "refused: ")
			switch {
			case refused && (status == 0 || !strings.Contains(errs, reason)):
				t.Errorf("%d %s, want %q", status, errs, reason)
			case !refused && status != 0:
				t.Errorf("%d %s", status, errs)
			case !refused && c.want["code"] != "nothing" && !strings.Contains(out, "+"+strings.ReplaceAll(c.want["code"], "; ", "\n+")+"\n"):
				t.Errorf("the diff has no %q:\n%s", c.want["code"], out)
			}
			if _, install := c.want["install"]; install {
				must(t, "install", "sshd", "--otp", "totp", "--yes")
				must(t, "uninstall", "sshd", "--yes")
			}
			if offers, works := c.want["remedy"]; works {
				followRemedy(t, errs, offers)
			}
		})
	}
	if err := os.RemoveAll("/run/sshd"); err != nil {
		t.Error(err)
	}
	same(t, "installing on many configurations", before)
}

// followRemedy runs the command that an error ends with, beside a running sshd, which then offers some methods, and installs.
func followRemedy(t *testing.T, errs, offers string) {
	t.Helper()
	s := sshd{address: freeAddress(t), log: filepath.Join(t.TempDir(), "log")}
	_, port, _ := net.SplitHostPort(s.address)
	s.run(t, "-p", port)
	await(t, func() bool { _, err := os.Stat("/run/sshd.pid"); return err == nil })
	_, remedy, _ := strings.Cut(strings.TrimSpace(errs), "first: ")
	remedy, _, _ = strings.Cut(remedy, "\n")
	s.rereads(t, func() {
		if out, err := exec.Command("sh", "-c", remedy).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", remedy, err, out)
		}
	})
	if set := settings(t); !strings.Contains(set, "kbdinteractiveauthentication yes") {
		t.Errorf("after %s\n%s", remedy, set)
	}
	if now := offered(t, s.address); now != offers {
		t.Errorf("after %s sshd offers %s, want %s", remedy, now, offers)
	}
	must(t, "install", "sshd", "--otp", "totp", "--yes")
	must(t, "uninstall", "sshd", "--yes")
}
