package main_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// TestConfigurationErrors: each mistake refuses, before HOLD, where everything else says open; the log names the file and,
// where one is at fault, the line.
func TestConfigurationErrors(t *testing.T) {
	write := func(text string) func(*site) error {
		return func(s *site) error { return os.WriteFile(s.conf, []byte(text), 0o600) }
	}
	more := func(line string) func(*site) error {
		return func(s *site) error { return os.WriteFile(s.conf, []byte(line+"\n"+s.settings.Text()), 0o600) }
	}
	for name, c := range map[string]struct {
		spoil func(*site) error
		want  string // in the detail; CONF is the file
	}{
		"missing":            {func(s *site) error { return os.Remove(s.conf) }, "CONF: no such file"},
		"empty":              {write(""), "CONF: there is no app_id"},
		"unknown key":        {more("# a comment\nacton = close"), `CONF:2: unknown key "acton"`},
		"unknown value":      {more("unpaired = perhaps"), `CONF:1: unknown value "perhaps"`},
		"no setting":         {more("action"), "CONF:1: this is no"},
		"a key twice":        {func(s *site) error { return os.WriteFile(s.conf, []byte(s.settings.Text()+"timeout = 9\n"), 0o600) }, `CONF:11: "timeout" stands in line 10`},
		"plain http":         {more("proxy = socks5://127.0.0.1:1"), "CONF:1: a proxy is written"},
		"an unknown section": {more("[server]"), `CONF:1: unknown section "[server]"`},
		"binary":             {write("\x00\x01\x02"), "CONF:1: has a control character"},
		"larger than 64 KiB": {write(strings.Repeat("#\n", 40<<10)), `"CONF" is larger than 65536 bytes`},
		"world-writable":     {func(s *site) error { return os.Chmod(s.conf, 0o602) }, `"CONF" is not trusted: it can be written by others (mode 0602)`},
		"group-writable":     {func(s *site) error { return os.Chmod(s.conf, 0o620) }, `"CONF" is not trusted: it can be written by others (mode 0620)`},
		"another owner's":    {func(s *site) error { return os.Chown(s.conf, 4242, 4242) }, `"CONF" is not trusted: it belongs to uid 4242`},
		"a directory":        {func(s *site) error { return replaced(s.conf, func() error { return os.Mkdir(s.conf, 0o755) }) }, `"CONF" is not trusted: it is not a regular file`},
		"a link": {func(s *site) error {
			return replaced(s.conf, func() error { return os.Symlink(s.conf+".kept", s.conf) })
		}, `"CONF" is not trusted: it is a symbolic link`},
		"in a shared directory": {func(s *site) error { return os.Chmod(filepath.Dir(s.conf), 0o777) }, `"DIR" is not trusted: it can be written by others (mode 0777)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none")
			must(t, c.spoil(s))
			a := ask(t, s.hello(nil))
			if v := a.expect(relay.Verdict); v != string(relay.Refuse) {
				t.Errorf("verdict %q", v)
			}
			detail := strings.NewReplacer("CONF", s.conf, "DIR", filepath.Dir(s.conf)).Replace(c.want)
			a.logged(`refused user="ana"`, `reason="bad-config"`, strings.ReplaceAll(detail, `"`, `\"`))
		})
	}
}

// replaced moves a file aside and puts something else in its place.
func replaced(path string, put func() error) error {
	if err := os.Rename(path, path+".kept"); err != nil {
		return err
	}
	return put()
}

func TestModuleArguments(t *testing.T) {
	for arg, want := range map[string]string{
		"otpp=yes":       `unknown or empty module argument \"otpp=yes\"`,
		"debug":          `unknown or empty module argument \"debug\"`,
		"operation=":     `unknown or empty module argument \"operation=\"`,
		"otp=maybe":      `module argument otp=: unknown value \"maybe\"`,
		"profile=vpn":    `unknown profile \"vpn\"`,
		"config=x":       `module argument \"config\" stands twice`,
		"operation=nope": `CONF: there is no operation \"nope\"`,
	} {
		t.Run(arg, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none")
			a := decides(t, s.hello(func(g *relay.Greeting) { g.Args = append(g.Args, arg) }), relay.Refuse, "bad-config")
			a.logged(strings.ReplaceAll(want, "CONF", s.conf))
		})
	}
}

