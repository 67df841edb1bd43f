package pam_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/msteinert/pam/v2"
)

// TestHelloTellsTheFacts reads back what the module said about one call.
func TestHelloTellsTheFacts(t *testing.T) {
	b := newBed(t, "read", send(hold(100), success))
	tx := b.begin(nil)
	must(t, tx.SetItem(pam.Rhost, "203.0.113.7"))
	must(t, tx.SetItem(pam.Tty, "pts/9"))
	must(t, tx.PutEnv("SSH_CONNECTION=203.0.113.7 4000 198.51.100.1 22"))
	must(t, tx.PutEnv("SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA"))
	must(t, tx.AcctMgmt(pam.Silent))
	hello := b.got()[0]
	if hello[:2] != "\x01\x01" {
		t.Fatalf("type and version: %q", hello[:2])
	}
	id := binary.BigEndian.AppendUint32(nil, uint32(os.Getuid()))
	want := []string{"\x01\x02", "\x02latch", "\x03root", "\x04\x00\x00\x00\x00root", "\x07203.0.113.7", "\x08pts/9",
		"\x0a" + string(id) + string(id), "\x0b\x00\x00\x80\x00", "\x0c203.0.113.7 4000 198.51.100.1 22",
		"\x0dpublickey ssh-ed25519 AAAA", "\x0eauthenticator=" + b.auth, "\x0eotp=no"}
	if got := fields(hello[2:]); !slices.Equal(got, want) {
		t.Errorf("fields:\n got %q\nwant %q", got, want)
	}
}

// fields splits the fields of HELLO: tag and value.
func fields(s string) (all []string) {
	for len(s) >= 3 {
		n := int(s[1])<<8 | int(s[2])
		all = append(all, s[:1]+s[3:3+n])
		s = s[3+n:]
	}
	return all
}

func TestHelloTellsAnUnknownUser(t *testing.T) {
	b := newBed(t, "read", send(hold(100), success))
	tx := b.begin(nil)
	must(t, tx.SetItem(pam.User, "nobody-of-that-name"))
	must(t, tx.Authenticate(0))
	if got := fields(b.got()[0][2:]); !slices.Contains(got, "\x05") || !slices.Contains(got, "\x03nobody-of-that-name") {
		t.Errorf("fields: %q", got)
	}
}

func TestGroupsAreAnswered(t *testing.T) {
	b := newBed(t, "read", send(hold(100), frame(0x82, "root")), "read", send(frame(0x82, "no-such-group")), "read", send(success))
	must(t, b.begin(nil).Authenticate(0))
	if got := b.got()[1:]; !slices.Equal(got, []string{"\x03\x01", "\x03\x00"}) {
		t.Errorf("MEMBER: %q", got)
	}
}

// TestPrompts asks a person, or tries to.
func TestPrompts(t *testing.T) {
	say := func(reply string) func(pam.Style, string) (string, error) {
		return func(pam.Style, string) (string, error) { return reply, nil }
	}
	for name, c := range map[string]struct {
		answer  func(pam.Style, string) (string, error)
		authtok string
		want    string
	}{
		"a reply":              {answer: say("123456"), want: "\x02\x00123456"},
		"an empty reply":       {answer: say(""), want: "\x02\x00"},
		"the longest of hosts": {answer: say(strings.Repeat("x", 511)), want: "\x02\x00" + strings.Repeat("x", 511)},
		"no reply":             {answer: func(pam.Style, string) (string, error) { return "", errors.New("gone") }, want: "\x02\x01"},
		"the password":         {answer: say("secret"), authtok: "secret", want: "\x02\x01"},
		"not the password":     {answer: say("secre"), authtok: "secret", want: "\x02\x00secre"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, "read", send(hold(100), frame(0x83, "\x00Code: ")), "read", send(success))
			tx := b.begin(c.answer)
			if c.authtok != "" {
				// Only a module may set PAM_AUTHTOK; pam_unix and its like ask for it.
				b.withPassword()
				tx = b.begin(func(_ pam.Style, text string) (string, error) {
					if strings.Contains(text, "Password") {
						return c.authtok, nil
					}
					return c.answer(0, text)
				})
			}
			must(t, tx.Authenticate(0))
			if got := b.got()[1]; got != c.want {
				t.Errorf("ANSWER: got %q, want %q", got, c.want)
			}
		})
	}
}

// TestHostsThatAskNobody: without a conversation, or with one that hands back nothing, nobody can be asked, and nothing crashes.
func TestHostsThatAskNobody(t *testing.T) {
	for _, mode := range []string{"noconv", "noresponse", "noreply"} {
		b := newBed(t, "read", send(hold(100), frame(0x83, "\x00Code: ")), "read", send(refuse))
		if out := b.inHost(mode); out[0] != "codes 7 6" || !slices.Contains(out, nothingLeft) {
			t.Errorf("%s:\n%s", mode, strings.Join(out, "\n"))
		}
		if got := b.got()[1]; got != "\x02\x01" {
			t.Errorf("%s: ANSWER %q", mode, got)
		}
	}
}

