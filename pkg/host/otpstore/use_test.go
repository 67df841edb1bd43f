package otpstore

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
)

func TestOneTime(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	b.uses("", b.code(0), RightCode)
	b.uses("", b.code(0), Replayed)
	b.uses("", b.code(-1), Replayed)
	b.uses("", b.code(1), RightCode)
	old := b.code(1)
	b.now = b.now.Add(30 * time.Second)
	b.uses("", old, Replayed)
	b.uses("", old, Replayed)
	b.uses("", b.code(0)[:3]+" "+b.code(0)[3:], Replayed)
	b.now = b.now.Add(30 * time.Second)

	// A clock that is set back offers old steps again.
	back := newBed(t)
	back.enrol(totp())
	back.uses("", back.code(0), RightCode)
	back.now = back.now.Add(-10 * time.Minute)
	back.uses("", back.code(0), Replayed)
	back.now = back.now.Add(11 * time.Minute)
	back.uses("", back.code(0), RightCode)

	// A window that is opened wider offers older ones.
	wide := newBed(t)
	wide.enrol(totp())
	wide.uses("", wide.code(0), RightCode)
	opened := withNext(start.Unix()/30 + 1)
	opened.Window = 50
	wide.enrol(opened)
	wide.uses("", wide.code(-20), Replayed)
	wide.uses("", wide.code(20), RightCode)
	wide.uses("", wide.code(19), Replayed)
}

func TestTypedWithBlanks(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	c := b.code(0)
	b.uses("", c+strings.Repeat(" ", 100), Wrong)
	b.uses("", " "+c[:3]+" "+c[3:], RightCode)
	for _, typed := range []string{"", c + "0", "\x00" + c, strings.Repeat("9", 65536)} {
		b.uses("198.51.100.1", typed, Wrong)
	}
}

func TestHOTPAndResync(t *testing.T) {
	b := newBed(t)
	b.enrol(hotp())
	at := func(n int64) string {
		c, err := hotp().Code(seed, n)
		b.must(err)
		return c
	}
	b.uses("", at(0), RightCode)
	b.uses("", at(0), Replayed)
	b.uses("", at(11), RightCode)
	b.uses("", at(5), Replayed)
	b.uses("", at(23), Wrong)
	for _, c := range []struct {
		first, second int64
		want          bool
	}{{10, 11, false}, {11, 12, false}, {500, 502, false}, {500, 501, true}, {500, 501, false}} {
		if ok, err := b.Resync(t.Context(), "ana", at(c.first), at(c.second)); err != nil || ok != c.want {
			t.Errorf("%+v: %v, %v", c, ok, err)
		}
	}
	b.uses("1", at(500), Replayed)
	b.uses("1", at(501), Replayed)
	b.uses("1", at(502), RightCode)
	b.enrol(totp())
	if ok, err := b.Resync(t.Context(), "ana", at(1), at(2)); ok || err == nil {
		t.Error("TOTP was resynchronised")
	}
}

func TestRecoveryCodes(t *testing.T) {
	b := newBed(t)
	codes := otp.NewRecovery()
	var normal []string
	for _, c := range codes {
		n, _ := otp.NormalRecovery(c)
		normal = append(normal, n)
	}
	b.must(b.SetRecovery(t.Context(), "ana", 1000, append(normal, "12345678")))
	if r, err := b.Load("ana"); err != nil || r.RecoveryLeft() != 11 || r.Authenticator != nil {
		t.Errorf("%d left, %v", r.RecoveryLeft(), err)
	}
	if used := b.uses("", strings.ToLower(codes[3]), RightRecovery); used.Left != 10 {
		t.Errorf("%d left", used.Left)
	}
	b.uses("", codes[3], Wrong)
	b.uses("", "1234 5678", RightRecovery)
	b.uses("", "12345678", Wrong)
	b.enrol(totp())
	b.uses("", b.code(0), RightCode)
	for i, c := range codes {
		if i != 3 {
			b.uses("", c, RightRecovery)
		}
	}
	// New codes end the old ones.
	b.must(b.SetRecovery(t.Context(), "ana", 1000, normal[:1]))
	b.uses("", codes[1], Wrong)
	b.uses("", codes[0], RightRecovery)
}