// TestOperation: the operation of the PAM line is what is asked about.
func TestOperation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.serve("body: another node")
	s.set("console", latchtest.OperationID)
	decides(t, s.hello(func(g *relay.Greeting) { g.Args = append(g.Args, "operation=console") }), relay.Success, "open")
	if got := asked(server); !slices.Equal(got, []string{"/op/" + latchtest.OperationID + "/nootp"}) {
		t.Errorf("asked %q", got)
	}
}

func TestOneTimeToken(t *testing.T) {
	for name, c := range map[string]struct {
		answer string // payload of ANSWER
		want   byte
		reason string
	}{
		"right":           {"\x00" + latchtest.Token, relay.Success, "open-otp"},
		"wrong":           {"\x00g4K9wy", relay.Refuse, "otp-wrong"},
		"empty":           {"\x00", relay.Refuse, "otp-cannot-ask"},
		"cannot be asked": {"\x01", relay.Refuse, "otp-cannot-ask"},
		"overlong":        {"\x00" + strings.Repeat(latchtest.Token, 10000), relay.Refuse, "otp-wrong"},
		"with NUL bytes":  {"\x00" + latchtest.Token + "\x00", relay.Refuse, "otp-wrong"},
		"recovery code":   {"\x00" + fixture.RecoveryCode, relay.Success, "open-otp"},
		"a code of an app, which is for other prompts": {"\x00" + code(t), relay.Refuse, "otp-wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.enrol()
			server := s.serve("two_factor: good")
			a := ask(t, s.hello(func(g *relay.Greeting) { g.Args = append(g.Args, "otp=yes") }))
			a.expect(relay.Hold)
			if prompt := a.expect(relay.Prompt); prompt != "\x00Latch one-time password: " {
				t.Errorf("prompt %q", prompt)
			}
			a.send(relay.Answer, c.answer)
			if v := a.verdict(); v != c.want {
				t.Errorf("verdict %d, want %d", v, c.want)
			}
			a.logged(fmt.Sprintf("reason=%q", c.reason))
			for _, code := range []string{latchtest.Token, "g4K9wy"} {
				if lines := syslog.Lines(code); len(lines) > 0 {
					t.Errorf("a code in the log: %q", lines)
				}
			}
			if got := asked(server); !slices.Equal(got, []string{""}) {
				t.Errorf("asked %q", got)
			}
		})
	}
}

// TestBypassOfTheToken: who is excused from codes is excused from this one.
func TestBypassOfTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("two_factor: good")
	s.set("otp", "yes")
	must(t, s.enrol().Excuse(t.Context(), "ana", 1000, otpstore.Bypass{Reason: "ticket 4711", By: "root"}, time.Hour))
	decides(t, s.hello(nil), relay.Success, "open-otp-excused").logged("<84>", "ticket 4711")
}

// TestRequiredToken: otp_required = yes wants a code also where the server sends none.
func TestRequiredToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("none")
	s.set("otp", "yes")
	decides(t, s.hello(nil), relay.Success, "open")
	s.set("otp_required", "yes")
	decides(t, s.hello(nil), relay.Refuse, "otp-not-enrolled")
	s.enrol()
	types(t, s.hello(nil), "\x00"+code(t), relay.Success, "open-otp")
}

// TestSilentAfterClosed: sudo asks three times, the phone is told once a minute.
func TestSilentAfterClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.serve("none, closed")
	decides(t, s.hello(nil), relay.Refuse, "closed")
	decides(t, s.hello(nil), relay.Refuse, "closed")
	decides(t, s.hello(func(g *relay.Greeting) { g.User, g.NSS, g.UID, g.Canonical = "ANA@x", relay.Unknown, 0, "" }), relay.Refuse, "closed")
	decides(t, s.hello(func(g *relay.Greeting) { g.Service = "sudo" }), relay.Refuse, "closed")
	marks, err := filepath.Glob(filepath.Join(s.settings["run_dir"], "closed", "*"))
	must(t, err)
	if len(marks) != 2 {
		t.Fatalf("marks: %q", marks)
	}
	aMinuteAgo := time.Now().Add(-61 * time.Second)
	for _, mark := range marks {
		must(t, os.Chtimes(mark, aMinuteAgo, aMinuteAgo))
	}
	decides(t, s.hello(nil), relay.Refuse, "closed")
	if got := asked(server); !slices.Equal(got, []string{"/nootp", "/nootp/silent", "/nootp/silent", "/nootp", "/nootp"}) {
		t.Errorf("asked %q", got)
	}
}

