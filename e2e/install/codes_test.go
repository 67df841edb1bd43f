package install

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/otpstore"
)

// enrol gives ana an authenticator for the time of one test.
func enrol(t *testing.T) {
	t.Helper()
	store := otpstore.At("/var/lib/latch", "/etc/latch/otp.key")
	if err := fixture.Enrol(store, ana, int64(bed.user.ID)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(os.RemoveAll(store.Dir), os.Remove(store.KeyFile)); err != nil {
			t.Error(err)
		}
	})
}

// TestInstallWithCodes: --otp of a service stands on its line, and doctor and explain know what it means.
func TestInstallWithCodes(t *testing.T) {
	before := tree(t)
	for mode, step := range map[string]string{
		"totp":        "reason: open",                                           // which is of whoever is enrolled
		"server-totp": "the person is asked: Latch code of your authenticator:", // who may have enrolled at latch-server
	} {
		must(t, "install", "su", "--otp", mode, "--yes")
		if text, err := os.ReadFile(pamDir + "/su"); err != nil || !strings.Contains(string(text), "pam_latch.so otp="+mode+"\n") {
			t.Errorf("%s: %v %s", mode, err, text)
		}
		if text, _ := findings(t); !strings.Contains(text, "they have none: "+ana) {
			t.Errorf("%s: the doctor does not know who has no code:\n%s", mode, text)
		}
		if got := explain(t, 0, "--user", ana, "--service", "su", "--phase", "auth"); !slices.Contains(got[0].Steps, step) {
			t.Errorf("%s: %q", mode, got)
		}
		must(t, "uninstall", "su", "--yes")
	}
	same(t, "uninstalling", before)
	if _, errs, status := latch(t, nil, "install", "su", "--otp", "maybe", "--yes"); status != 2 || !strings.Contains(errs, "no or yes or totp or server-totp") {
		t.Errorf("--otp maybe: %d %s", status, errs)
	}

	must(t, "install", "su", "--otp", "totp", "--yes")
	enrol(t)
	if text, status := findings(t); status != 1 || !strings.Contains(text, "users with one-time passwords in /var/lib/latch/otp: 1") {
		t.Errorf("%d\n%s", status, text)
	}
	got := explain(t, 0, "--user", ana, "--service", "su", "--phase", "auth")
	if got[0].Verdict != "let in with the right code" || !slices.Contains(got[0].Steps, "the person is asked: Latch code of your authenticator:") {
		t.Errorf("%q", got)
	}
	explainRequired(t)
	if err := os.Chmod("/etc/latch/otp.key", 0o644); err != nil {
		t.Fatal(err)
	}
	if text, _ := findings(t); !strings.Contains(text, "the key of the one-time passwords") {
		t.Errorf("a key that others read:\n%s", text)
	}
	if err := os.Chmod("/etc/latch/otp.key", 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "uninstall", "su", "--yes")
	same(t, "uninstalling with codes", before)
}

// explainRequired: with otp_required = yes the account phase of sshd is a key alone, which is refused, and explain says so.
func explainRequired(t *testing.T) {
	t.Helper()
	const file = "/etc/latch/latch.conf"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("otp_required = yes\n"), before...), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "install", "sshd", "--otp", "totp", "--yes")
	got := explain(t, 3, "--user", ana, "--service", "sshd")
	must(t, "uninstall", "sshd", "--yes")
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if got[0].Verdict != "let in with the right code" || got[1].Verdict != "refused" || !slices.Contains(got[1].Steps, "reason: otp-cannot-ask") ||
		!strings.Contains(strings.Join(got[1].Steps, "\n"), "a login by a key alone") {
		t.Errorf("%q", got)
	}
}
