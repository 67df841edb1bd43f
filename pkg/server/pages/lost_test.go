package pages

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// Strangers may try recovery codes of anybody; the owner's second step is not theirs to use up.
func TestStrangersAtLostLeaveTheSecondStepAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, row := b.join("ana")
	code := b.authenticator(row)
	stranger := b.client()
	for range 8 {
		stranger.refused("/lost", url.Values{"name": {"ana"}, "proof": {otp.NewRecovery()[0]}}, 422, "lost.wrong")
	}
	owner := b.client()
	owner.post("/signin", signIn("ana", goodPassword))
	if to := owner.post("/signin/step", url.Values{"code": {code()}}); to != "/" || !owner.in() {
		t.Errorf("led to %q", to)
	}
}

func TestWhatABrowserCallsItselfIsBounded(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	b.pair("ana", b.application("servers"))
	c.header.Set("User-Agent", "a\u009b2J\u202e"+strings.Repeat("x", 5000))
	c.post("/latch/close", url.Values{})
	list, err := b.store.Log("ana", 1)
	b.must(err)
	if got := list[0].UserAgent; len(got) > 300 || !strings.HasPrefix(got, "a\ufffd2J\ufffdx") {
		t.Errorf("kept %d bytes: %.20q", len(got), got)
	}
}

func TestStrangersWriteNoLog(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	var lines bytes.Buffer
	b.site.log = slog.New(slog.NewTextHandler(&lines, nil))
	c := b.client()
	for _, path := range []string{"/no-such-page?fragment=1", "/signin?fragment=1", "/close/x?fragment=1", "/link/x?fragment=1", "/?fragment=1", "/admin?fragment"} {
		if got := c.do("GET", path, nil).StatusCode; got < 400 || got >= 500 {
			t.Errorf("GET %s: %d", path, got)
		}
	}
	c.do("POST", "/signin/passkey/options", url.Values{})
	if resp := c.do("POST", "/signin/passkey", url.Values{"id": {"nonsense"}}); resp.StatusCode != 422 {
		t.Errorf("a passkey of nonsense: %s", resp.Status)
	}
	if lines.Len() > 0 {
		t.Errorf("logged %s", lines.String())
	}
}

// The password may be changed while the one of before is being checked: that takes its time when many sign in.
func TestAPasswordThatIsChangedMeanwhileLetsNobodyIn(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, row := b.join("ana")
	b.site.store = changing{b.store, func() { b.must(b.store.SetPassword(b.ctx, row, "new", 0)) }}
	c := b.client()
	if resp := c.do("POST", "/signin", signIn("ana", goodPassword)); resp.StatusCode != 403 || c.in() {
		t.Errorf("answered %s, signed in: %v", resp.Status, c.in())
	}
}

// changing is a store that does something once a guess was right.
type changing struct {
	store.Backend
	change func()
}

func (s changing) GuessedRight(ctx context.Context, g store.Guess) error {
	s.change()
	return s.Backend.GuessedRight(ctx, g)
}

// A session of before the second factor was enrolled does not count as one in which it was shown.
func TestAFactorThatWasEnrolledElsewhereIsAskedFor(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, row := b.join("ana")
	c.get("/account/passkeys/new")
	b.authenticator(row)
	if to := c.do("GET", "/account/passkeys/new", nil).Header.Get("Location"); !strings.HasPrefix(to, "/prove") {
		t.Errorf("led to %q", to)
	}
	if to := c.post("/account/recovery/new", url.Values{}); !strings.HasPrefix(to, "/prove") {
		t.Errorf("led to %q", to)
	}
}

func TestLostPhone(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	old, row := b.join("ana")
	b.authenticator(row)
	codes := b.recovery(row)
	c := b.client()
	c.refused("/lost", url.Values{"name": {"ana"}, "proof": {"not the one"}}, 422, "lost.wrong")
	if !old.in() {
		t.Fatal("a stranger ended the session")
	}
	if to := c.post("/lost", url.Values{"name": {"ana"}, "proof": {goodPassword}}); to != "/signin" || old.in() {
		t.Fatalf("to %q", to)
	}
	c.post("/signin", signIn("ana", goodPassword))
	if page := c.get("/signin/step"); !strings.Contains(page, "You said that you lost your phone") {
		t.Error(page)
	}
	if to := c.post("/signin/step", url.Values{"code": {codes[0]}}); to != "/signin/back" || c.in() {
		t.Fatalf("a recovery code leads to %q", to)
	}
	c.get("/signin/back")
	if to := c.post("/signin/back", url.Values{"password": {otherPassword}, "again": {otherPassword}}); to != recoveryPath || !c.in() {
		t.Fatalf("back at %q", to)
	}
	b.client().refused("/signin", signIn("ana", goodPassword), 422, "signin.wrong")
	b.client().refused("/lost", url.Values{"name": {"ana"}, "proof": {codes[1]}}, 422, "lost.wrong") // one of before
	// A recovery code alone closes everything too, and its person is back in one go.
	d := b.client()
	if to := d.post("/lost", url.Values{"name": {"ana"}, "proof": {b.recovery(row)[0]}}); to != "/signin/back" || c.in() {
		t.Fatalf("by a code: to %q", to)
	}
	d.post("/signin/back", url.Values{"password": {goodPassword}, "again": {goodPassword}})
	// And a browser that is signed in needs nothing.
	if to := d.post("/lost", url.Values{}); to != "/signin" || d.in() {
		t.Errorf("signed in: to %q", to)
	}
	if u, err := b.store.UserByRow(row); err != nil || !u.Lost {
		t.Errorf("lost %v, %v", u.Lost, err)
	}
}

// TestAPasswordThatLooksLikeACode: Crockford's Base32 has ten-letter words in it.
func TestAPasswordThatLooksLikeACode(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	old, row := b.join("ana")
	const wordlike = "brightmoon"
	phc, err := b.site.hasher.Hash(b.ctx, wordlike)
	b.must(err)
	b.must(b.store.SetPassword(b.ctx, row, phc, b.session(row)))
	if to := b.client().post("/lost", url.Values{"name": {"ana"}, "proof": {wordlike}}); to != "/signin" || old.in() {
		t.Errorf("to %q, still signed in: %v", to, old.in())
	}
}