// withPassword puts a module before ours that asks for the password and lets everybody pass.
func (b *bed) withPassword() {
	b.t.Helper()
	must(b.t, os.WriteFile(b.dir+"/latch", []byte("auth optional pam_unix.so\nauth required "+module+" authenticator="+b.auth+"\n"), 0o644))
}

// TestTexts shows what reaches the person, with and without PAM_SILENT, which never silences a prompt.
func TestTexts(t *testing.T) {
	for flags, want := range map[pam.Flags][]string{
		0:          {fmt.Sprint(pam.TextInfo, "hello"), fmt.Sprint(pam.ErrorMsg, "closed"), fmt.Sprint(pam.PromptEchoOn, "Code: ")},
		pam.Silent: {fmt.Sprint(pam.PromptEchoOn, "Code: ")},
	} {
		var said []string
		b := newBed(t, "read", send(hold(100), frame(0x84, "hello"), frame(0x85, "closed"), frame(0x83, "\x01Code: ")), "read", send(success))
		must(t, b.begin(func(style pam.Style, text string) (string, error) {
			said = append(said, fmt.Sprint(style, text))
			return "1", nil
		}).Authenticate(flags))
		if !slices.Equal(said, want) {
			t.Errorf("flags %v: got %q, want %q", flags, said, want)
		}
	}
}

// TestVerdictReuse counts questions: how often the authenticator read a HELLO.
func TestVerdictReuse(t *testing.T) {
	type step func(*pam.Transaction) error
	auth := func(tx *pam.Transaction) error { return tx.Authenticate(0) }
	account := func(tx *pam.Transaction) error { return tx.AcctMgmt(0) }
	rename := func(tx *pam.Transaction) error { return tx.SetItem(pam.User, "daemon") }
	move := func(tx *pam.Transaction) error { return tx.SetItem(pam.Service, "second") }
	for name, c := range map[string]struct {
		steps  []step
		phases string // of the questions: a, c
	}{
		"account uses auth's verdict":      {[]step{auth, account}, "a"},
		"only once":                        {[]step{auth, account, account}, "ac"},
		"account alone asks":               {[]step{account}, "c"},
		"auth asks each time":              {[]step{auth, auth, account}, "aa"},
		"another user is another question": {[]step{auth, rename, account}, "ac"},
		"another service is another one":   {[]step{auth, move, account}, "ac"},
		"account's verdict is nobody's":    {[]step{account, account}, "cc"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, "read", send(hold(100), success))
			b.service("second", module, b.auth)
			tx := b.begin(nil)
			for _, s := range c.steps {
				must(t, s(tx))
			}
			var phases strings.Builder
			for _, hello := range b.got() {
				phases.WriteByte(" ac"[hello[5]])
			}
			if phases.String() != c.phases {
				t.Errorf("questions: got %q, want %q", phases.String(), c.phases)
			}
		})
	}
}

// TestRetryReplacesTheVerdict is login, which keeps its handle: what was refused first must not be what account says.
func TestRetryReplacesTheVerdict(t *testing.T) {
	b := newBed(t, "read", send(hold(100), refuse))
	tx := b.begin(nil)
	if err := tx.Authenticate(0); !refused(err, false) {
		t.Fatal(err)
	}
	b.script("read", send(hold(100), success))
	must(t, tx.Authenticate(0))
	b.script("exit 1")
	must(t, tx.AcctMgmt(0))
	b.script("read", send(hold(100), success))
	must(t, tx.Authenticate(0))
	b.script("read", send(hold(100), refuse))
	if err := tx.Authenticate(0); !refused(err, false) {
		t.Fatal(err)
	}
	b.script("read", send(hold(100), success))
	if err := tx.AcctMgmt(0); !refused(err, true) {
		t.Errorf("account after a refused auth: %v", err)
	}
}

// TestVerdictOfOtherArguments: the account line may ask about another operation, whose latch is another one.
func TestVerdictOfOtherArguments(t *testing.T) {
	for name, c := range map[string]struct {
		auth, account string
		questions     int
	}{
		"the same":               {"operation=a otp=yes", "operation=a otp=yes", 1},
		"only auth asks for otp": {"otp=yes operation=a", "operation=a", 1},
		"only account is unseen": {"operation=a", "operation=a notify=no", 1},
		"another operation":      {"operation=a", "operation=b", 2},
		"one more argument":      {"", "operation=b", 2},
		"one argument less":      {"operation=a", "", 2},
		"another configuration":  {"config=/a", "config=/b", 2},
	} {
		b := newBed(t, "read", send(hold(100), success))
		line := " required " + module + " authenticator=" + b.auth + " "
		must(t, os.WriteFile(b.dir+"/latch", []byte("auth"+line+c.auth+"\naccount"+line+c.account+"\n"), 0o644))
		tx := b.begin(nil)
		must(t, tx.Authenticate(0))
		must(t, tx.AcctMgmt(0))
		if got := len(b.got()); got != c.questions {
			t.Errorf("%s: %d questions, want %d", name, got, c.questions)
		}
	}
}
