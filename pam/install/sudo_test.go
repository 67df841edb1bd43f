package install

import (
	"os"
	"strings"
	"testing"
)

// TestSudoLeavesNoSideDoorUnsaid is about "sudo -i", which is a service of its own on Debian, and includes sudo elsewhere.
func TestSudoLeavesNoSideDoorUnsaid(t *testing.T) {
	before := tree(t)
	const says = "latch install sudo-i"
	_, errs, _ := latch(t, nil, "install", "sudo", "--yes")
	found, _ := findings(t)
	if !strings.Contains(errs, says) || !strings.Contains(found, says) {
		t.Errorf("install says %q, the doctor\n%s", errs, found)
	}
	must(t, "install", "sudo-i", "--yes")
	if found, _ = findings(t); strings.Contains(found, says) {
		t.Errorf("both ask, and the doctor says\n%s", found)
	}
	must(t, "uninstall", "sudo", "sudo-i", "--yes")
	if _, errs, _ = latch(t, nil, "install", "sudo", "sudo-i", "--yes"); strings.Contains(errs, says) {
		t.Errorf("installing both says %q", errs)
	}
	must(t, "uninstall", "--all", "--yes")
	same(t, "uninstalling", before)
	login := pamDir + "/sudo-i"
	shipped, err := os.ReadFile(login)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(login, []byte("auth include sudo\naccount include sudo\nsession include sudo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, errs, _ = latch(t, nil, "install", "sudo", "--yes")
	found, _ = findings(t)
	must(t, "uninstall", "--all", "--yes")
	if err := os.WriteFile(login, shipped, 0o644); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(errs, says) || strings.Contains(found, says) {
		t.Errorf("sudo-i includes sudo; install says %q, the doctor\n%s", errs, found)
	}
}
