package hosts

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// makeTarget runs a target of the Makefile and returns what it printed.
func makeTarget(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root, err := fixture.Root()
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

// installed is what make install copies, but for the manual pages of the commands.
var installed = []string{"/etc/latch/latch.conf",
	"/usr/local/bin/latch", "/usr/local/bin/latch-server",
	"/usr/local/bin/pairOVPN", "/usr/local/bin/pairSYS", "/usr/local/bin/unpairOVPN", "/usr/local/bin/unpairSYS",
	"/usr/local/lib/systemd/system/latch-doctor.service", "/usr/local/lib/systemd/system/latch-doctor.timer",
	"/usr/local/lib/systemd/system/latch-server.service", "/usr/local/lib/systemd/system/timers.target.wants/latch-doctor.timer",
	"/usr/local/lib/sysusers.d/latch-server.conf", "/usr/local/lib/tmpfiles.d/latch.conf",
	"/usr/local/libexec/latch/latch-auth", "/usr/local/libexec/latch/latch-probe",
	"/usr/local/share/bash-completion/completions/latch", "/usr/local/share/bash-completion/completions/latch-server",
	"/usr/local/share/fish/vendor_completions.d/latch-server.fish", "/usr/local/share/fish/vendor_completions.d/latch.fish",
	"/usr/local/share/man/man5/latch.conf.5", "/usr/local/share/man/man8/pam_latch.8",
	"/usr/local/share/zsh/site-functions/_latch", "/usr/local/share/zsh/site-functions/_latch-server"}

// states tells of every file below dir when it was written and what it is.
func states(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, file := range files(t, dir) {
		info, err := os.Lstat(dir + file)
		if err != nil {
			t.Fatal(err)
		}
		status := info.Sys().(*syscall.Stat_t)
		all[file] = fmt.Sprint(info.Mode(), info.Size(), status.Ino, status.Ctim)
	}
	return all
}

func TestInstallAndUninstall(t *testing.T) {
	dir := t.TempDir()
	stage := "DESTDIR=" + dir
	if out, err := makeTarget(t, "install", stage); err != nil {
		t.Fatalf("install: %v: %s", err, out)
	}
	got := files(t, dir)
	pages := slices.DeleteFunc(slices.Clone(got), func(f string) bool { return !strings.HasPrefix(f, "/usr/local/share/man/man1/") })
	for _, page := range []string{"latch.1", "latch-install.1", "latch-operation-add.1", "latch-server.1", "latch-server-serve.1"} {
		if !slices.Contains(pages, "/usr/local/share/man/man1/"+page) {
			t.Errorf("there is no %s", page)
		}
	}
	want := slices.Sorted(slices.Values(slices.Concat(installed, pages, []string{moduleFile(t, got)})))
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("installed %q\nwant %q", got, want)
	}
	conf := filepath.Join(dir, confFile)
	if err := os.WriteFile(conf, []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := states(t, dir)
	if out, err := makeTarget(t, "install", stage); err != nil || out != "" {
		t.Fatalf("install again: %v: %s", err, out)
	}
	if after := states(t, dir); !maps.Equal(before, after) {
		t.Errorf("a second install changed files: %v\nwere %v", after, before)
	}
	if out, err := makeTarget(t, "uninstall", stage); err != nil {
		t.Fatalf("uninstall: %v: %s", err, out)
	}
	if got := files(t, dir); !slices.Equal(got, []string{confFile}) {
		t.Errorf("uninstall left %q, want only %q", got, confFile)
	}
}

// moduleFile is where the module was put: where this system keeps pam_unix.so.
func moduleFile(t *testing.T, files []string) string {
	t.Helper()
	i := slices.IndexFunc(files, func(f string) bool { return filepath.Base(f) == "pam_latch.so" })
	if i < 0 {
		t.Fatal("there is no pam_latch.so")
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(files[i]), "pam_unix.so")); err != nil {
		t.Errorf("%s is not beside pam_unix.so: %v", files[i], err)
	}
	return files[i]
}

// These places are not part of what is built; e2e/packages installs with all others changed.
func TestInstallElsewhere(t *testing.T) {
	dir := t.TempDir()
	if out, err := makeTarget(t, "install", "DESTDIR="+dir, "SYSCONFDIR=/opt/etc", "DATADIR=/opt/data", "MANDIR=/opt/man",
		"UNITDIR=/opt/units", "ZSHDIR=/opt/zsh", "SYSUSERSDIR=/opt/users", "TMPFILESDIR=/opt/tmpfiles"); err != nil {
		t.Fatalf("install: %v: %s", err, out)
	}
	got := files(t, dir)
	for _, file := range []string{"/opt/etc/latch/latch.conf", "/opt/data/bash-completion/completions/latch", "/opt/man/man5/latch.conf.5",
		"/opt/man/man1/latch.1", "/opt/units/latch-server.service", "/opt/units/timers.target.wants/latch-doctor.timer", "/opt/zsh/_latch",
		"/opt/users/latch-server.conf", "/opt/tmpfiles/latch.conf"} {
		if !slices.Contains(got, file) {
			t.Errorf("%s is missing", file)
		}
	}
	for _, file := range got {
		if strings.HasPrefix(file, "/usr/local/share") || strings.HasPrefix(file, "/usr/local/lib/") || strings.HasPrefix(file, "/etc") {
			t.Errorf("%s was installed", file)
		}
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
	if err == nil || !strings.Contains(out, service) || !strings.Contains(out, "no file was removed") {
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
