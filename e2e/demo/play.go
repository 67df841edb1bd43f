package main

import (
	"errors"
	"os"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/otpstore"
)

const (
	in      = "in"
	refused = "refused"
)

// errNobody is what a prompt ends with while nobody sits at the keyboard.
var errNobody = errors.New("nobody at the keyboard")

// scene is one login, with what comes before it.
type scene struct {
	what    string // the line of the table
	expect  string
	conf    fixture.Conf
	before  func() error
	byKey   bool                                // as sshd with a public key: the account phase alone
	answer  func(prompt string) (string, error) // the person at the keyboard; nil while there is none
	prompts int                                 // how often the person has to be asked
}

type act struct {
	heading, text string
	scenes        []scene
}

// play logs in again and again, and collects the rows of the table.
func (s *stage) play() error {
	for _, a := range s.acts() {
		s.out.heading(a.heading)
		if a.text != "" {
			s.out.text(a.text)
		}
		for _, scene := range a.scenes {
			if err := s.perform(scene); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stage) acts() []act {
	open := func() error { return s.press("open") }
	shut := func() error { return s.press("close") }
	plain := s.conf
	return []act{
		{"The latch", "", []scene{
			{what: "latch open", expect: in, conf: plain, before: open},
			{what: "latch open, login by SSH key", expect: in, conf: plain, byKey: true},
			{what: "latch closed", expect: refused, conf: plain, before: shut},
			{what: "latch closed, login by SSH key", expect: refused, conf: plain, byKey: true},
			{what: "latch open again", expect: in, conf: plain, before: open},
		}},
		s.tokenAct(),
		{"The server is out of reach", "latch.conf says what then: action = open, close, or otp for a code of an authenticator app.", []scene{
			{what: "server stopped, action = open", expect: in, conf: plain.With("action", "open"), before: s.stopServer},
			{what: "server stopped, action = close", expect: refused, conf: plain.With("action", "close")},
			{what: "no server, action = otp, right code", expect: in, conf: plain.With("action", "otp"), before: s.enrol, answer: s.readApp, prompts: 1},
			{what: "no server, action = otp, wrong code", expect: refused, conf: plain.With("action", "otp"), answer: wrongCode, prompts: 1},
			{what: "server back", expect: in, conf: plain.With("action", "close"), before: s.restartServer},
		}},
		{"The server answers with an error", "Here because the secret in latch.conf is wrong: on_error = close or open.", []scene{
			{what: "wrong secret, on_error = close", expect: refused, conf: s.wrongSecret().With("on_error", "close")},
			{what: "wrong secret, on_error = open", expect: in, conf: s.wrongSecret().With("on_error", "open")},
		}},
		{"Something is broken on this machine", "That never opens, whatever latch.conf says.", []scene{
			{what: "latch.conf writable by others", expect: refused, conf: lenient(plain), before: s.exposeConf},
			{what: "latch-auth missing", expect: refused, conf: lenient(plain), before: s.removeAuthenticator},
			{what: "all mended", expect: in, conf: plain, before: s.mend},
		}},
	}
}

func lenient(c fixture.Conf) fixture.Conf { return c.With("action", "open").With("on_error", "open") }

func (s *stage) wrongSecret() fixture.Conf {
	return s.conf.With("secret_key", "wrongwrongwrongwrongwrongwrongwrongwrong")
}

// tokenAct has the server make one-time tokens; latch-server token shows them as the phone would.
func (s *stage) tokenAct() act {
	conf := s.conf.With("otp", "yes")
	right := func(string) (string, error) { return s.readPhone() }
	wrong := func(string) (string, error) {
		token, err := s.readPhone()
		return flip(token), err
	}
	return act{"A one-time code on top", "The application demands one, and latch.conf says otp = yes.", []scene{
		{what: "right code", expect: in, conf: conf, before: s.demandTokens, answer: right, prompts: 1},
		{what: "wrong code", expect: refused, conf: conf, answer: wrong, prompts: 1},
		{what: "nobody can be asked", expect: refused, conf: conf, prompts: 1},
	}}
}

// flip changes the last character of a code, which is not empty, into another of the same kind.
func flip(token string) string {
	last := byte('a')
	if token[len(token)-1] == last {
		last = 'b'
	}
	return token[:len(token)-1] + string(last)
}

func (s *stage) perform(c scene) error {
	if _, err := c.conf.Write(s.confFile()); err != nil {
		return err
	}
	if c.before != nil {
		if err := c.before(); err != nil {
			return err
		}
	}
	login := fixture.Transaction{Dir: s.path("pam.d"), Service: service, User: s.user, NoAuth: c.byKey}
	login.Answer = func(prompt string) (string, error) {
		s.out.reply("the person is asked: " + prompt)
		if c.answer == nil {
			return "", errNobody
		}
		return c.answer(prompt)
	}
	outcome, err := login.Run()
	if err != nil {
		return err
	}
	r := row{what: c.what, expected: c.expect, seen: refused, took: outcome.Took}
	if outcome.In() {
		r.seen = in
	}
	if len(outcome.Prompts) != c.prompts {
		r.seen += ", asked wrongly"
	}
	s.out.outcome(r)
	s.rows = append(s.rows, r)
	return nil
}

func (s *stage) press(what string) error {
	s.out.command("latch-server " + what + " " + s.user)
	if what == "open" {
		return s.server.Open(s.user)
	}
	return s.server.Close(s.user)
}

func (s *stage) demandTokens() error {
	s.out.command("latch-server app set demo --two-factor mandatory")
	return s.server.DemandTokens("demo", true)
}

func (s *stage) readPhone() (string, error) {
	token, err := s.server.Token(s.user)
	s.out.command("latch-server token " + s.user)
	s.out.reply("the phone shows " + token)
	return token, err
}

func (s *stage) stopServer() error {
	s.out.command("kill -TERM the server")
	return s.server.Stop()
}

func (s *stage) restartServer() error {
	s.out.command("latch-server serve ... &")
	return s.server.Start()
}

// enrol stands for `latch otp enroll`, which shows a QR code on a terminal and asks for a code.
func (s *stage) enrol() error {
	s.out.reply("an authenticator app of " + s.user + "'s was enrolled: latch otp enroll")
	return fixture.Enrol(otpstore.At(s.conf["state_dir"], s.conf["otp_key"]), s.user, s.uid)
}

func (s *stage) readApp(string) (string, error) {
	code, err := fixture.CodeOf(fixture.Seed)
	s.out.reply("the app shows " + code)
	return code, err
}

func wrongCode(string) (string, error) { return "no-code", nil }

func (s *stage) exposeConf() error {
	s.out.command("chmod 666 latch.conf")
	return os.Chmod(s.confFile(), 0o666)
}

func (s *stage) removeAuthenticator() error {
	s.out.command("mv latch-auth elsewhere")
	return os.Rename(s.files.Auth, s.files.Auth+".elsewhere")
}

func (s *stage) mend() error {
	s.out.command("mv elsewhere latch-auth")
	return os.Rename(s.files.Auth+".elsewhere", s.files.Auth)
}
