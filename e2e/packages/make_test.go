package packages

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mk runs make on the machine of the tests' own, where go does nothing: what builds would fail.
func mk(t *testing.T, args ...string) string {
	t.Helper()
	return mustTool(t, "make", append([]string{"-s", "-C", bed.root, "GO=false"}, args...)...)
}

// places is everything in the directories that make install writes to.
func places(t *testing.T) map[string]string {
	t.Helper()
	here, all := machine{}, map[string]string{}
	modules, err := filepath.Glob("/usr/lib/*/security")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(modules, "/etc", "/usr/local/bin", "/usr/local/lib", "/usr/local/share", "/usr/local/libexec") {
		if here.has(dir) {
			maps.Copy(all, here.snapshot(t, dir))
		}
	}
	// A directory may stay behind, and says nothing.
	maps.DeleteFunc(all, func(_, what string) bool { return strings.HasPrefix(what, "d") })
	return all
}

func expect(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for path := range want {
		if got[path] != want[path] {
			t.Errorf("%s: %s is %q, want %q", when, path, got[path], want[path])
		}
	}
	for path := range got {
		if _, known := want[path]; !known {
			t.Errorf("%s: %s is new", when, path)
		}
	}
}

// TestMakeInstallAndUninstall goes there and back.
func TestMakeInstallAndUninstall(t *testing.T) {
	const conf, key, policy = "/etc/latch/latch.conf", "/etc/latch/otp.key", "/usr/local/share/selinux/packages/latch.pp"
	mk(t, "uninstall", "PURGE=1") // what somebody may have installed on the host
	before := places(t)
	mk(t, "install")
	installed := places(t)
	if info, err := os.Stat(key); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key of the one-time passwords: %v, %v", info, err)
	}
	if out := mk(t, "install"); out != "" {
		t.Errorf("a second make install does something:\n%s", out)
	}
	expect(t, "make install again", places(t), installed)
	if err := os.WriteFile(conf, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mk(t, "install", "SELINUX=1")
	if text, err := os.ReadFile(conf); err != nil || string(text) != "# mine\n" {
		t.Errorf("make install changed latch.conf: %v\n%s", err, text)
	}
	if _, err := os.Stat(policy); err != nil {
		t.Errorf("SELINUX=1: %v", err)
	}

	refuseUninstall(t)
	if out := mk(t, "uninstall"); !strings.Contains(out, "kept: /etc/latch and /var/lib/latch") {
		t.Errorf("make uninstall does not say what it keeps:\n%s", out)
	}
	after := places(t)
	for _, file := range []string{conf, key} {
		if _, kept := after[file]; !kept {
			t.Errorf("make uninstall takes %s away", file)
		}
		delete(after, file)
	}
	delete(after, "/etc/latch/.lock/otp.key")
	expect(t, "make uninstall", after, before)
	mk(t, "uninstall", "PURGE=1")
	expect(t, "PURGE=1", places(t), before)
	if _, err := os.Stat("/etc/latch"); err == nil {
		t.Error("PURGE=1 keeps /etc/latch")
	}
}

// refuseUninstall expects that nothing goes where a line would be left behind.
func refuseUninstall(t *testing.T) {
	t.Helper()
	const vendor = "/usr/lib/pam.d/vendor"
	before := places(t)
	if err := os.MkdirAll(filepath.Dir(vendor), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{vendor, vendor + ".dpkg-old"} {
		if err := os.WriteFile(name, []byte("auth required pam_latch.so\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := tool("make", "-s", "-C", bed.root, "uninstall"); err == nil || !strings.Contains(out, vendor+":1:") || strings.Contains(out, "dpkg-old") {
		t.Errorf("make uninstall beside a vendor's line: %v\n%s", err, out)
	}
	expect(t, "make uninstall refused", places(t), before)
	if err := os.Remove(vendor); err != nil {
		t.Fatal(err)
	}
}

// TestMakeInstallRefusesOtherPlaces wants the variables of the build.
func TestMakeInstallRefusesOtherPlaces(t *testing.T) {
	dest := t.TempDir()
	out, err := tool("make", "-s", "-C", bed.root, "install", "DESTDIR="+dest, "PREFIX=/usr")
	if err == nil || !strings.Contains(out, "built for other places") {
		t.Errorf("%v\n%s", err, out)
	}
	if entries, err := os.ReadDir(dest); err != nil || len(entries) > 0 {
		t.Errorf("it installed %v, %v", entries, err)
	}
}
