package hosts

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/otpstore"
)

// guessBed is a user with a token that counts, so that there are many codes, who logs in from many addresses.
type guessBed struct {
	*testing.T
	next int64
}

// from logs in from an address with a code.
func (g *guessBed) from(address, text string) result {
	g.Helper()
	to := "127.0.0.1"
	if strings.Contains(address, ":") {
		to = "2001:db8::1"
	}
	return sshResult(client("keyboard-interactive", fixture.Password, written(g.T, text), "ssh", "-b", address, opened+"@"+to, proveIt))
}

// wrong types wrong codes, one each, from addresses at the same time.
func (g *guessBed) wrong(addresses ...string) {
	g.Helper()
	var all sync.WaitGroup
	for _, a := range addresses {
		all.Go(func() {
			if g.from(a, "no-code").in(opened) {
				g.Errorf("from %s: in with a wrong code", a)
			}
		})
	}
	all.Wait()
}

// right types the next code from an address, and wants it heard or not.
func (g *guessBed) right(address string, heard bool) {
	g.Helper()
	c, err := counting.Code(fixture.Seed, g.next)
	if err != nil {
		g.Fatal(err)
	}
	if heard {
		g.next++
	}
	if r := g.from(address, c); r.in(opened) != heard {
		g.Errorf("from %s: in is %v\n%s", address, !heard, r.stderr)
	}
}

// TestGuessingFromManyAddresses: whoever guesses is paused where the guesses come from, an IPv4 address or an IPv6 /64, and the
// user goes on elsewhere; after fifty in a day only recovery codes are heard, and addresses where a code was right before.
func TestGuessingFromManyAddresses(t *testing.T) {
	configure(t, bed.conf.With("otp", "totp"))
	for _, address := range []string{"2001:db8::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3", "2001:db8:0:2::2"} {
		if out, err := exec.Command("ip", "addr", "replace", address+"/128", "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := anew(opened, counting, time.Now(), otpstore.ForEver); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := codeStore.Remove(context.Background(), opened); err != nil {
			t.Error(err)
		}
	})
	g := &guessBed{T: t}
	const thief, home, office, stranger = "127.0.0.2", "127.0.0.3", "2001:db8:0:2::2", "127.0.0.4"
	g.wrong(thief, thief, thief, thief, thief)
	g.right(thief, false)
	if len(bed.log.Await(`user="opened"`, `reason="otp-paused"`, `rhost="`+thief+`"`, "until")) == 0 {
		t.Error("the log does not tell of the pause")
	}
	g.right(home, true)

	// Five from two addresses of one /64.
	near, far := "2001:db8:0:1::2", "2001:db8:0:1:ffff::3"
	g.wrong(near, far, near, far, near)
	g.right(far, false)
	g.right(office, true)

	// The rest of the fifty comes from all over the world.
	for i := range 50 {
		try := otpstore.Try{User: opened, UID: uidOf(opened), Address: fmt.Sprintf("203.0.113.%d", i), Typed: "no-code"}
		if _, err := codeStore.Use(t.Context(), try); err != nil {
			t.Fatal(err)
		}
	}
	g.right(stranger, false)
	if len(bed.log.Await(`user="opened"`, `reason="otp-paused"`, `rhost="`+stranger+`"`, "today")) == 0 {
		t.Error("the log does not tell of the day")
	}
	g.right(home, true)
	g.right(office, true)
	if err := setRecovery(opened, fixture.RecoveryCode); err != nil {
		t.Fatal(err)
	}
	if r := g.from(stranger, fixture.RecoveryCode); !r.in(opened) {
		t.Errorf("a recovery code is not heard\n%s", r.stderr)
	}
	if len(bed.log.Await(`<84>`, `opened user="opened"`, "a recovery code was used up, 0 are left")) == 0 {
		t.Error("a recovery code is not told of as a warning")
	}
}
