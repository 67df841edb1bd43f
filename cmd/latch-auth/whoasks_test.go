package main_test

import (
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// TestUnpairedIsAskedToo: the pairing decides about the latch, the record about the code.
func TestUnpairedIsAskedToo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.pair("")
	s.set("otp", "totp")
	store := s.enrol()
	g := s.hello(nil)
	types(t, g, "\x00000000", relay.Refuse, "otp-wrong")
	types(t, g, "\x00"+code(t), relay.Success, "unpaired-open-otp")
	eva := s.hello(func(g *relay.Greeting) { g.User, g.Canonical, g.UID = "eva", "eva", 1001 })
	decides(t, eva, relay.Ignore, "unpaired-open")
	g.Phase = relay.Account
	decides(t, g, relay.Ignore, "unpaired-open")
	must(t, store.Excuse(t.Context(), "ana", 1000, otpstore.Bypass{Reason: "lost the phone", By: "root"}, otpstore.MaxBypass))
	g.Phase = relay.Auth
	decides(t, g, relay.Success, "unpaired-open-otp-excused")

	s.set("otp_required", "yes")
	decides(t, eva, relay.Refuse, "otp-not-enrolled").logged("latch otp enroll --user eva")
	eva.Phase = relay.Account
	decides(t, eva, relay.Ignore, "unpaired-open")
	eva.SSHConnection = "203.0.113.7 4000 198.51.100.1 22"
	decides(t, eva, relay.Refuse, "otp-not-enrolled")
	s.set("exempt_users", "eva")
	decides(t, eva, relay.Ignore, "exempt-user")
	s.set("unpaired", "close")
	decides(t, g, relay.Refuse, "unpaired-close")
}

// TestOtherSpellings: a directory that no name service knows of takes them for ana, so her record counts for them, paired or not.
func TestOtherSpellings(t *testing.T) {
	t.Parallel()
	for what, pairings := range map[string]string{"paired": "", "not paired": "\n"} {
		s := newSite(t)
		s.serve("none")
		if pairings != "" {
			s.pair(pairings)
		}
		s.set("otp", "totp")
		store := s.enrol()
		as := func(name string) relay.Greeting {
			return s.hello(func(g *relay.Greeting) { g.User, g.NSS, g.UID, g.Canonical = name, relay.Unknown, 0, "" })
		}
		for _, name := range []string{"ana", "ANA", " Ana ", "ana@EXAMPLE.ORG", `EXAMPLE\ana`} {
			types(t, as(name), "\x00", relay.Refuse, "otp-cannot-ask")
		}
		reply := code(t)
		opens := map[string]string{"paired": "open-otp", "not paired": "unpaired-open-otp"}[what]
		types(t, as("ANA"), "\x00"+reply, relay.Success, opens)
		types(t, as("ana@EXAMPLE.ORG"), "\x00"+reply, relay.Refuse, "otp-used")
		must(t, fixture.Enrol(store, "Ana", 1000))
		if what == "not paired" {
			decides(t, as("ANA"), relay.Refuse, "otp-failure").logged("kept separately")
		}
	}
}
