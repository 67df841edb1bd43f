package openvpn

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pam/testbed"
)

func TestLogins(t *testing.T) {
	v := startVPN(t, setting{})
	t.Run("open", func(t *testing.T) {
		v.expect(t, ana, true)
		if v.isIn(t, ana, "wrong") {
			t.Error("a wrong password is in")
		}
	})
	t.Run("two users of whom one is closed", func(t *testing.T) {
		closeLatch(t, ana)
		v.expect(t, ana, false)
		v.expect(t, bob, true)
		if bed.log.Await("latch-auth", `service="openvpn"`, `user="ana"`, "closed") == nil {
			t.Error("the log does not say why")
		}
	})
	t.Run("unpaired", func(t *testing.T) {
		v.expect(t, eva, true)
		configure(t, bed.conf.With("unpaired", "close"))
		v.expect(t, eva, false)
	})
	for action, in := range map[string]bool{"open": true, "close": false} {
		t.Run("unreachable, action "+action, func(t *testing.T) {
			configure(t, bed.conf.With("latch_host", nowhere).With("action", action))
			v.expect(t, ana, in)
		})
	}
	t.Run("unpairOVPN and pairOVPN", func(t *testing.T) {
		closeLatch(t, bob)
		v.expect(t, bob, false)
		if err := run("/usr/local/bin/unpairOVPN", "--user", bob); err != nil {
			t.Fatal(err)
		}
		v.expect(t, bob, true)
		code, err := bed.server.Code(bob)
		if err != nil {
			t.Fatal(err)
		}
		if err := run("/usr/local/bin/pairOVPN", code, "--user", bob); err != nil {
			t.Fatal(err)
		}
		closeLatch(t, bob)
		v.expect(t, bob, false)
	})
}

// TestRenegotiation closes a latch while a tunnel runs. OpenVPN runs PAM anew when keys are renewed, and ends the tunnel
// when the keys of before are gone: with tran-window, before the next renewal.
func TestRenegotiation(t *testing.T) {
	v := startVPN(t, setting{edit: func(text string) string {
		return strings.Replace(text, "tran-window 120", "tran-window 2", 1) + "reneg-sec 6\n"
	}})
	client, other := v.dial(t, ana, testbed.Password), v.dial(t, bob, testbed.Password)
	if client.await(clientIn, authFailed) != clientIn || other.await(clientIn, authFailed) != clientIn {
		t.Fatal("no tunnel")
	}
	closeLatch(t, ana)
	if client.await(authFailed) == "" {
		t.Errorf("the tunnel goes on:\n%s", v.text())
	}
	if !strings.Contains(v.text(), "killed expiring key") {
		t.Errorf("it ended at the second renewal only:\n%s", v.text())
	}
	if strings.Contains(other.text(), authFailed) {
		t.Error("the other tunnel ended as well")
	}
}

// TestCode hands the answer to a static challenge to the latch's question. A Latch server makes its token when it is
// asked, which is after the client has sent its answer: an old token is refused, and the log says that it was one.
func TestCode(t *testing.T) {
	v := startVPN(t, setting{flags: []string{"--otp", "yes"}})
	withCode := func(code string) string {
		return "SCRV1:" + base64.StdEncoding.EncodeToString([]byte(testbed.Password)) + ":" + base64.StdEncoding.EncodeToString([]byte(code))
	}
	if !v.isIn(t, ana, withCode("000000")) {
		t.Error("refused where the server demands no code")
	}
	if err := bed.server.DemandTokens(bed.app.ID, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.server.DemandTokens(bed.app.ID, false); err != nil {
			t.Error(err)
		}
	})
	v.expect(t, ana, false) // no code at all
	token, err := bed.server.Token(ana)
	if err != nil {
		t.Fatal(err)
	}
	if v.isIn(t, ana, withCode(token)) {
		t.Error("an earlier login's token is good for this one")
	}
	if bed.log.Await("latch-auth", `user="ana"`, "code") == nil {
		t.Error("the log does not tell of the code")
	}
}
