package install

import (
	"net/http"
	"os"
	"os/exec"
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

// TestEveryUseKeepsOffThePhone runs commands that need no password: each asks, and the phone shows none of them.
func TestEveryUseKeepsOffThePhone(t *testing.T) {
	before := tree(t)
	tap := throughTap(t)
	const rule = "/etc/sudoers.d/latch-test"
	if err := os.WriteFile(rule, []byte(ana+" ALL=(ALL) NOPASSWD: ALL\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, err := range []error{os.Remove(rule), bed.server.Open(ana)} {
			if err != nil {
				t.Error(err)
			}
		}
	}()
	out := must(t, "install", "sudo", "--every-use", "--yes")
	_, errs, _ := latch(t, nil, "install", "sudo", "--every-use", "--yes")
	if strings.Count(out, "+account") != 1 || strings.Count(out, " notify=no") != 1 || !strings.Contains(errs, "nothing to change") {
		t.Errorf("install says %s, and again %s", out, errs)
	}
	var asked []string
	tap.Edit = func(answer *http.Response) error {
		asked = append(asked, strings.TrimPrefix(answer.Request.URL.Path, "/api/1.3/status/"))
		return nil
	}
	sudo := func(in bool) {
		t.Helper()
		asked = nil
		out, err := exec.Command("runuser", "-u", ana, "--", "sudo", "-n", "true").CombinedOutput()
		if (err == nil) != in || len(asked) != 1 || !strings.HasSuffix(asked[0], "/nootp/silent") {
			t.Errorf("%v %s, asked %q", err, out, asked)
		}
	}
	sudo(true)
	sudo(true)
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	sudo(false)
	tap.Edit = nil
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
	must(t, "uninstall", "--all", "--yes")
	same(t, "uninstalling", before)
}