// TestSilentAfterAHostThatDies: whoever has the password and kills su in mid-question must not ring the phone each time, and
// leaves a line in the log.
func TestSilentAfterAHostThatDies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set("timeout", "60")
	server := s.serve("wire: never answers")
	for n := range 2 {
		c := ask(t, s.hello(nil))
		await(t, "the question", func() bool { return server.Requests() == n+1 })
		must(t, c.module.Close())
		c.ends()
		c.logged(`refused user="ana"`, `reason="host-gone"`)
	}
	if got := asked(server); !slices.Equal(got, []string{"/nootp", "/nootp/silent"}) {
		t.Errorf("asked %q", got)
	}
}

// TestNobodyEntersUnseen: what a silent question finds open is asked aloud before anybody comes in.
func TestNobodyEntersUnseen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("none, closed")
	decides(t, s.hello(nil), relay.Refuse, "closed")
	server := s.serve("none")
	for range 2 {
		decides(t, s.hello(nil), relay.Success, "open")
	}
	if got := asked(server); !slices.Equal(got, []string{"/nootp/silent", "/nootp", "/nootp"}) {
		t.Errorf("asked %q", got)
	}
}

// TestWrongClock locks nobody out, and the log says by how much it is wrong.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("error 109 then good")
	decides(t, s.hello(nil), relay.Success, "open").logged("this machine's clock is off by -3h0m", "reason=")
}

// TestHostContext: the server is told about the login where latch.conf says so, and of nothing else.
func TestHostContext(t *testing.T) {
	host, err := os.Hostname()
	must(t, err)
	for value, want := range map[string]map[string]string{"no": {}, "yes": {api.HeaderHost: host, api.HeaderService: "sshd",
		api.HeaderPhase: "auth", api.HeaderUser: "ana", api.HeaderRhost: "203.0.113.7"}} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.set("host_context", value)
			server := s.serve("none")
			decides(t, s.hello(nil), relay.Success, "open")
			got := map[string]string{}
			for _, name := range []string{api.HeaderHost, api.HeaderService, api.HeaderPhase, api.HeaderUser, api.HeaderRhost} {
				if value := server.Seen()[0].Header.Get(name); value != "" {
					got[name] = value
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("told %v, want %v", got, want)
			}
		})
	}
}

// TestExempt: who is exempt is nobody's user here, and no question is asked.
func TestExempt(t *testing.T) {
	for name, c := range map[string]struct {
		key, value string
		greeting   func(*relay.Greeting)
		want       byte
		reason     string
	}{
		"user":                  {"exempt_users", "root, ana", nil, relay.Ignore, "exempt-user"},
		"another user":          {"exempt_users", "anas, an", nil, relay.Success, "open"},
		"service":               {"exempt_services", "cron sshd", nil, relay.Ignore, "exempt-service"},
		"another service":       {"exempt_services", "ssh", nil, relay.Success, "open"},
		"account phase of cron": {"otp", "no", func(g *relay.Greeting) { g.Service, g.Phase = "cron", relay.Account }, relay.Ignore, "skipped-service"},
		"auth phase of cron":    {"otp", "no", func(g *relay.Greeting) { g.Service = "cron" }, relay.Success, "open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			server := s.serve("none")
			s.set(c.key, c.value)
			decides(t, s.hello(c.greeting), c.want, c.reason)
			if n := server.Requests(); (n == 0) != (c.want == relay.Ignore) {
				t.Errorf("%d questions", n)
			}
		})
	}
}

