package machines

import (
	"os"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// TestPolkit has polkit 128, whose PAM host runs in a unit without network and with a file system that it cannot write to.
func TestPolkit(t *testing.T) {
	const dropIn = "/etc/systemd/system/polkit-agent-helper@.service.d/latch.conf"
	d := fixture.NewDebian(t, bed.forky, bed.scratch)
	d.Connect(t, bed.server, bed.app)
	d.AddUser(t, ana, anaID, "sudo")
	d.Write(t, "/etc/hosts", "127.0.0.1 localhost\n", 0o644)
	m := boot(t, d)
	code, err := bed.server.Code(ana)
	if err != nil {
		t.Fatal(err)
	}
	m.must(t, "latch", "pair", code, "--user", ana)
	expect := func(when string, want bool) {
		t.Helper()
		if got := m.asRoot(t, "run0"); got != want {
			t.Errorf("%s: run0 made ana root: %v, want %v", when, got, want)
		}
	}
	out := m.must(t, "latch", "install", "polkit-1", "--yes")
	if !strings.Contains(out, "+PrivateNetwork=no") || !strings.Contains(out, "polkit-agent-helper@.service: PrivateNetwork=yes") {
		t.Errorf("install: %s", out)
	}
	expect("open", true)
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	expect("closed", false)
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
	if out, _ := m.run("latch", "doctor"); !strings.Contains(strings.Join(strings.Fields(out), " "), "ok system service polkit-1 asks in auth") {
		t.Errorf("the doctor:\n%s", out)
	}

	// Without the drop-in everybody who is paired is refused, and the doctor says what to do.
	if err := os.Remove(d.Root + dropIn); err != nil {
		t.Fatal(err)
	}
	m.must(t, "systemctl", "daemon-reload")
	expect("without the drop-in", false)
	const fix = "latch install polkit-1"
	out, _ = m.run("latch", "doctor", "--json")
	for _, want := range []string{"PrivateNetwork=yes (/usr/lib/systemd/system/polkit-agent-helper@.service) leaves it no network", `"fix":"` + fix + `"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the doctor does not say %q:\n%s", want, out)
		}
	}
	if out, _ := m.run("latch", "explain", "--user", ana, "--service", "polkit-1", "--phase", "auth"); !strings.Contains(out, "leaves it no network") {
		t.Errorf("explain:\n%s", out)
	}
	m.must(t, strings.Fields(fix+" --yes")...)
	expect("installed again", true)

	// What an administrator has set elsewhere counts more: refused, and named.
	m.must(t, "latch", "uninstall", "polkit-1", "--yes")
	if _, err := os.Stat(d.Root + dropIn); err == nil {
		t.Errorf("%s stays", dropIn)
	}
	expect("uninstalled", true)
	d.Write(t, "/etc/systemd/system/polkit-agent-helper@.service.d/zz.conf", "[Service]\nPrivateNetwork=yes\n", 0o644)
	if out, err := m.run("latch", "install", "polkit-1", "--yes"); err == nil || !strings.Contains(out, "zz.conf) leaves it no network: change it there") {
		t.Errorf("beside a drop-in that comes later: %v %s", err, out)
	}
}
