package hosts

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pam/testbed"
)

// makeTarget runs a target of the Makefile and returns what it printed.
func makeTarget(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root, err := testbed.Root()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("make", append([]string{"-s", "-C", root}, args...)...).CombinedOutput()
	return string(out), err
}

// files lists what lies below dir, as paths that begin with a slash.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestInstallAndUninstall(t *testing.T) {
	dir := t.TempDir()
	stage := "DESTDIR=" + dir
	if out, err := makeTarget(t, "install", stage, "PAMDIR=/lib/security"); err != nil {
		t.Fatalf("install: %v: %s", err, out)
	}
	want := []string{"/etc/latch/latch.conf", "/lib/security/pam_latch.so", "/usr/local/bin/latch", "/usr/local/bin/latch-server",
		"/usr/local/bin/pairOVPN", "/usr/local/bin/pairSYS", "/usr/local/bin/unpairOVPN", "/usr/local/bin/unpairSYS",
		"/usr/local/libexec/latch/latch-auth", "/usr/local/libexec/latch/latch-probe"}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("installed %q\nwant %q", got, want)
	}
	conf := filepath.Join(dir, confFile)
	if err := os.WriteFile(conf, []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := makeTarget(t, "install", stage, "PAMDIR=/lib/security"); err != nil {
		t.Fatalf("install again: %v: %s", err, out)
	}
	if text, err := os.ReadFile(conf); err != nil || string(text) != "mine\n" {
		t.Errorf("a second install changed latch.conf to %q (%v)", text, err)
	}
	if out, err := makeTarget(t, "uninstall", stage, "PAMDIR=/lib/security"); err != nil {
		t.Fatalf("uninstall: %v: %s", err, out)
	}
	if got := files(t, dir); !slices.Equal(got, []string{confFile}) {
		t.Errorf("uninstall left %q, want only %q", got, confFile)
	}
}

// A PAM line that names a missing module refuses everybody, root included.
func TestUninstallRefusesWhilePAMUsesTheModule(t *testing.T) {
	dir := t.TempDir()
	if out, err := makeTarget(t, "install", "DESTDIR="+dir); err != nil {
		t.Fatalf("install: %v: %s", err, out)
	}
	service := filepath.Join(dir, "etc/pam.d/sshd")
	if err := os.MkdirAll(filepath.Dir(service), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(service, []byte("account required pam_latch.so\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	out, err := makeTarget(t, "uninstall", "DESTDIR="+dir)
	if err == nil || !strings.Contains(out, service) || !strings.Contains(out, "nothing was removed") {
		t.Errorf("%v: %s", err, out)
	}
	if after := files(t, dir); !slices.Equal(before, after) {
		t.Errorf("removed all the same; left are %q", after)
	}
}

func TestInstallRefusesAModuleThatWasBuiltForAnotherPlace(t *testing.T) {
	dir := t.TempDir()
	if out, err := makeTarget(t, "install", "DESTDIR="+dir, "PREFIX=/elsewhere"); err == nil {
		t.Errorf("it went ahead: %s", out)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("it installed %q", got)
	}
}
