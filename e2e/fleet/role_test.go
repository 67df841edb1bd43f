package fleet

import (
	"os"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// TestRole leads one host through its life; each step starts from what the one before left. A sample has each kind of step
// once: a play in check mode, a first one, one that mends a single file and so changes nothing else, a wrong secret, another
// secret, and the end. All of them check a drifted host too, try a wrong secret on a new one, and repeat the first play.
func TestRole(t *testing.T) {
	before := services(t)
	first := secret(t, "web1")
	wrong := hostVars(strings.Repeat("z", 40))

	ahead := play(t, "site.yml", hostVars(first), "--check", "--diff")
	same(t, "--check on a new host", before)
	if _, err := os.Stat("/etc/latch"); ahead.failed != 0 || ahead.changed == 0 || err == nil {
		t.Errorf("--check on a new host: %d failures, %d changes\n%s", ahead.failed, ahead.changed, ahead.text)
	}

	if fixture.All() {
		refused := play(t, "site.yml", wrong)
		same(t, "a wrong secret", before)
		if _, err := os.Stat(confFile); refused.failed != 1 || err == nil {
			t.Errorf("a wrong secret: %d failures\n%s", refused.failed, refused.text)
		}
	}

	made := play(t, "site.yml", hostVars(first), "--diff")
	if made.failed != 0 || made.changed == 0 {
		t.Fatalf("the first run: %d failures, %d changes\n%s", made.failed, made.changed, made.text)
	}
	asked(t)
	installed := services(t)
	if !strings.Contains(installed[pamDir+"/sudo-i"], "pam_latch.so") {
		t.Error("sudo -i goes past the latch")
	}

	if fixture.All() {
		if again := play(t, "site.yml", hostVars(first)); again.changed != 0 || again.failed != 0 {
			t.Errorf("the second run: %d changes, %d failures\n%s", again.changed, again.failed, again.text)
		}
	}

	drift(t, before, installed, hostVars(first))
	refused := rotate(t, first, wrong)

	if gone := play(t, "remove.yml", hostVars(first)); gone.failed != 0 || gone.changed == 0 {
		t.Errorf("removing: %d failures, %d changes\n%s", gone.failed, gone.changed, gone.text)
	}
	same(t, "removing", before)
	if _, err := os.Stat(accounts); err != nil || !fixture.Su(user, fixture.Password) {
		t.Errorf("after removing: pairings %v, su works: %v", err, fixture.Su(user, fixture.Password))
	}
	for _, r := range []recap{ahead, made, refused} {
		if strings.Contains(r.text, first) || strings.Contains(r.text, bed.account) {
			t.Error("Ansible's output shows the secret or an account id")
		}
	}
}

// asked expects that the latch decides.
func asked(t *testing.T) {
	t.Helper()
	if !fixture.Su(user, fixture.Password) {
		t.Error("an open latch refuses")
	}
	if err := bed.server.Close(user); err != nil {
		t.Fatal(err)
	}
	if fixture.Su(user, fixture.Password) {
		t.Error("a closed latch lets in")
	}
	if err := bed.server.Open(user); err != nil {
		t.Fatal(err)
	}
}

// drift takes the line out of one file, as an upgrade of its package may.
func drift(t *testing.T, before, installed map[string]string, vars map[string]any) {
	t.Helper()
	const file = pamDir + "/su"
	if err := os.WriteFile(file, []byte(before[file]), 0o644); err != nil {
		t.Fatal(err)
	}
	if fixture.All() {
		drifted := services(t)
		r := play(t, "site.yml", vars, "--check")
		same(t, "--check on a drifted host", drifted)
		if r.changed != 1 || r.failed != 0 || !strings.Contains(r.text, "+++ "+file) {
			t.Errorf("--check on a drifted host: %d changes, %d failures\n%s", r.changed, r.failed, r.text)
		}
	}
	if r := play(t, "site.yml", vars); r.changed != 1 || r.failed != 0 {
		t.Errorf("a drifted host: %d changes, %d failures\n%s", r.changed, r.failed, r.text)
	}
	same(t, "mending", installed)
}

// rotate gives the host another secret, first a wrong one, and revokes the old one. It returns how the wrong one was refused.
func rotate(t *testing.T, first string, wrong map[string]any) (refused recap) {
	t.Helper()
	old, err := os.ReadFile(confFile)
	if err != nil {
		t.Fatal(err)
	}
	refused = play(t, "site.yml", wrong)
	if now, err := os.ReadFile(confFile); err != nil || refused.failed != 1 || string(now) != string(old) {
		t.Errorf("a wrong secret on a host that asks: %d failures, %v\n%s", refused.failed, err, refused.text)
	}
	second := secret(t, "web1-2")
	if r := play(t, "site.yml", hostVars(second)); r.changed != 1 || r.failed != 0 {
		t.Errorf("another secret: %d changes, %d failures\n%s", r.changed, r.failed, r.text)
	}
	if _, err := bed.server.Run("app", "secret", "revoke", "fleet", "web1", "--yes"); err != nil {
		t.Fatal(err)
	}
	asked(t)
	return refused
}
