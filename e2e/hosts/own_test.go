package hosts

import (
	"context"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// TestOwnAuthenticator is otp = server-totp for who has enrolled at the server's own page, and has nothing on this machine.
func TestOwnAuthenticator(t *testing.T) {
	configure(t, bed.conf.With("otp", "server-totp"))
	phone, err := store.Open(bed.server.Data, store.Options{}) // beside the server, as its commands do
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	steps := int64(0)
	try := func(name, typed string, in bool, reason string) {
		t.Helper()
		a := su(unpaired, opened)
		a.stdin += typed + "\n"
		if r := a.run(); r.in(opened) != in {
			t.Errorf("%s: in = %v, want %v\n%s", name, !in, in, r.stderr)
		}
		if len(bed.log.Await(`user="`+opened+`"`, `service="su"`, `reason="`+reason+`"`)) == 0 {
			t.Errorf("%s: no log line with %q", name, reason)
		}
	}
	next := func() string {
		c, err := otp.Code(fixture.Seed, time.Now().Unix()/30+steps)
		if err != nil {
			t.Fatal(err)
		}
		steps++
		return c
	}
	try("not enrolled", "123456", false, "otp-not-enrolled")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	must(phone.BeginOwnTOTP(ctx, opened, fixture.Seed))
	must(phone.ProveOwnTOTP(ctx, opened, func(string, int64) (int64, bool) { return time.Now().Unix()/30 - 2, true }))
	defer phone.RemoveOwnTOTP(ctx, opened)
	right := next()
	try("wrong", "000000", false, "otp-wrong")
	try("right", right[:3]+" "+right[3:], true, "open-otp")
	try("the same again", right, false, "otp-wrong")
	enrolled(t) // an authenticator of this machine's is another matter, and its recovery codes count here too
	try("beside one of this machine's", next(), true, "open-otp")
	try("a recovery code", fixture.RecoveryCode, true, "open-otp")
	must(phone.RemoveOwnTOTP(ctx, opened))
	try("removed on the page", "123456", false, "otp-not-enrolled")
}
