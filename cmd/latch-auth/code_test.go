package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/relay"
	"github.com/latch-linux/latch/pkg/otp"
)

// enrol gives ana an authenticator and a recovery code.
func (s *site) enrol() otpstore.Store {
	s.t.Helper()
	store := otpstore.At(s.settings["state_dir"], s.settings["otp_key"])
	must(s.t, fixture.Enrol(store, "ana", 1000))
	return store
}

// code is what ana's phone shows now.
func code(t *testing.T) string {
	t.Helper()
	c, err := fixture.CodeOf(fixture.Seed)
	must(t, err)
	return c
}

// types logs in, types a reply, and asserts verdict and reason.
func types(t *testing.T, g relay.Greeting, reply string, want byte, reason string) *talk {
	t.Helper()
	a := ask(t, g)
	a.expect(relay.Hold)
	if prompt := a.expect(relay.Prompt); prompt != "\x00Latch code of your authenticator: " {
		t.Errorf("prompt %q", prompt)
	}
	a.send(relay.Answer, reply)
	if v := a.verdict(); v != want {
		t.Errorf("verdict %d, want %d; log: %q", v, want, a.log())
	}
	a.logged(fmt.Sprintf("reason=%q", reason))
	if len(reply) > 1 {
		if lines := syslog.Lines(reply[1:]); len(lines) > 0 {
			t.Errorf("a code in the log: %q", lines)
		}
	}
	return a
}

// TestCodesOfThisMachine: by latch.conf or by the PAM line, an open latch asks for a code and takes each once.
func TestCodesOfThisMachine(t *testing.T) {
	for name, arg := range map[string]string{"latch.conf": "", "PAM line": "otp=totp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none")
			s.enrol()
			if arg == "" {
				s.set("otp", "totp")
			}
			g := s.hello(func(g *relay.Greeting) {
				if arg != "" {
					g.Args = append(g.Args, arg)
				}
			})
			right := code(t)
			types(t, g, "\x00"+right[:5], relay.Refuse, "otp-wrong")
			types(t, g, "\x00"+right, relay.Success, "open-otp")
			types(t, g, "\x00"+right, relay.Refuse, "otp-used")
			types(t, g, "\x00"+fixture.RecoveryCode, relay.Success, "open-otp").logged("a recovery code was used up, 0 are left")
			types(t, g, "\x00"+fixture.RecoveryCode, relay.Refuse, "otp-wrong")
			types(t, g, "\x00", relay.Refuse, "otp-cannot-ask")
			types(t, g, "\x01", relay.Refuse, "otp-cannot-ask").logged("keyboard-interactive can")
			g.Phase = relay.Account
			decides(t, g, relay.Success, "open")
		})
	}
}

// TestCodesWhereTheServerIsSilent is action = otp.
func TestCodesWhereTheServerIsSilent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	store := s.enrol()
	s.set("action", "otp")
	g := s.hello(nil)
	types(t, g, "\x00"+code(t), relay.Success, "no-answer-otp").logged("no answer: asking 127.0.0.1:1")
	types(t, g, "\x00000000", relay.Refuse, "otp-wrong")
	g.Phase = relay.Account
	decides(t, g, relay.Refuse, "otp-cannot-ask").logged("account phase")
	must(t, store.Excuse(t.Context(), "ana", 1000, otpstore.Bypass{Reason: "lost the phone", By: "root"}, time.Hour))
	decides(t, g, relay.Success, "no-answer-otp-excused").logged("root excused the user", "lost the phone")
}

// TestServerGoesBeforeItsCode: the latch was open, and the server is gone when it shall check the code. What is true of the
// question about the latch is true of this one: the policies decide, and what they open wants a code of this machine's.
func TestServerGoesBeforeItsCode(t *testing.T) {
	for name, c := range map[string]struct {
		action string
		want   byte
		reason string
	}{
		"open":  {"open", relay.Success, "no-answer-open-otp"},
		"close": {"close", relay.Refuse, "no-answer-close"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server := s.serve("none")
			must(t, s.enrol().EnrolRemote(t.Context(), "ana", 1000, latchtest.AppID, "t-1", "none"))
			s.set("otp", "server-totp")
			s.set("action", c.action)
			a := ask(t, s.hello(nil))
			a.expect(relay.Hold)
			a.expect(relay.Prompt)
			server.Close()
			a.send(relay.Answer, "\x00123456")
			if c.want == relay.Success {
				a.expect(relay.Prompt)
				a.send(relay.Answer, "\x00"+code(t))
			}
			if v := a.verdict(); v != c.want {
				t.Errorf("verdict %d, want %d; log: %q", v, c.want, a.log())
			}
			a.logged(fmt.Sprintf("reason=%q", c.reason))
		})
	}
}

// TestCodesOfTheUnpaired is unpaired_by_server = otp.
func TestCodesOfTheUnpaired(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("error 201")
	s.enrol()
	s.set("unpaired_by_server", "otp")
	types(t, s.hello(nil), "\x00"+code(t), relay.Success, "unpaired-by-server-otp").logged("latch unpair")
	types(t, s.hello(nil), "\x00000000", relay.Refuse, "otp-wrong").logged("latch unpair")
}

func TestPausedAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("none")
	s.enrol()
	s.set("otp", "totp")
	g := s.hello(func(g *relay.Greeting) { g.SSHConnection = "203.0.113.7 4000 198.51.100.1 22" })
	for range 5 {
		types(t, g, "\x00000000", relay.Refuse, "otp-wrong")
	}
	types(t, g, "\x00"+code(t), relay.Refuse, "otp-paused").logged("no code is looked at until")
	g.SSHConnection = "203.0.113.8 4000 198.51.100.1 22"
	types(t, g, "\x00"+code(t), relay.Success, "open-otp")
}

// TestGuessesAtOpenVPN count by the client's address, so that they keep nobody from the console. Elsewhere PAM_RHOST may be a name.
func TestGuessesAtOpenVPN(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string]string{"openvpn": "2001:db8:0:1::/64", "system": ""} {
		s := newSite(t)
		s.serve("none")
		store := s.enrol()
		s.set("otp", "totp")
		types(t, s.hello(func(g *relay.Greeting) {
			g.Args, g.Rhost = append(g.Args, "profile="+profile), "2001:db8:0:1::7"
		}), "\x00000000", relay.Refuse, "otp-wrong")
		r, err := store.Load("ana")
		must(t, err)
		if len(r.Guesses.Sources) != 1 || r.Guesses.Sources[0].Address != want {
			t.Errorf("%s: counted for %+v, want %q", profile, r.Guesses.Sources, want)
		}
	}
}

// TestNoCodeToAskFor: who has nothing to type, or whose record cannot be trusted, is refused without a prompt.
func TestNoCodeToAskFor(t *testing.T) {
	record := func(s *site) string { return filepath.Join(s.settings["state_dir"], "otp", "ana") }
	for name, c := range map[string]struct {
		spoil  func(*site) error
		reason string
		detail string
	}{
		"not enrolled": {func(s *site) error {
			s.set("otp_required", "yes")
			return os.Remove(record(s))
		}, "otp-not-enrolled", "latch otp enroll --user ana"},
		"expired": {func(s *site) error {
			s.set("otp_lifetime", "1h")
			return s.enrolled(-2 * time.Hour)
		}, "otp-expired", "latch otp enroll --replace --user ana"},
		"no records": {func(s *site) error { return os.RemoveAll(filepath.Dir(record(s))) }, "otp-failure", "from a backup, or to begin anew: mkdir -pm 700 "},
		"a directory that others can write": {func(s *site) error {
			return errors.Join(os.Remove(record(s)), os.Chmod(filepath.Dir(record(s)), 0o777))
		}, "otp-failure", "can be written by others"},
		"not root's directory": {func(s *site) error {
			return errors.Join(os.Remove(record(s)), os.Chown(filepath.Dir(record(s)), 4242, 4242))
		}, "otp-failure", "belongs to uid 4242"},
		"no directory but a file": {func(s *site) error {
			return errors.Join(os.RemoveAll(filepath.Dir(record(s))), os.WriteFile(filepath.Dir(record(s)), nil, 0o600))
		}, "otp-failure", "not a directory"},
		"another uid's":  {func(s *site) error { return s.enrolAs(2000) }, "otp-failure", "latch otp remove --user ana"},
		"damaged":        {func(s *site) error { return os.WriteFile(record(s), []byte("{}"), 0o600) }, "otp-failure", "is of another version"},
		"world-writable": {func(s *site) error { return os.Chmod(record(s), 0o602) }, "otp-failure", "can be written by others"},
		"no key":         {func(s *site) error { return os.Remove(s.settings["otp_key"]) }, "otp-failure", "the key of the one-time passwords is missing"},
		"key of another": {func(s *site) error { return s.otherKey() }, "otp-failure", "does not open with the key"},
		"a writable key": {func(s *site) error { return os.Chmod(s.settings["otp_key"], 0o622) }, "otp-failure", "can be written by others"},
		"links, no files": {func(s *site) error {
			return replaced(record(s), func() error { return os.Symlink("/etc/passwd", record(s)) })
		}, "otp-failure", "is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none")
			s.enrol()
			s.set("otp", "totp")
			must(t, c.spoil(s))
			decides(t, s.hello(nil), relay.Refuse, c.reason).logged(c.detail)
		})
	}
}

// enrolled gives ana an authenticator alone, as if some time from now.
func (s *site) enrolled(ago time.Duration) error {
	store := otpstore.At(s.settings["state_dir"], s.settings["otp_key"])
	err := store.Remove(context.Background(), "ana")
	return errors.Join(err, store.Enrol(context.Background(), "ana", 1000, otpstore.Authenticator{Parameters: otp.Standard(), Secret: fixture.Seed,
		Window: 1, Enrolled: time.Now().Add(ago).Unix()}))
}

func (s *site) enrolAs(uid int64) error {
	return fixture.Enrol(otpstore.At(s.settings["state_dir"], s.settings["otp_key"]), "ana", uid)
}

// otherKey draws a key in the old one's place.
func (s *site) otherKey() error {
	if err := os.Remove(s.settings["otp_key"]); err != nil {
		return err
	}
	store := otpstore.At(filepath.Join(s.settings["state_dir"], "elsewhere"), s.settings["otp_key"])
	_, err := store.CreateKey(context.Background())
	return err
}
