package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/relay"
	"github.com/latch-linux/latch/pkg/otp"
)

// usual is an authenticator that leaves window and lifetime to latch.conf.
func usual() otpstore.Authenticator {
	return otpstore.Authenticator{Parameters: otp.Standard(), Secret: fixture.Seed, Window: otpstore.UsualWindow, Enrolled: time.Now().Unix()}
}

// records is where ana's record lies, with a key to seal it.
func (s *site) records() otpstore.Store {
	s.t.Helper()
	store := otpstore.At(s.settings["state_dir"], s.settings["otp_key"])
	_, err := store.CreateKey(s.t.Context())
	must(s.t, err)
	return store
}

// TestWindowOfTheConfiguration: otp_window is tested forwards and backwards, and holds for whoever was enrolled before it was set.
func TestWindowOfTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		window string
		steps  int64
		want   byte
		reason string
	}{
		"ahead":         {"10", 5, relay.Success, "open-otp"},
		"behind":        {"10", -5, relay.Success, "open-otp"},
		"too far ahead": {"1", 5, relay.Refuse, "otp-wrong"},
		"by default":    {"", -5, relay.Refuse, "otp-wrong"},
		"none":          {"0", 5, relay.Refuse, "otp-wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none")
			must(t, s.records().Enrol(t.Context(), "ana", 1000, usual()))
			s.set("otp", "totp")
			if c.window != "" {
				s.set("otp_window", c.window)
			}
			code, err := otp.Code(fixture.Seed, time.Now().Unix()/30+c.steps)
			must(t, err)
			types(t, s.hello(nil), "\x00"+code, c.want, c.reason)
		})
	}
}

// TestClearRecords: a record that is not sealed is read, and keeps its form, unless latch.conf refuses such.
func TestClearRecords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("none")
	store := s.records()
	store.Clear = true
	must(t, store.Enrol(t.Context(), "ana", 1000, usual()))
	isClear := func(want bool) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(store.Dir, "ana"))
		if err != nil || bytes.Contains(text, []byte(fixture.Seed)) != want {
			t.Errorf("the seed can be read: %v, %v", !want, err)
		}
	}
	s.set("otp", "totp")
	types(t, s.hello(nil), "\x00"+code(t), relay.Success, "open-otp")
	isClear(true)
	s.set("otp_refuse_clear", "yes")
	decides(t, s.hello(nil), relay.Refuse, "otp-failure").logged("is not sealed")
	if sealed, err := store.Encrypt(t.Context(), "ana"); !sealed || err != nil {
		t.Errorf("%v, %v", sealed, err)
	}
	types(t, s.hello(nil), "\x00000000", relay.Refuse, "otp-wrong")
	isClear(false)
}
