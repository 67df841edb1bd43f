package packages

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// machine is a minimal Debian of a test's own, in which ana has a password and may use sudo.
type machine struct{ root string }

func newMachine(t *testing.T) machine {
	t.Helper()
	dir, err := os.MkdirTemp(bed.scratch, "machine-")
	if err != nil {
		t.Fatal(err)
	}
	m := machine{root: dir + "/root"}
	for _, sub := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.mount(t, "overlay", "", "overlay", 0, "lowerdir="+bed.minimal+",upperdir="+dir+"/upper,workdir="+dir+"/work")
	m.mount(t, "/dev", "/dev", "", syscall.MS_BIND|syscall.MS_REC, "")
	m.mount(t, "proc", "/proc", "proc", 0, "")
	m.write(t, "/etc/default/su", "FAIL_DELAY 0\n", 0o644) // refusing costs no time
	m.write(t, "/etc/pam.d/common-auth", strings.Replace(m.read(t, "/etc/pam.d/common-auth"), "nullok", "nullok nodelay", 1), 0o644)
	m.write(t, "/etc/sudoers.d/ana", "ana ALL=(ALL:ALL) ALL\nDefaults timestamp_timeout=0, passwd_tries=1\n", 0o440)
	m.must(t, "useradd", "--uid", anaID, "--create-home", ana)
	cmd := m.command("chpasswd")
	cmd.Stdin = strings.NewReader(ana + ":" + fixture.Password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("chpasswd: %v: %s", err, out)
	}
	return m
}

func (m machine) mount(t *testing.T, source, target, kind string, flags uintptr, options string) {
	t.Helper()
	target = m.root + target
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", target, err)
		}
	})
}

func (m machine) write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.root+path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.root+path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (m machine) read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(m.root + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (m machine) has(path string) bool {
	_, err := os.Lstat(m.root + path)
	return err == nil
}

// command runs inside the machine.
func (m machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("chroot", append([]string{m.root}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

func (m machine) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// refused runs inside the machine what has to fail and say certain things.
func (m machine) refused(t *testing.T, args []string, says ...string) {
	t.Helper()
	out, err := m.command(args...).CombinedOutput()
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
		cmd := m.command(args...)
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
	m.write(t, "/etc/latch/ca.pem", string(ca), 0o644)
	m.write(t, "/etc/latch/latch.conf", bed.conf.Text(), 0o600)
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
	err := filepath.WalkDir(m.root+dir, func(path string, e fs.DirEntry, err error) error {
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
		all[strings.TrimPrefix(path, m.root)] = what
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
