package packages

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// machine is a minimal Debian of a test's own, in which ana has a password and may use sudo.
type machine struct{ fixture.Debian }

func newMachine(t *testing.T) machine {
	t.Helper()
	d := fixture.NewDebian(t, bed.minimal, bed.scratch)
	d.MountDevices(t)
	m := machine{d}
	m.Write(t, "/etc/default/su", "FAIL_DELAY 0\n", 0o644) // refusing costs no time
	m.Write(t, "/etc/pam.d/common-auth", strings.Replace(m.read(t, "/etc/pam.d/common-auth"), "nullok", "nullok nodelay", 1), 0o644)
	m.Write(t, "/etc/sudoers.d/ana", "ana ALL=(ALL:ALL) ALL\nDefaults timestamp_timeout=0, passwd_tries=1\n", 0o440)
	d.AddUser(t, ana, anaID)
	return m
}

func (m machine) read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(m.Root + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (m machine) has(path string) bool {
	_, err := os.Lstat(m.Root + path)
	return err == nil
}

func (m machine) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.Command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// refused runs inside the machine what has to fail and say certain things.
func (m machine) refused(t *testing.T, args []string, says ...string) {
	t.Helper()
	out, err := m.Command(args...).CombinedOutput()
	if err == nil {
		t.Errorf("%v succeeded:\n%s", args, out)
	}
	for _, want := range says {
		if !strings.Contains(string(out), want) {
			t.Errorf("%v does not say %q:\n%s", args, want, out)
		}
	}
}

// logins are ways in that take ana's password: nobody becomes ana, and ana becomes root.
var logins = map[string][]string{
	"su":   {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "su", ana, "-c", "echo inside"},
	"sudo": {"setpriv", "--reuid=" + anaID, "--regid=" + anaID, "--clear-groups", "sudo", "-S", "echo", "inside"},
}

// letsIn expects that each of the logins lets ana in, or none.
func (m machine) letsIn(t *testing.T, when string, want bool) {
	t.Helper()
	for name, args := range logins {
		cmd := m.Command(args...)
		cmd.Stdin = strings.NewReader(fixture.Password + "\n")
		out, _ := cmd.CombinedOutput()
		if got := strings.Contains(string(out), "inside"); got != want {
			t.Errorf("%s: %s lets in: %v, want %v\n%s", when, name, got, want, out)
		}
	}
}

// asks expects that the latch decides.
func (m machine) asks(t *testing.T, when string) {
	t.Helper()
	m.letsIn(t, when+", open", true)
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	m.letsIn(t, when+", closed", false)
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
}

// connect writes the configuration and pairs ana.
func (m machine) connect(t *testing.T) {
	t.Helper()
	ca, err := os.ReadFile(bed.server.CA)
	if err != nil {
		t.Fatal(err)
	}
	m.Write(t, "/etc/latch/ca.pem", string(ca), 0o644)
	m.Write(t, "/etc/latch/latch.conf", bed.conf.Text(), 0o600)
	code, err := bed.server.Code(ana)
	if err != nil {
		t.Fatal(err)
	}
	m.must(t, "latch", "pair", code, "--user", ana)
}

// install makes login, su and sudo ask.
func (m machine) install(t *testing.T) { m.must(t, "latch", "install", "login", "su", "sudo", "--yes") }

// snapshot is everything below a directory: kind and mode, owner, and where a link leads or what the bytes add up to.
func (m machine) snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(m.Root+dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		what := fmt.Sprint(info.Mode(), " ", owner.Uid, ":", owner.Gid)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += " " + target
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %x", sha256.Sum256(text))
		}
		all[strings.TrimPrefix(path, m.Root)] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// same expects a directory as it was before. A path in except, and what lies below it, is not looked at.
func (m machine) same(t *testing.T, when, dir string, before map[string]string, except ...string) {
	t.Helper()
	excepted := func(path string) bool {
		return slices.ContainsFunc(except, func(e string) bool { return path == e || strings.HasPrefix(path, e+"/") })
	}
	after := m.snapshot(t, dir)
	for path, was := range before {
		if is, there := after[path]; !excepted(path) && (!there || is != was) {
			t.Errorf("%s: %s is %q, was %q", when, path, is, was)
		}
	}
	for path := range after {
		if _, known := before[path]; !known && !excepted(path) {
			t.Errorf("%s: %s is new", when, path)
		}
	}
}
