package openvpn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

func TestLogins(t *testing.T) {
	v := startVPN(t, setting{})
	t.Run("open", func(t *testing.T) {
		if right, wrong := v.dial(t, ana, fixture.Password), v.dial(t, ana, "wrong"); !v.gotIn(t, right) || v.gotIn(t, wrong) {
			t.Error("not the right password alone is in")
		}
	})
	t.Run("two users of whom one is closed", func(t *testing.T) {
		closeLatch(t, ana)
		v.expect(t, map[string]bool{ana: false, bob: true})
		if bed.log.Await("latch-auth", `service="openvpn"`, `user="ana"`, "closed") == nil {
			t.Error("the log does not say why")
		}
	})
	t.Run("unpaired", func(t *testing.T) {
		v.expect(t, map[string]bool{eva: true})
		configure(t, bed.conf.With("unpaired", "close"))
		v.expect(t, map[string]bool{eva: false, bob: true})
	})
	for action, in := range map[string]bool{"open": true, "close": false} {
		t.Run("unreachable, action "+action, func(t *testing.T) {
			configure(t, bed.conf.With("latch_host", nowhere).With("action", action))
			v.expect(t, map[string]bool{ana: in, bob: in})
		})
	}
	t.Run("account phase alone", func(t *testing.T) { // as on Fedora and openSUSE
		writeStack(t, "auth required pam_unix.so", askLatch("account"), "account required pam_unix.so")
		closeLatch(t, ana)
		v.expect(t, map[string]bool{ana: false, bob: true})
	})
	t.Run("unpairOVPN and pairOVPN", func(t *testing.T) {
		closeLatch(t, bob)
		if err := run("/usr/local/bin/unpairOVPN", "--user", bob); err != nil {
			t.Fatal(err)
		}
		v.expect(t, map[string]bool{bob: true})
		code, err := bed.server.Code(bob)
		if err != nil {
			t.Fatal(err)
		}
		if err := run("/usr/local/bin/pairOVPN", code, "--user", bob); err != nil {
			t.Fatal(err)
		}
		closeLatch(t, bob)
		v.expect(t, map[string]bool{bob: false})
	})
}

// TestNames has people write their names in other ways while their latches are closed. A directory that the name service
// does not know takes them for the same, which is imitated by a stack that takes any name.
func TestNames(t *testing.T) {
	v := startVPN(t, setting{})
	closeLatch(t, ana)
	spelled := map[string]bool{"ANA": false, "ana ": false, " Ana": false, "ana@EXAMPLE.ORG": false, `EXAMPLE\ana`: false}
	v.expect(t, spelled)
	writeStack(t, "auth required pam_permit.so", askLatch("auth"), askLatch("account"), "account required pam_permit.so")
	spelled["somebody"] = true // whom nobody has paired
	v.expect(t, spelled)
}

func askLatch(phase string) string { return phase + " required pam_latch.so profile=openvpn" }

// writeStack replaces the service file for the time of a test.
func writeStack(t *testing.T, lines ...string) {
	t.Helper()
	before, err := os.ReadFile(pamFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(pamFile, before, 0o644); err != nil {
			t.Error(err)
		}
	})
	if err := fixture.WriteService(filepath.Dir(pamFile), filepath.Base(pamFile), lines...); err != nil {
		t.Fatal(err)
	}
}

// TestOtherModulesTalk has other modules say what no name of the plugin's list matches. The plugin answers that with an
// error, and what the module makes of it decides the login: pam_unix, which warns of a password that expires, and pam_echo
// go on.
func TestOtherModulesTalk(t *testing.T) {
	v := startVPN(t, setting{edit: func(text string) string { return strings.Replace(text, "verb 3", "verb 7", 1) }})
	if err := run("chage", "-d", time.Now().Format(time.DateOnly), "-M", "5", "-W", "7", bob); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run("chage", "-M", "99999", bob) })
	v.expect(t, map[string]bool{bob: true})
	if err := os.WriteFile("/etc/notice", []byte("Welcome\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	writeStack(t, "auth required pam_echo.so file=/etc/notice", "auth required pam_permit.so", askLatch("auth"), askLatch("account"), "account required pam_permit.so")
	v.expect(t, map[string]bool{bob: true})
	for _, said := range []string{"your password will expire", "Welcome"} {
		if !strings.Contains(v.text(), said) {
			t.Errorf("%q was not said:\n%s", said, v.text())
		}
	}
}

// TestRenegotiation closes a latch while a tunnel runs. OpenVPN runs PAM anew when keys are renewed, and ends the tunnel
// when the keys of before are gone: with tran-window, before the next renewal. With tokens it does not come to PAM, or,
// with external-auth, hands them to PAM as passwords.
func TestRenegotiation(t *testing.T) {
	soon := func(text string) string {
		return strings.Replace(text, "tran-window 120", "tran-window 1", 1) + "reneg-sec 8\n"
	}
	v := startVPN(t, setting{edit: soon})
	token := v.beside(t, func(text string) string { return soon(text) + "auth-gen-token 28800 120\n" })
	external := v.beside(t, func(text string) string { return soon(text) + "auth-gen-token 28800 120 external-auth\n" })
	client, other := v.dial(t, ana, fixture.Password), v.dial(t, bob, fixture.Password)
	nocache := v.dial(t, ana, fixture.Password, "--auth-nocache")
	kept, lost := token.dial(t, ana, fixture.Password), external.dial(t, bob, fixture.Password)
	for _, p := range []*peer{client, other, nocache, kept, lost} {
		if p.await(clientIn, authFailed) != clientIn {
			t.Fatalf("no tunnel:\n%s", p.text())
		}
	}
	closeLatch(t, ana)
	for _, p := range []*peer{client, nocache} {
		if p.await(authFailed) == "" {
			t.Errorf("the tunnel goes on:\n%s\n%s", p.text(), v.text())
		}
	}
	if !strings.Contains(v.text(), "killed expiring key") {
		t.Errorf("it ended at the second renewal only:\n%s", v.text())
	}
	if strings.Contains(other.text(), authFailed) {
		t.Error("the other tunnel ended as well")
	}
	if token.await("auth-token authentication succeeded") == "" || strings.Contains(kept.text(), authFailed) {
		t.Errorf("with a token, renewed keys came to PAM:\n%s", token.text())
	}
	if lost.await(authFailed) == "" {
		t.Errorf("with external-auth a tunnel outlived its first renewal:\n%s", lost.text())
	}
}
