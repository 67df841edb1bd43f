package install

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// sudoTo has ana run a command by sudo with her password and reports whether it ran.
func sudoTo(args ...string) bool {
	cmd := exec.Command("runuser", append([]string{"-u", ana, "--", "sudo", "-k", "-S"}, append(args, "echo", "inside")...)...)
	cmd.Stdin = strings.NewReader(fixture.Password + "\n")
	out, _ := cmd.Output()
	return strings.Contains(string(out), "inside")
}

// TestServiceOfAnotherName: sudoers name the PAM service that sudo uses, before and after sudo was installed.
func TestServiceOfAnotherName(t *testing.T) {
	before := tree(t)
	const rules, corp = "/etc/sudoers.d/latch-test", pamDir + "/corp"
	rule := func(defaults string) {
		t.Helper()
		if err := os.WriteFile(rules, []byte(ana+" ALL=(ALL) ALL\nDefaults passwd_tries=1\n"+defaults), 0o440); err != nil {
			t.Fatal(err)
		}
	}
	rule("")
	defer os.Remove(rules)
	shipped, err := os.ReadFile(pamDir + "/sudo")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(corp, shipped, 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "install", "sudo", "sudo-i", "--yes")
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	defer func() {
		must(t, "uninstall", "--all", "--yes")
		for _, err := range []error{os.Remove(corp), bed.server.Open(ana)} {
			if err != nil {
				t.Error(err)
			}
		}
		same(t, "uninstalling", before)
	}()
	if sudoTo() || sudoTo("-i") {
		t.Error("a closed latch lets in")
	}
	rule("Defaults:" + ana + " pam_service=corp\n")
	if !sudoTo() || sudoTo("-i") {
		t.Error("sudo does not use the service that sudoers name")
	}
	if _, errs, _ := latch(t, nil, "status", "--user", ana); !strings.Contains(errs, "sudo uses the PAM service corp (pam_service in sudoers), which does not ask") {
		t.Errorf("status: %s", errs)
	}
	followFix(t, "service corp")
	if sudoTo() {
		t.Error("corp does not ask")
	}
	must(t, "uninstall", "corp", "--yes")
	rule("Defaults pam_service=corp\n")
	out, _, status := latch(t, nil, "explain", "--user", ana, "--service", "sudo")
	if status != 0 || strings.Count(out, "not asked") != 2 || !strings.Contains(out, "latch explain --service corp") {
		t.Errorf("explain: %d %s", status, out)
	}
	_, errs, status := latch(t, nil, "install", "sudo", "--yes")
	_, command, found := strings.Cut(strings.TrimSpace(errs), "and not sudo: ")
	if status == 0 || !found {
		t.Fatalf("installing what sudo does not use: %d %s", status, errs)
	}
	if out, err := exec.Command("sh", "-c", "PATH=/usr/local/bin:$PATH "+command+" --yes").CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", command, err, out)
	}
	if got := ourLines(t, "corp"); len(got) != 1 || sudoTo() {
		t.Errorf("corp has the lines %q", got)
	}
	if out, _, status := latch(t, nil, "explain", "--user", ana, "--service", "corp", "--phase", "auth"); status != 3 || !strings.Contains(out, "refused") {
		t.Errorf("explain: %d %s", status, out)
	}
}
