package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// TestOTPStatusOfGuesses shows who guesses, who is not listened to and until when, and the day that is full.
func TestOTPStatusOfGuesses(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	_, err := store.CreateKey(t.Context())
	w.must(err)
	secret := otp.Standard().NewSecret()
	w.must(store.Enrol(t.Context(), "ana", 7001, otpstore.Authenticator{Parameters: otp.Standard(), Secret: secret, Window: 1}))
	try := func(address, typed string, want otpstore.Result) {
		t.Helper()
		used, err := store.Use(t.Context(), otpstore.Try{User: "ana", UID: 7001, Address: address, Typed: typed})
		if err != nil || used.Result != want {
			t.Fatalf("%q from %q: %v, %v", typed, address, used, err)
		}
	}
	status := func() map[string]any {
		t.Helper()
		return w.object(cli.ExitOK, "otp", "status", "--user", "ana")["otp"].(map[string]any)
	}
	try("192.0.2.1", w.codeAt(secret, 0), otpstore.RightCode)
	try("2001:db8::/64", "none", otpstore.Wrong)
	try("", "none", otpstore.Wrong)
	for range 5 {
		try("198.51.100.7", "none", otpstore.Wrong)
	}
	try("198.51.100.7", w.codeAt(secret, 1), otpstore.Paused)
	s := status()
	from := s["wrong_from"].([]any)
	if s["wrong_today"] != 7.0 || s["heard"] != "every address" || len(from) != 3 || fmt.Sprint(s["known_addresses"]) != "[192.0.2.1]" {
		t.Errorf("status %v", s)
	}
	last := from[2].(map[string]any)
	if last["address"] != "198.51.100.7" || last["pauses"] != 1.0 || last["paused_until"] == nil || from[0].(map[string]any)["paused_until"] != nil {
		t.Errorf("from %v", from)
	}
	text := w.ok("otp", "status", "--user", "ana")
	for _, want := range []string{"2001:db8::/64 (1), local (1), 198.51.100.7 (pause 1, until 2", "known addresses      192.0.2.1"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for n := 7; n < otpstore.MaxToday; n++ {
		try(fmt.Sprintf("203.0.113.%d", n), "none", otpstore.Wrong)
	}
	try("203.0.113.254", w.codeAt(secret, 1), otpstore.DayFull)
	if s := status(); s["wrong_today"] != 50.0 || s["heard"] != "known addresses, and recovery codes" {
		t.Errorf("status %v", s)
	}
}
