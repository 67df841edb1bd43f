package packages

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shadowBackups are what useradd and userdel keep of the files that they change: each holds what was before the last
// change, so they tell of the server's user that came and went.
var shadowBackups = []string{"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"}

// debs copies the packages of a version into the machine and returns what dpkg needs to know to install them.
func (m machine) debs(t *testing.T, version string, packages ...string) []string {
	t.Helper()
	args := []string{"dpkg", "-i"}
	for _, name := range packages {
		from := file("deb", arches[0], name, version)
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to := "/var/cache/" + filepath.Base(from)
		m.Write(t, to, string(text), 0o644)
		args = append(args, to)
	}
	return args
}

// debian is a machine with all packages, the Latch server and ana known, and login, su and sudo asking.
func debian(t *testing.T) machine {
	t.Helper()
	m := newMachine(t)
	m.must(t, m.debs(t, bed.version, names...)...)
	m.connect(t)
	m.install(t)
	return m
}

// TestDebLife leads one machine through the life of the packages; each step starts from what the one before left.
func TestDebLife(t *testing.T) {
	m := newMachine(t)
	before := m.snapshot(t, "/etc")
	m.must(t, m.debs(t, bed.version, names...)...)
	m.same(t, "dpkg -i", pamDir, within(before, pamDir))
	if got := m.snapshot(t, "/etc/latch")["/etc/latch/latch.conf"]; !strings.HasPrefix(got, "-rw------- 0:0 ") {
		t.Errorf("dpkg -i leaves latch.conf %q", got)
	}
	m.letsIn(t, "dpkg -i", true)

	m.connect(t)
	m.install(t)
	m.asks(t, "installed")
	settled, configured := m.snapshot(t, pamDir), m.snapshot(t, "/etc/latch")

	m.must(t, m.debs(t, bed.version+later, names...)...)
	m.same(t, "upgrade", pamDir, settled)
	m.same(t, "upgrade", "/etc/latch", configured)
	m.asks(t, "upgraded")

	m.must(t, "dpkg", "-r", "libpam-latch", "latch", "latch-server")
	m.same(t, "remove", pamDir, within(before, pamDir))
	m.same(t, "remove", "/etc/latch", configured)
	m.letsIn(t, "removed", true)
	m.gone(t, "/usr")

	m.must(t, m.debs(t, bed.version, names...)...)
	m.install(t)
	m.same(t, "installed again", pamDir, settled)
	m.asks(t, "installed again")

	m.must(t, "dpkg", "-P", "latch-server", "latch", "libpam-latch") // without a removal before
	m.same(t, "purge", "/etc", before, shadowBackups...)
	m.letsIn(t, "purged", true)
	m.gone(t, "/usr", "/var/lib", "/run")
}

// within is the part of a snapshot that lies below a directory.
func within(all map[string]string, dir string) map[string]string {
	part := map[string]string{}
	for path, what := range all {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			part[path] = what
		}
	}
	return part
}

// gone expects no file of ours; dpkg's own notes are its own.
func (m machine) gone(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		for path := range m.snapshot(t, dir) {
			if strings.Contains(filepath.Base(path), "latch") && !strings.HasPrefix(path, "/var/lib/dpkg/") {
				t.Errorf("%s is there still", path)
			}
		}
	}
}

// TestDebRemovedThenPurged takes a machine to the end in two steps.
func TestDebRemovedThenPurged(t *testing.T) {
	m := newMachine(t)
	before := m.snapshot(t, "/etc")
	m.must(t, m.debs(t, bed.version, names...)...)
	m.connect(t)
	m.install(t)
	m.must(t, "dpkg", "-r", "latch", "latch-server", "libpam-latch")
	m.must(t, "dpkg", "-P", "latch", "latch-server", "libpam-latch")
	m.same(t, "purge", "/etc", before, shadowBackups...)
	m.letsIn(t, "purged", true)
}

// TestDebCommandGoesFirst takes the package away that takes the lines out.
func TestDebCommandGoesFirst(t *testing.T) {
	m := newMachine(t)
	before := m.snapshot(t, "/etc")
	m.must(t, m.debs(t, bed.version, names...)...)
	m.connect(t)
	m.install(t)
	settled := m.snapshot(t, pamDir)
	m.refused(t, []string{"dpkg", "-r", "latch"}, "libpam-latch depends on latch")
	m.must(t, "dpkg", "-P", "--force-depends", "latch")
	m.same(t, "latch removed", pamDir, settled)
	m.asks(t, "latch removed")

	m.must(t, "dpkg", "-P", "libpam-latch", "latch-server")
	m.same(t, "purge", "/etc", before, shadowBackups...)
	m.letsIn(t, "purged", true)
	m.gone(t, "/usr")
}

