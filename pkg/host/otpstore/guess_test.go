package otpstore

import (
	"fmt"
	"testing"
	"time"
)

// TestPause: five wrong codes from one address end its say for ten minutes, twenty, forty, at most 160. Others are heard.
func TestPause(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	for _, minutes := range []int{10, 20, 40, 80, 160, 160} {
		for range burst {
			b.uses("198.51.100.1", "000000", Wrong)
		}
		used := b.uses("198.51.100.1", b.code(0), Paused)
		if want := b.now.Add(time.Duration(minutes) * time.Minute); !used.Until.Equal(want) {
			t.Errorf("paused until %v, want %v", used.Until, want)
		}
		b.uses("198.51.100.2", b.code(0), RightCode)
		b.now = used.Until.Add(-time.Second)
		b.uses("198.51.100.1", b.code(0), Paused)
		b.now = used.Until
	}
	// A day of peace, and it begins with ten minutes again.
	b.now = b.now.Add(day)
	for range burst {
		b.uses("198.51.100.1", "000000", Wrong)
	}
	if used := b.uses("198.51.100.1", "000000", Paused); used.Until.Sub(b.now) != 10*time.Minute {
		t.Errorf("after a day: paused for %v", used.Until.Sub(b.now))
	}
}

func TestSuccessForgetsFailures(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	for i := range 3 {
		for range burst - 1 {
			b.uses("", "000000", Wrong)
		}
		b.uses("", b.code(0), RightCode)
		b.now = b.now.Add(30 * time.Second)
		if r, err := b.Load("ana"); err != nil || len(r.Guesses.Sources) != 0 {
			t.Errorf("round %d: %v", i, err)
		}
	}
}

// TestClockSetBack: a pause neither ends nor lasts until the old time comes again.
func TestClockSetBack(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	for range burst {
		b.uses("", "000000", Wrong)
	}
	b.now = b.now.Add(-48 * time.Hour)
	b.uses("", b.code(0), Paused)
	b.now = b.now.Add(10*time.Minute - time.Second)
	b.uses("", b.code(0), Paused)
	b.now = b.now.Add(time.Second)
	b.uses("", b.code(0), RightCode)
}

// TestDay: many addresses guess at one user. Who was right before is heard still, and recovery codes are too long to be guessed.
func TestDay(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	b.must(b.SetRecovery(t.Context(), "ana", 1000, []string{"ABCDEFGHJK"}))
	b.uses("192.0.2.1", b.code(0), RightCode)
	for i := range perDay {
		b.uses(fmt.Sprint("198.51.100.", i), "000000", Wrong)
	}
	b.uses("203.0.113.9", b.code(1), DayFull)
	b.uses("192.0.2.1", b.code(1), RightCode)
	b.uses("203.0.113.9", "ABCDE-FGHJK", RightRecovery)
	b.uses("203.0.113.10", b.code(2), DayFull)
	b.now = b.now.Add(day)
	b.uses("203.0.113.10", b.code(0), RightCode)
}

// TestRecordStaysSmall: whoever guesses cannot make it grow past what is read.
func TestRecordStaysSmall(t *testing.T) {
	var g Guesses
	for i := range 5000 {
		g.failed(fmt.Sprintf("2001:db8:%x::/64", i), start.Unix()+int64(i))
	}
	for i := range 100 {
		g.succeeded(fmt.Sprint("192.0.2.", i))
	}
	if err := g.check(); err != nil || len(g.Sources) != maxSources || len(g.Known) != maxKnown {
		t.Errorf("%d sources, %d known, %v", len(g.Sources), len(g.Known), err)
	}
}

func TestAddressKey(t *testing.T) {
	for connection, want := range map[string]string{
		"":                                  "",
		"203.0.113.7 4000 198.51.100.1 22":  "203.0.113.7",
		"2001:db8:1:2:3::4 4000 ::1 22":     "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::9 1 ::1 22":     "2001:db8:1:2::/64",
		"fe80::1%eth0 1 fe80::2%eth0 22":    "fe80::/64",
		"::ffff:203.0.113.7 1 ::1 22":       "203.0.113.7",
		"evil.example.org 1 198.51.100.1 2": "",
		"UNKNOWN 1 2 3":                     "",
	} {
		if got := AddressKey(connection); got != want {
			t.Errorf("%q: %q, want %q", connection, got, want)
		}
	}
}
