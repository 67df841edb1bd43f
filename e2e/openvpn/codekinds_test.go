package openvpn

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// codeTable is what a server does with every kind of code that a person has before the latch is asked: the reason in the log. The
// server's own token is TestTokenOfTheServer's.
const codeTable = `
kind         user  right     replayed   wrong      overlong   missing         expired
totp         ana   open-otp  otp-used   otp-wrong  otp-wrong  otp-cannot-ask  otp-expired
hotp         bob   open-otp  otp-used   otp-wrong  otp-wrong  otp-cannot-ask  otp-expired
recovery     eva   unpaired-open-otp  otp-wrong  otp-wrong  otp-wrong  otp-cannot-ask  otp-wrong
server-totp  ana   open-otp  otp-used   otp-wrong  otp-wrong  otp-cannot-ask  otp-wrong
`

var codeStore = otpstore.At("/var/lib/latch", "/etc/latch/otp.key")

// forget ends a user's codes.
func forget(t *testing.T, user string) {
	t.Helper()
	if err := codeStore.Remove(context.Background(), user); err != nil && !errors.Is(err, otpstore.ErrNotEnrolled) {
		t.Fatal(err)
	}
}

// enrolKind gives a user codes of a kind, too old ones where old is set, and returns what is right now.
func enrolKind(t *testing.T, kind, user string, old bool) string {
	t.Helper()
	forget(t, user)
	n := time.Now().Unix() / 30
	if kind == "server-totp" {
		seed, err := fixture.EnrolAtServer(confFile, codeStore, user, -1)
		if err != nil {
			t.Fatal(err)
		}
		n++ // the server takes the next code too, which is good for longer
		if old {
			n -= 20
		}
		return codeOf(t, otp.Standard(), seed, n)
	}
	if _, err := codeStore.CreateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kind == "recovery" {
		set := []string{"ABCDEFGHJK", "0123456789"}
		if old { // a new set ends the one before
			set = []string{"ZZZZZZZZZZ"}
		}
		if err := codeStore.SetRecovery(t.Context(), user, -1, set); err != nil {
			t.Fatal(err)
		}
		return fixture.RecoveryCode
	}
	a := otpstore.Authenticator{Parameters: otp.Standard(), Secret: fixture.Seed, Window: fixture.Window, Enrolled: time.Now().Unix()}
	if kind == "hotp" {
		a.Parameters, n = otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6}, 0
	}
	if old {
		a.Enrolled, a.Lifetime = a.Enrolled-3600, 60
	}
	if err := codeStore.Enrol(t.Context(), user, -1, a); err != nil {
		t.Fatal(err)
	}
	return codeOf(t, a.Parameters, a.Secret, n)
}

func codeOf(t *testing.T, p otp.Parameters, seed string, n int64) string {
	t.Helper()
	c, err := p.Code(seed, n)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEveryKindOfCode holds a real server and real clients to the table.
func TestEveryKindOfCode(t *testing.T) {
	configure(t, bed.conf.With("otp", "totp"))
	v := startVPN(t, setting{})
	for _, user := range []string{ana, bob, eva} {
		t.Cleanup(func() { forget(t, user) })
	}
	lines := strings.Split(strings.TrimSpace(codeTable), "\n")
	columns := strings.Fields(lines[0])
	for _, kinds := range [][]string{lines[1:4], lines[4:]} {
		if strings.HasPrefix(kinds[0], "server-totp") {
			configure(t, bed.conf.With("otp", "server-totp"))
		}
		right := map[string]string{}
		for _, old := range []bool{false, true} {
			for _, line := range kinds {
				f := strings.Fields(line)
				if code := enrolKind(t, f[0], f[1], old); !old || f[0] == "server-totp" {
					right[f[0]] = code
				}
			}
			rounds := [][]string{{"right"}, {"replayed", "wrong", "overlong", "missing"}}
			if old {
				rounds = [][]string{{"expired"}}
			}
			for _, round := range rounds {
				v.try(t, kinds, columns, round, right)
			}
		}
	}
}

// try dials for every kind and column of a round, side by side.
func (v *vpn) try(t *testing.T, kinds, columns, round []string, right map[string]string) {
	t.Helper()
	type attempt struct {
		client       *peer
		user, reason string
	}
	var all []attempt
	for _, line := range kinds {
		f := strings.Fields(line)
		for i, column := range columns {
			for _, wanted := range round {
				if column != wanted {
					continue
				}
				typed, known := map[string]string{"wrong": "999999", "overlong": strings.Repeat("9", 60), "missing": ""}[column]
				if !known {
					typed = right[f[0]]
				}
				all = append(all, attempt{v.dial(t, f[1], withCode(typed)), f[1], f[i]})
			}
		}
	}
	for _, a := range all {
		if in := v.gotIn(t, a.client); in != strings.Contains(a.reason, "open") {
			t.Errorf("%s, %v: in is %v, want %q", a.user, round, in, a.reason)
		}
		if len(bed.log.Await(`user="`+a.user+`"`, `reason="`+a.reason+`"`)) == 0 {
			t.Errorf("%s, %v: no log line with %q", a.user, round, a.reason)
		}
	}
}
