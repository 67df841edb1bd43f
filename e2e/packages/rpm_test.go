package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// baseSpec makes a package without files that stands for what Fedora has and our packages need: the machine is a Debian.
const baseSpec = `Name: base
Version: 1
Release: 1
Summary: what the machine has
License: none
BuildArch: noarch
Provides: pam = 1.4.0, shadow-utils, libc.so.6(GLIBC_2.34)(64bit), libpam.so.0(LIBPAM_1.0)(64bit)
%description
%files
`

// fedora is a machine with rpm's database, where libpam also finds modules where Fedora keeps them.
func fedora(t *testing.T) machine {
	t.Helper()
	m := newMachine(t)
	triplet, err := filepath.Glob(m.Root + "/usr/lib/*/security")
	if err != nil || len(triplet) != 1 {
		t.Fatalf("libpam's directory: %q %v", triplet, err)
	}
	if err := os.Symlink(strings.TrimPrefix(triplet[0], m.Root), m.Root+"/usr/lib64/security"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/base.spec", []byte(baseSpec), 0o644); err != nil {
		t.Fatal(err)
	}
	mustTool(t, "rpmbuild", "--quiet", "-bb", "--define", "_topdir "+dir, dir+"/base.spec")
	m.rpm(t, "-i", dir+"/RPMS/noarch/base-1-1.noarch.rpm")
	return m
}

// rpmArgs are rpm's arguments for work on the machine from outside.
func (m machine) rpmArgs(args ...string) []string {
	return append([]string{"--root", m.Root, "--dbpath", "/var/lib/rpm"}, args...)
}

func (m machine) rpm(t *testing.T, args ...string) string {
	t.Helper()
	return mustTool(t, "rpm", m.rpmArgs(args...)...)
}

// rpms lists the packages of a version.
func rpms(version string) (files []string) {
	for _, name := range names {
		files = append(files, file("rpm", arches[0], name, version))
	}
	return files
}

// TestRPMLife leads one machine through the life of the packages; each step starts from what the one before left.
func TestRPMLife(t *testing.T) {
	m := fedora(t)
	before := m.snapshot(t, "/etc")
	m.rpm(t, append([]string{"-i"}, rpms(bed.version)...)...)
	m.same(t, "rpm -i", pamDir, within(before, pamDir))
	if got := m.snapshot(t, "/etc/latch")["/etc/latch/latch.conf"]; !strings.HasPrefix(got, "-rw------- 0:0 ") {
		t.Errorf("rpm -i leaves latch.conf %q", got)
	}
	m.rpm(t, append([]string{"-V"}, names...)...)

	m.connect(t)
	m.install(t)
	m.asks(t, "installed")
	settled, configured := m.snapshot(t, pamDir), m.snapshot(t, "/etc/latch")

	m.rpm(t, append([]string{"-U"}, rpms(bed.version+later)...)...)
	m.same(t, "upgrade", pamDir, settled)
	m.same(t, "upgrade", "/etc/latch", configured)
	m.asks(t, "upgraded")

	m.rpm(t, append([]string{"-e"}, names...)...)
	m.same(t, "erase", "/etc/latch", configured) // rpm knows no purge
	m.same(t, "erase", "/etc", before, append(shadowBackups, "/etc/latch", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")...)
	m.must(t, "getent", "passwd", "latch-server")
	m.letsIn(t, "erased", true)
	m.gone(t, "/usr")
}

// TestRPMKeepsWhatLinesNeed erases where lines would be left behind.
func TestRPMKeepsWhatLinesNeed(t *testing.T) {
	m := fedora(t)
	m.rpm(t, append([]string{"-i"}, rpms(bed.version)...)...)
	m.connect(t)
	m.install(t)
	settled := m.snapshot(t, pamDir)
	const vendor = "/usr/lib/pam.d/vendor"
	m.Write(t, vendor, "auth required pam_latch.so\n", 0o644)
	for name, says := range map[string]string{
		"latch":        "latch = " + bed.version + " is needed by (installed) libpam-latch",
		"libpam-latch": vendor + ":1:",
	} {
		out, err := tool("rpm", m.rpmArgs("-e", name)...)
		if err == nil || !strings.Contains(out, says) {
			t.Errorf("rpm -e %s: %v, want %q in\n%s", name, err, says, out)
		}
		m.same(t, "rpm -e "+name, pamDir, settled)
	}
	m.asks(t, "rpm -e refused")
	if err := os.Remove(m.Root + vendor); err != nil {
		t.Fatal(err)
	}
	m.rpm(t, "-e", "--nodeps", "latch")
	m.asks(t, "latch erased")
	m.rpm(t, "-e", "latch-server", "libpam-latch")
	m.letsIn(t, "erased", true)
	m.gone(t, "/usr")
}

// TestSELinuxWantsThePolicy imitates a machine where SELinux enforces; it cannot show what such a kernel does.
func TestSELinuxWantsThePolicy(t *testing.T) {
	m := fedora(t)
	m.rpm(t, append([]string{"-i"}, rpms(bed.version)...)...)
	m.connect(t)
	before := m.snapshot(t, pamDir)
	m.Write(t, "/sys/fs/selinux/enforce", "1", 0o644)
	install := []string{"latch", "install", "su", "--yes"}
	for _, modules := range []string{"", "latchkey\nsudo\n"} {
		m.Write(t, "/usr/sbin/semodule", "#!/bin/sh\nprintf '"+modules+"'\n", 0o755)
		m.refused(t, install, "SELinux enforces", "semodule -i latch.pp", "/usr/share/selinux/packages")
		m.same(t, "a refused change", pamDir, before)
	}
	if !strings.HasPrefix(m.read(t, "/usr/share/selinux/packages/latch.pp"), "\x8f\xff\x7c\xf9") { // SEMODULE_PACKAGE's magic
		t.Error("the policy module in the package is none")
	}
	for _, modules := range []string{"latch\n", "kernel\t1.0\nlatch\t1.0\n"} {
		m.Write(t, "/usr/sbin/semodule", "#!/bin/sh\nprintf '"+modules+"'\n", 0o755)
		m.must(t, install...)
		m.must(t, "latch", "uninstall", "--all", "--yes")
	}
}