// TestDebCommandIsMissing removes the module where nothing can take the lines out.
func TestDebCommandIsMissing(t *testing.T) {
	m := debian(t)
	settled := m.snapshot(t, pamDir)
	if err := os.Remove(m.Root + "/usr/bin/latch"); err != nil {
		t.Fatal(err)
	}
	m.refused(t, []string{"dpkg", "-r", "libpam-latch"}, "/etc/pam.d/su:", "stays installed", "Install latch again")
	m.same(t, "a refused removal", pamDir, settled)
	m.asks(t, "a refused removal")

	m.must(t, m.debs(t, bed.version, "latch")...)
	m.must(t, "dpkg", "-r", "latch", "libpam-latch", "latch-server")
	m.letsIn(t, "removed", true)
	m.gone(t, "/usr")
}

// TestDebUnpackedOnly removes a package that an upgrade left unpacked, whose prerm dpkg then does not call.
func TestDebUnpackedOnly(t *testing.T) {
	m := newMachine(t)
	before := m.snapshot(t, pamDir)
	m.must(t, m.debs(t, bed.version, names...)...)
	m.connect(t)
	m.install(t)
	m.refused(t, m.debs(t, bed.version+later, "libpam-latch"), "dependency problems")
	m.asks(t, "half upgraded")
	m.must(t, "dpkg", "-r", "libpam-latch")
	m.same(t, "removed", pamDir, before)
	m.letsIn(t, "removed", true)
}

// TestDebKeepsWhatLinesNeed has lines that latch did not write: one that it takes out, and some that are not its to change.
func TestDebKeepsWhatLinesNeed(t *testing.T) {
	m := debian(t)
	m.Write(t, "/etc/pam.d/byhand", "auth required pam_unix.so\nauth required pam_latch.so\naccount required pam_permit.so\n", 0o644)
	for path, text := range map[string]string{
		"/usr/lib/pam.d/vendor": "auth required \\\n pam_latch.so\n",
		"/etc/stacks/latch":     "auth required pam_latch.so\n",
	} {
		m.Write(t, "/etc/pam.d/includes", "@include /etc/stacks/latch\n", 0o644)
		settled := m.snapshot(t, pamDir)
		m.Write(t, path, text, 0o644)
		m.refused(t, []string{"dpkg", "-r", "libpam-latch"}, path+":", "pam_latch.so", "stays installed", "Nothing was changed")
		m.same(t, "a refused removal", pamDir, settled)
		m.asks(t, "a refused removal")
		if got := m.must(t, "dpkg-query", "-W", "-f", "${db:Status-Status}", "libpam-latch"); got != "installed" {
			t.Errorf("after a refused removal the package is %q", got)
		}
		if err := os.Remove(m.Root + path); err != nil {
			t.Fatal(err)
		}
	}
	m.must(t, "dpkg", "-r", "libpam-latch")
	if text := m.read(t, "/etc/pam.d/byhand"); strings.Contains(text, "pam_latch") {
		t.Errorf("a line written by hand stays without its module:\n%s", text)
	}
	m.letsIn(t, "removed", true)
}

// TestDebServerKeepsTheLatches purges a server that people use.
func TestDebServerKeepsTheLatches(t *testing.T) {
	m := newMachine(t)
	m.must(t, m.debs(t, bed.version, "latch-server")...)
	m.must(t, "latch-server", "init", "--data", "/var/lib/latch-server", "--url", "https://latch.example.org:8443")
	database := m.Root + "/var/lib/latch-server/latch.db"
	info, err := os.Stat(database)
	if err != nil {
		t.Fatal(err)
	}
	if info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the database is root's, not the server's")
	}
	if out := m.must(t, "dpkg", "-P", "latch-server"); !strings.Contains(out, "kept: /var/lib/latch-server") {
		t.Errorf("dpkg -P does not say what it kept: %s", out)
	}
	if _, err := os.Stat(database); err != nil {
		t.Errorf("the latches are gone: %v", err)
	}
	m.must(t, "getent", "passwd", "latch-server")
}
