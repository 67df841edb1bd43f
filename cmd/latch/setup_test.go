package main

import (
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

// newHost is a world whose machine has no configuration yet. The secret lies in the file that is returned.
func newHost(t *testing.T) (w *world, secretFile string) {
	t.Helper()
	w = newWorld(t)
	w.must(os.Remove(w.conf))
	secretFile = filepath.Join(t.TempDir(), "secret")
	w.write(secretFile, w.secret+"\n")
	return w, secretFile
}

// authority is the shared server's CA as it lies beside its database, and its digest.
func (w *world) authority() (text, sha256 string) {
	w.t.Helper()
	text = w.read(shared.ca)
	block, _ := pem.Decode([]byte(text))
	return text, digest(block.Bytes)
}

// directory lists what lies beside the configuration, but for the locks.
func (w *world) directory() string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(w.conf))
	w.must(err)
	var names []string
	for _, e := range entries {
		if e.Name() != ".lock" {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestSetupByFlags(t *testing.T) {
	w, secretFile := newHost(t)
	text, sum := w.authority()
	for _, sum := range []string{sum, strings.ToLower(strings.ReplaceAll(sum, ":", ""))} {
		o := w.run("setup", shared.url, "--app-id", w.app.ID, "--secret-file", secretFile, "--ca-sha256", sum, "--yes")
		if o.status != cli.ExitOK || o.out != w.conf+" is written\n" || !strings.Contains(o.err, "the credentials: the server knows the application") {
			t.Fatalf("%v", o)
		}
		c, err := config.Load(w.conf)
		w.must(err)
		if c.AppID != w.app.ID || c.SecretKey.Reveal() != w.secret || c.Host.String() != shared.url || c.CAFile != filepath.Join(filepath.Dir(w.conf), "ca.pem") {
			t.Errorf("written %+v", c)
		}
		if strings.TrimSpace(w.read(c.CAFile)) != strings.TrimSpace(text) {
			t.Errorf("the CA is %q", w.read(c.CAFile))
		}
	}
	if info, err := os.Stat(w.conf); err != nil || info.Mode().Perm() != 0o600 || w.directory() != "ca.pem latch.conf" {
		t.Errorf("%v, %v, beside it %s", info.Mode(), err, w.directory())
	}
	w.ok("config", "check")
	w.pair("ana")
}

func TestSetupAgainKeepsWhatIsThere(t *testing.T) {
	w, secretFile := newHost(t)
	_, sum := w.authority()
	sample, err := os.ReadFile("../../conf/latch.conf")
	w.must(err)
	w.write(w.conf, strings.Replace(string(sample), "#timeout = 8", "timeout = 9 ", 1))
	o := w.object(cli.ExitOK, "setup", shared.url, "--app-id", w.app.ID, "--secret-file", secretFile, "--ca-sha256", sum)
	if o["server"] != shared.url || o["config"] != w.conf || o["clock_offset_seconds"] != 0.0 {
		t.Errorf("printed %v", o)
	}
	first := w.read(w.conf)
	if !strings.Contains(first, "timeout = 9 \n") || len(first) < len(sample) {
		t.Errorf("written %q", first)
	}
	// The CA is known by now, and the secret may come from standard input.
	w.input = w.secret
	w.ok("setup", "--app-id", w.app.ID, "--secret-file", "-", "--yes")
	if w.read(w.conf) != first {
		t.Errorf("written %q, before %q", w.read(w.conf), first)
	}
}

func TestSetupWithCAFile(t *testing.T) {
	w, secretFile := newHost(t)
	_, sum := w.authority()
	args := []string{"setup", shared.url, "--app-id", w.app.ID, "--secret-file", secretFile, "--yes"}
	w.fails(cli.ExitError, []string{"holds no certificate"}, append(args, "--ca-file", secretFile)...)
	w.fails(cli.ExitError, []string{"holds something else"}, append(args, "--ca-file", shared.ca, "--ca-sha256", strings.Repeat("0", 64))...)
	if left := w.directory(); left != "" {
		t.Errorf("left %s", left)
	}
	w.ok(append(args, "--ca-file", shared.ca, "--ca-sha256", sum)...)
	w.ok("config", "check")
}

// TestSetupKnowsNoClockWithoutAnAnswer: a clock that nobody told is not "the same".
func TestSetupKnowsNoClockWithoutAnAnswer(t *testing.T) {
	w, secretFile := newHost(t)
	o := w.run("setup", nowhere, "--app-id", w.app.ID, "--secret-file", secretFile, "--ca-file", shared.ca, "--yes")
	if o.status != cli.ExitNoAnswer || !strings.Contains(o.err, "nothing was written") || strings.Contains(o.err, "the clock") {
		t.Errorf("%v", o)
	}
}

// TestSetupWritesNothingThatDoesNotWork tries every input that a login could not use.
func TestSetupWritesNothingThatDoesNotWork(t *testing.T) {
	w, secretFile := newHost(t)
	_, sum := w.authority()
	wrong := filepath.Join(t.TempDir(), "wrong")
	w.write(wrong, strings.Repeat("x", 40))
	short := filepath.Join(t.TempDir(), "short")
	w.write(short, "x")
	id, url := w.app.ID, shared.url
	for _, c := range []struct {
		status cli.Exit
		text   string
		args   []string
	}{
		{cli.ExitError, "not the one that was named", []string{url, "--app-id", id, "--secret-file", secretFile, "--ca-sha256", strings.Repeat("0", 64)}},
		{cli.ExitError, "not the one that was named", []string{url, "--app-id", id, "--secret-file", secretFile, "--ca-sha256", "nonsense"}},
		{cli.ExitError, "102", []string{url, "--app-id", id, "--secret-file", wrong, "--ca-sha256", sum}},
		{cli.ExitError, "102", []string{url, "--app-id", strings.Repeat("x", 20), "--secret-file", secretFile, "--ca-sha256", sum}},
		{cli.ExitNoAnswer, "hint: check the network", []string{nowhere, "--app-id", id, "--secret-file", secretFile, "--ca-sha256", sum}},
		{cli.ExitUsage, "hint: name the digest with --ca-sha256", []string{url, "--app-id", id, "--secret-file", secretFile}},
		{cli.ExitUsage, "40 printable characters, this has 1", []string{url, "--app-id", id, "--secret-file", short}},
		{cli.ExitUsage, "20 letters and digits, this has 3", []string{url, "--app-id", "abc", "--secret-file", secretFile}},
		{cli.ExitUsage, "hint: name it with --app-id", []string{url, "--secret-file", secretFile}},
		{cli.ExitUsage, "hint: name a file with --secret-file", []string{url, "--app-id", id}},
		{cli.ExitUsage, "hint: name the server, as in latch setup https://", []string{"--app-id", id}},
		{cli.ExitUsage, "must begin with https://", []string{"http://127.0.0.1", "--app-id", id, "--secret-file", secretFile}},
		{cli.ExitUsage, "a name and a port", []string{url + "/api", "--app-id", id, "--secret-file", secretFile}},
		{cli.ExitError, "no such file", []string{url, "--app-id", id, "--secret-file", "/run/missing"}},
	} {
		w.fails(c.status, []string{c.text}, append([]string{"setup"}, c.args...)...)
		if left := w.directory(); left != "" {
			t.Fatalf("setup %q left %s", c.args, left)
		}
	}
	w.configure("# mine")
	before := w.read(w.conf)
	w.fails(cli.ExitError, []string{"102", "nothing was written"}, "setup", url, "--app-id", id, "--secret-file", wrong, "--ca-sha256", sum, "--yes")
	if w.read(w.conf) != before || w.directory() != "latch.conf" {
		t.Errorf("written %q, beside it %s", w.read(w.conf), w.directory())
	}
}

// TestSetupOnATerminal answers every question, down to the pairing.
func TestSetupOnATerminal(t *testing.T) {
	w, _ := newHost(t)
	_, sum := w.authority()
	person := w.sit()
	done := make(chan outcome, 1)
	go func() { done <- w.run("setup") }()
	for _, step := range []struct{ question, answer string }{
		{"Latch server [" + config.DefaultHost + "]: ", strings.TrimPrefix(shared.url, "https://")},
		{"Application id: ", w.app.ID},
		{"Secret: ", w.secret},
		{"Is this the CA of your server? [y/N]: ", "y"},
		{"refused: an outage locks out every user who is paired", ""}, {"action (open, close, last, otp) [open]: ", "perhaps"},
		{"action (open, close, last, otp) [open]: ", ""},
		{"Pairing code from the phone (\"link\" shows a link and a QR code instead; empty to pair later): ", w.code("ana")},
		{"Local user: ", "ana"},
		{"host_context = yes in " + w.conf + ")? [y/N]: ", "n"},
	} {
		person.sees(step.question)
		if strings.HasSuffix(step.question, ": ") {
			person.types(step.answer + "\n")
		}
	}
	o := <-done
	if o.status != cli.ExitOK || o.out != w.conf+" is written\nana is paired\n" || !strings.Contains(o.err, "SHA-256  "+sum) || !strings.Contains(o.err, `unknown value "perhaps"`) {
		t.Errorf("%v", o)
	}
	if !strings.Contains(w.read(w.conf), "\naction = open\n") {
		t.Errorf("the answer is not on record: %q", w.read(w.conf))
	}
	if strings.Contains(person.seen, w.secret) || !strings.Contains(person.seen, w.app.ID) {
		t.Errorf("the screen shows %q", person.seen)
	}
	if out := w.ok("status", "--user", "ana"); out != "open\n" {
		t.Errorf("status is %q", out)
	}

	// Again, with nothing but Enter: everything is kept.
	before := w.read(w.conf)
	person.forgets()
	go func() { done <- w.run("setup") }()
	for _, question := range []string{"Latch server [" + shared.url + "]: ", "Application id [" + w.app.ID + "]: ", "Secret: ", "action (open, close, last, otp) [open]: ", "Pairing code"} {
		person.sees(question)
		person.types("\n")
	}
	if o := <-done; o.status != cli.ExitOK || w.read(w.conf) != before || !strings.Contains(o.err, "the one that is trusted already") {
		t.Errorf("%v, written %q", o, w.read(w.conf))
	}
}

func TestSetupRefusedOnATerminal(t *testing.T) {
	for _, answer := range []string{"n\n", "\n", "\x04"} {
		w, secretFile := newHost(t)
		person := w.sit()
		done := make(chan outcome, 1)
		go func() { done <- w.run("setup", shared.url, "--app-id", w.app.ID, "--secret-file", secretFile) }()
		person.sees("[y/N]: ")
		person.types(answer)
		if o := <-done; o.status != cli.ExitError || w.directory() != "" {
			t.Errorf("answered %q: %v, left %s", answer, o, w.directory())
		}
	}
}

// TestSetupChoosesAction: an option or an answer is written, and nothing is where nobody was asked.
func TestSetupChoosesAction(t *testing.T) {
	w := newWorld(t)
	lines := func() string {
		return strings.Join(regexp.MustCompile("(?m)^(action|timeout) = .*$").FindAllString(w.read(w.conf), -1), ", ")
	}
	w.input = w.secret
	o := w.run("setup", "--app-id", w.app.ID, "--secret-file", "-")
	if o.status != cli.ExitOK || lines() != "" || !strings.Contains(o.err, "action = open applies") {
		t.Errorf("without a terminal: %q, %v", lines(), o)
	}
	if got := w.object(cli.ExitOK, "setup", "--action", "last", "--yes")["action"]; got != "last" || lines() != "action = last" {
		t.Errorf("by option: %v, written %q", got, lines())
	}
	if o := w.run("setup", "--app-id", w.app.ID, "--secret-file", "-", "--yes"); o.status != cli.ExitOK || lines() != "action = last" || strings.Contains(o.err, "nobody has chosen") {
		t.Errorf("kept: %q, %v", lines(), o)
	}
	w.fails(cli.ExitUsage, []string{"--action is open, close, last, otp"}, "setup", "--action", "maybe", "--yes")

	// A value that the configuration cannot have is refused before anything is written.
	w.configure("timeout = 99", "action = close")
	w.fails(cli.ExitError, []string{"too long to ask for a code"}, "setup", "--action", "otp", "--yes")
	person := w.sit()
	done := make(chan outcome, 1)
	go func() { done <- w.run("setup", shared.url, "--app-id", w.app.ID, "--secret-file", "-") }()
	for range 3 {
		person.sees("[close]: ")
		person.types("otp\n")
		person.forgets()
	}
	if o := <-done; o.status != cli.ExitError || !strings.Contains(o.err, "nothing was written") || lines() != "timeout = 99, action = close" {
		t.Errorf("%v, written %q", o, lines())
	}
}

// TestSetupOfAnotherApplication must be confirmed where somebody is paired with the one before.
func TestSetupOfAnotherApplication(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.pair("ana")
	before := w.read(w.conf)
	secretFile := filepath.Join(t.TempDir(), "secret")
	w.write(secretFile, other.secret)
	args := []string{"setup", shared.url, "--app-id", other.app.ID, "--secret-file", secretFile}
	w.fails(cli.ExitUsage, []string{"users paired with the application " + w.app.ID + ": 1;", "hint: confirm it with --yes"}, args...)
	if w.read(w.conf) != before {
		t.Errorf("written %q", w.read(w.conf))
	}
	w.ok(append(args, "--yes")...)
	w.fails(cli.ExitNotPaired, nil, "status", "--user", "ana")
}

// TestSetupJudgesTheConfiguredCA meets a server that does not show its CA, as most do not.
func TestSetupJudgesTheConfiguredCA(t *testing.T) {
	w := newWorld(t)
	fake, err := latchtest.New("error 201")
	w.must(err)
	defer fake.Close()
	mine := filepath.Join(filepath.Dir(w.conf), "mine.pem")
	w.write(mine, string(fake.CA))
	w.input = latchtest.Secret
	args := []string{"setup", fake.URL.String(), "--app-id", latchtest.AppID, "--secret-file", "-", "--yes"}
	before := w.read(w.conf)
	w.fails(cli.ExitError, []string{"nothing was written: bad certificate"}, args...)
	if w.read(w.conf) != before {
		t.Errorf("written %q", w.read(w.conf))
	}
	w.must(os.Remove(w.conf))
	w.fails(cli.ExitError, []string{"hint: copy the CA's certificate"}, args...)
	w.ok(append(args, "--ca-file", mine)...)
	if o := w.run(args...); o.status != cli.ExitOK || !strings.Contains(o.err, "the CA: the one in ") {
		t.Errorf("%v", o)
	}
}

// TestWrongClock asks servers that are three hours ahead. One answers once the date is corrected; nobody is refused
// for that, and it is told.
func TestWrongClock(t *testing.T) {
	w := newWorld(t)
	w.must(pairings.Store{Path: w.accounts}.Add(context.Background(), pairings.Pairing{User: "ana", AccountID: latchtest.AccountID, UID: 7001}))
	use := func(fault string) *latchtest.Server {
		fake, err := latchtest.New(fault)
		w.must(err)
		t.Cleanup(fake.Close)
		w.write(filepath.Join(filepath.Dir(w.conf), "ca.pem"), string(fake.CA))
		w.configure("app_id = "+latchtest.AppID, "secret_key = "+latchtest.Secret, "latch_host = "+fake.URL.String(),
			"ca_file = "+filepath.Join(filepath.Dir(w.conf), "ca.pem"))
		return fake
	}
	const told = `latch: this machine's clock is 3h0m[23][0-9]s behind the server's; set it \(timedatectl set-ntp true\)\n`
	use("error 109 then good")
	if o := w.run("status", "--user", "ana"); o.status != cli.ExitOK || o.out != "open\n" || !matches(told, o.err) {
		t.Errorf("%v", o)
	}
	fake := use("error 109 always")
	w.fails(cli.ExitError, []string{"109", "behind the server's", "hint: set this machine's clock"}, "status", "--user", "ana")
	before := w.read(w.conf)
	w.input = latchtest.Secret
	w.fails(cli.ExitError, []string{"the clock: ", "behind the server's; set it", "nothing was written"},
		"setup", fake.URL.String(), "--app-id", latchtest.AppID, "--secret-file", "-", "--yes")
	if w.read(w.conf) != before {
		t.Errorf("written %q", w.read(w.conf))
	}
}