// TestStrangers: a record is of no use to who has the name now, or to nobody.
func TestStrangers(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	for _, try := range []Try{{User: "ana", UID: 1001, Typed: b.code(0)}, {User: "bob", UID: 1000, Typed: b.code(0)}, {User: "", Typed: "1"}} {
		if used, err := b.Use(t.Context(), try); err == nil || used.Result != Failed {
			t.Errorf("%+v: %v, %v", try, used, err)
		}
	}
	if used, err := b.Use(t.Context(), Try{User: "ana", UID: -1, Typed: b.code(0)}); err != nil || used.Result != RightCode {
		t.Errorf("a uid that is not known: %v, %v", used, err)
	}
	// Enrolled anew by who has the name now, nothing of the old user's stays.
	b.must(b.SetRecovery(t.Context(), "ana", 1000, []string{"ABCDEFGHJK"}))
	b.must(b.Enrol(t.Context(), "ana", 1001, totp()))
	if r, err := b.Load("ana"); err != nil || r.Recovery != nil || r.UID != 1001 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRootsOwnCheck neither counts nor is limited, and uses the code up.
func TestRootsOwnCheck(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	for range 5 {
		b.uses("", "000000", Wrong)
	}
	b.uses("", b.code(0), Paused)
	for typed, want := range map[string]Result{"000000": Wrong, b.code(1): RightCode} {
		if used, err := b.Use(t.Context(), Try{User: "ana", UID: 1000, Typed: typed, Unlimited: true}); err != nil || used.Result != want {
			t.Errorf("%s: %v, %v", typed, used, err)
		}
	}
	b.uses("1", b.code(1), Replayed)
	b.uses("", b.code(2), Paused)
}

// TestSimultaneousLogins gives one code to many processes at once.
func TestSimultaneousLogins(t *testing.T) {
	rounds, logins := sample(2, 1), sample(100, 40)
	for range rounds {
		b := newBed(t)
		b.enrol(totp())
		step := start.Unix() / 30
		var all []*process
		for range logins {
			all = append(all, b.process(step, 1))
		}
		for _, p := range all {
			p.begin()
		}
		right := 0
		for _, p := range all {
			text := p.end()
			right += strings.Count(text, "right")
			if strings.Contains(text, "error") {
				t.Error(text)
			}
		}
		if right != 1 {
			t.Errorf("the code was right %d times", right)
		}
	}
}

// TestKilled kills logins after some that succeeded and starts them again from well before where they were: no step is right
// twice, and the record is never damaged.
func TestKilled(t *testing.T) {
	b := newBed(t)
	first := start.Unix() / 30
	b.enrol(withNext(first))
	seen := map[int64]bool{}
	for next, kills := first, 0; kills < sample(60, 20); kills++ {
		p := b.process(max(first, next-5), 1_000_000)
		p.begin()
		for _, line := range strings.Split(strings.TrimSpace(p.killAfter(1+rand.N(3))), "\n") {
			word, number, _ := strings.Cut(line, " ")
			step, err := strconv.ParseInt(number, 10, 64)
			if line == "" || err != nil && word == "right" {
				continue // killed in the middle of the line
			}
			if word != "right" || seen[step] {
				t.Fatalf("after %d kills: %q", kills, line)
			}
			seen[step] = true
			next = max(next, step+1)
		}
		r, err := b.Load("ana")
		if err != nil {
			t.Fatalf("after %d kills: %v", kills, err)
		}
		if r.Authenticator.Next < next {
			t.Fatalf("after %d kills: step %d was right, the record says %d", kills, next-1, r.Authenticator.Next)
		}
		next = max(next, r.Authenticator.Next)
		// The failures that the old codes counted are not what this is about.
		b.must(os.Remove(filepath.Join(b.Dir, "ana")))
		b.enrol(withNext(r.Authenticator.Next))
	}
}

func withNext(n int64) Authenticator {
	a := totp()
	a.Next = n
	return a
}

// TestNothingIsRightThatWasNotKept spoils the write.
func TestNothingIsRightThatWasNotKept(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	b.must(os.Remove(b.KeyFile))
	if used, err := b.Use(t.Context(), Try{User: "ana", UID: 1000, Typed: b.code(0)}); !errors.Is(err, ErrNoKey) || used.Result != Failed {
		t.Errorf("without a key: %v, %v", used, err)
	}
}

// TestLostRecords: with its key there and the directory gone, nobody counts as one who was never enrolled.
func TestLostRecords(t *testing.T) {
	b := newBed(t)
	if _, err := b.Load("eva"); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("before anything: %v", err)
	}
	b.enrol(totp())
	if _, err := b.Load("eva"); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("another user's: %v", err)
	}
	if err := os.RemoveAll(b.Dir); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ana", "eva"} {
		if _, err := b.Load(user); errors.Is(err, ErrNotEnrolled) || !errors.Is(err, ErrNoRecords) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if err := os.Mkdir(b.Dir, 0o700); err != nil { // as systemd-tmpfiles does when the machine starts
		t.Fatal(err)
	}
	if _, err := b.Load("ana"); !errors.Is(err, ErrNoRecords) {
		t.Errorf("with an empty directory: %v", err)
	}
	if err := os.Remove(b.KeyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Load("ana"); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("as if nothing had ever been: %v", err)
	}
}

// TestRecoveryAlone is a prompt for the server's token: it takes recovery codes, and no code of an authenticator, however long.
func TestRecoveryAlone(t *testing.T) {
	b := newBed(t)
	eight := totp()
	eight.Digits = 8
	b.enrol(eight)
	if err := b.SetRecovery(t.Context(), "ana", 1000, []string{"ABCDEFGHJK"}); err != nil {
		t.Fatal(err)
	}
	code, err := eight.Code(eight.Secret, b.now.Unix()/30)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typed string
		want  Result
	}{{code, Wrong}, {"ABCDE-FGHJK", RightRecovery}, {"ABCDE-FGHJK", Wrong}} {
		used, err := b.Use(t.Context(), Try{User: "ana", UID: 1000, Typed: c.typed, Recovery: true})
		if err != nil || used.Result != c.want || !IsRecovery(c.typed) {
			t.Errorf("%s: %v, %v; want %v", c.typed, used.Result, err, c.want)
		}
	}
	b.uses("", code, RightCode)
	if IsRecovery("g4K9wz") || IsRecovery("") {
		t.Error("a token looks like a recovery code")
	}
}

// TestBypassOfAContainer: one that starts anew counts its seconds from 0 again, under the same start of the machine.
func TestBypassOfAContainer(t *testing.T) {
	boot, up, err := uptime()
	if err != nil {
		t.Fatal(err)
	}
	for lasts, want := range map[float64]bool{7200: true, 900: false, 0: false} {
		b := &Bypass{BootID: boot, Until: up + 3600, Lasts: lasts}
		if left, err := b.Left(); err != nil || (left > 0) != want {
			t.Errorf("given for %v s: %v left, %v", lasts, left, err)
		}
	}
}