func TestExemptGroups(t *testing.T) {
	for name, c := range map[string]struct {
		members []string // answers to one GROUP after the other
		want    byte
		reason  string
	}{
		"in the first":  {[]string{"\x01"}, relay.Ignore, "exempt-group"},
		"in the second": {[]string{"\x00", "\x01"}, relay.Ignore, "exempt-group"},
		"in none":       {[]string{"\x00", "\x00"}, relay.Success, "open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none")
			s.set("exempt_groups", "ops,wheel")
			a := ask(t, s.hello(nil))
			a.expect(relay.Hold)
			for i, member := range c.members {
				if group := a.expect(relay.Group); group != []string{"ops", "wheel"}[i] {
					t.Errorf("GROUP %q", group)
				}
				a.send(relay.Member, member)
			}
			if v := a.verdict(); v != c.want {
				t.Errorf("verdict %d, want %d", v, c.want)
			}
			a.logged(fmt.Sprintf("reason=%q", c.reason))
		})
	}
	t.Run("an answer of another form", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.set("exempt_groups", "ops")
		a := ask(t, s.hello(nil))
		a.expect(relay.Hold)
		a.expect(relay.Group)
		a.send(relay.Member, "\x02")
		if v := a.verdict(); v != relay.Refuse {
			t.Errorf("verdict %d", v)
		}
		a.logged(`reason="bad-request"`)
	})
}

// TestWhoIsPaired: pairing file, name service and policy, down to what the log advises.
func TestWhoIsPaired(t *testing.T) {
	unknown := func(name string) func(*relay.Greeting) {
		return func(g *relay.Greeting) { g.User, g.NSS, g.UID, g.Canonical = name, relay.Unknown, 0, "" }
	}
	for name, c := range map[string]struct {
		pairings   string // "" leaves them
		key, value string
		greeting   func(*relay.Greeting)
		want       byte
		reason     string
		detail     string
	}{
		"unpaired":              {"bob: " + latchtest.AccountID + "\n", "unpaired", "open", nil, relay.Ignore, "unpaired-open", ""},
		"unpaired, close":       {"bob: " + latchtest.AccountID + "\n", "unpaired", "close", nil, relay.Refuse, "unpaired-close", ""},
		"longer name":           {"anabel: " + latchtest.AccountID + "\n", "unpaired", "close", nil, relay.Refuse, "unpaired-close", ""},
		"broken pairings":       {"# x\nana " + latchtest.AccountID + "\n", "unpaired", "open", nil, relay.Refuse, "bad-pairings", "latch.accounts:2"},
		"uid changed":           {"#uid ana 1001\nana: " + latchtest.AccountID + "\n", "unpaired", "open", nil, relay.Refuse, "uid-changed", "latch unpair --user ana"},
		"no uid recorded":       {"ana: " + latchtest.AccountID + "\n", "unpaired", "close", nil, relay.Success, "open", ""},
		"name service failed":   {"", "unpaired", "open", func(g *relay.Greeting) { g.NSS, g.Errno = relay.Failed, 24 }, relay.Refuse, "nss-failed", "errno 24"},
		"unknown, another case": {"", "unpaired", "close", unknown(" ANA@REALM"), relay.Success, "open", ""},
		"unknown, in passwd":    {"", "unpaired", "open", unknown("root"), relay.Refuse, "nss-disagrees", "/etc/passwd does"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none")
			s.set(c.key, c.value)
			if c.pairings != "" {
				s.pair(c.pairings)
			}
			decides(t, s.hello(c.greeting), c.want, c.reason).logged(c.detail)
		})
	}
}

// TestUnpairedByServer: whoever holds the application's secret can unpair there, so by default it closes.
func TestUnpairedByServer(t *testing.T) {
	for value, want := range map[string]byte{"": relay.Refuse, "close": relay.Refuse, "open": relay.Success} {
		t.Run("="+value, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("error 201")
			s.set("on_error", "open") // is another thing
			s.set("unpaired_by_server", value)
			word := map[byte]string{relay.Refuse: "close", relay.Success: "open"}[want]
			decides(t, s.hello(nil), want, "unpaired-by-server-"+word).logged("latch unpair")
		})
	}
}

// TestActionLast: what this machine saw last decides, and only that.
func TestActionLast(t *testing.T) {
	for fault, c := range map[string]struct {
		want   byte
		reason string
	}{
		"":             {relay.Refuse, "no-answer-never-seen"},
		"none":         {relay.Success, "no-answer-last-open"},
		"none, closed": {relay.Refuse, "no-answer-last-closed"},
	} {
		t.Run("after "+fault, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.set("action", "last")
			if fault != "" {
				s.serve(fault)
				ask(t, s.hello(nil)).verdict()
			}
			s.set("latch_host", nowhere)
			decides(t, s.hello(nil), c.want, c.reason)
			s.pair("ana: " + strings.Repeat("x", 64) + "\n")
			decides(t, s.hello(nil), relay.Refuse, "no-answer-never-seen")
		})
	}
}
