package install

import (
	"os"
	"os/exec"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// The last test of the last file: nothing is installed behind it.
func TestMakeUninstallTakesTheLinesOutFirst(t *testing.T) {
	before := tree(t)
	must(t, "install", "sshd", "su", "--yes")
	root, err := fixture.Root()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("make", "-s", "-C", root, "uninstall").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	same(t, "make uninstall", before)
	if _, err := os.Stat(accounts); err != nil {
		t.Errorf("the pairings are gone: %v", err)
	}
	if _, err := os.Stat(cli); err == nil {
		t.Error("latch is there still")
	}
	if out, err := exec.Command("make", "-s", "-C", root, "uninstall", "PURGE=1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat("/etc/latch"); err == nil {
		t.Error("PURGE=1 keeps the configuration")
	}
	if !fixture.Su(ana, fixture.Password) {
		t.Error("su is broken")
	}
}
