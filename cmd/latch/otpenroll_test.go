package main

import (
	"bytes"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// enrolment runs otp enroll in the background, with a person before the screen.
type enrolment struct {
	*sitter
	w    *world
	done chan outcome
}

func (w *world) enrolling(args ...string) enrolment {
	w.t.Helper()
	e := enrolment{w.sit(), w, make(chan outcome, 1)}
	go func() { e.done <- w.run(append([]string{"otp", "enroll"}, args...)...) }()
	return e
}

// proves types the code that an app shows which does as the link on the screen says.
func (e enrolment) proves() (p otp.Parameters, secret string, o outcome) {
	e.w.t.Helper()
	e.seedOf()
	uri := strings.Fields(e.seen[strings.Index(e.seen, "otpauth://"):])[0]
	l, err := otp.ParseURI(uri)
	e.w.must(err)
	p, secret = l.Parameters, l.Secret
	code, err := p.Code(secret, p.Step(time.Now()))
	e.w.must(err)
	e.sees("Code that the app shows: ")
	e.types(code + "\n")
	return p, secret, <-e.done
}

// TestOTPEnrollAsAsked chooses everything that can be chosen.
func TestOTPEnrollAsAsked(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes("otp_issuer = Example & co", "otp_window = 3", "otp_lifetime = 10d")
	picture := filepath.Join(t.TempDir(), "ana.png")
	e := w.enrolling("--user", "ana", "--digits", "8", "--period", "60", "--algorithm", "sha512", "--window", "2", "--lifetime", "90d",
		"--label", "ana at work", "--png", picture)
	p, secret, o := e.proves()
	if o.status != cli.ExitOK || p != (otp.Parameters{Kind: otp.TOTP, Algorithm: otp.SHA512, Digits: 8, Period: 60}) {
		t.Fatalf("%+v: %v", p, o)
	}
	for _, text := range []string{"For ana:", "/Example%20&%20co:ana%20at%20work?", "type the secret there (8 digits, SHA512, every 60 s)", secret[:4] + " " + secret[4:8] + " "} {
		if !strings.Contains(e.seen, text) {
			t.Errorf("the screen lacks %q: %s", text, e.seen)
		}
	}
	for _, text := range []string{"warning: SHA512: Microsoft Authenticator, Authy", "warning: 8 digits: Microsoft Authenticator", "warning: a period of 60 s:",
		picture + " holds the seed"} {
		if !strings.Contains(o.err, text) {
			t.Errorf("stderr lacks %q: %s", text, o.err)
		}
	}
	r, err := store.Load("ana")
	w.must(err)
	if a := r.Authenticator; a.Parameters != p || a.Secret != secret || a.Window != 2 || a.Lifetime != 90*24*3600 {
		t.Errorf("stored %+v", a)
	}
	data, err := os.ReadFile(picture)
	w.must(err)
	if _, err := png.Decode(bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(picture); err != nil || info.Mode() != 0o600 {
		t.Errorf("the picture has the mode %v, %v", info.Mode(), err)
	}
	w.fails(cli.ExitError, []string{picture, "exists"}, "otp", "enroll", "--user", "bob", "--png", picture)
	sheet := w.object(cli.ExitOK, "otp", "status", "--user", "ana")["otp"].(map[string]any)
	if sheet["window"] != 2.0 || sheet["code"] != "8 digits, SHA512, every 60 s" || sheet["expires"] == nil {
		t.Errorf("status %v", sheet)
	}
}

// TestOTPEnrollAsConfigured leaves the choice to latch.conf, later changes included.
func TestOTPEnrollAsConfigured(t *testing.T) {
	w := newWorld(t)
	w.withCodes("otp_window = 3", "otp_lifetime = 10d")
	w.env = map[string]string{"SUDO_USER": "ana"}
	_, _, o := w.enrolling().proves()
	if o.status != cli.ExitOK || strings.Contains(o.err, "warning") || o.out != "ana is enrolled\n" {
		t.Fatalf("%v", o)
	}
	sheet := func() map[string]any {
		t.Helper()
		return w.object(cli.ExitOK, "otp", "status", "--user", "ana")["otp"].(map[string]any)
	}
	if s := sheet(); s["window"] != 3.0 || s["expires"] == nil {
		t.Errorf("status %v", s)
	}
	store := w.withCodes("otp_window = 1")
	if s := sheet(); s["window"] != 1.0 || s["expires"] != nil {
		t.Errorf("status %v", s)
	}
	r, err := store.Load("ana")
	w.must(err)
	old := *r.Authenticator
	old.Enrolled -= 11 * 24 * 3600
	w.must(store.Enrol(t.Context(), "ana", 7001, old))
	w.withCodes("otp_lifetime = 10d")
	if s := sheet(); s["authenticator"] != "totp, expired" {
		t.Errorf("status %v", s)
	}
	person := w.sit()
	done := make(chan outcome, 1)
	go func() { done <- w.run("otp", "verify", "--user", "ana") }()
	person.sees("Code of ana: ")
	person.types("000000\n")
	if o := <-done; o.status != cli.ExitError || !strings.Contains(o.err, "has expired") || !strings.Contains(o.err, "otp enroll --replace") {
		t.Errorf("%v", o)
	}
	if _, _, o := w.enrolling("--replace").proves(); o.status != cli.ExitOK {
		t.Errorf("enrolled again: %v", o)
	}
	if s := sheet(); s["authenticator"] != "totp" {
		t.Errorf("status %v", s)
	}
}

// TestOTPPictureOfNothing: what no code has proven leaves no picture of its seed.
func TestOTPPictureOfNothing(t *testing.T) {
	w := newWorld(t)
	w.withCodes()
	dir := t.TempDir()
	w.fails(cli.ExitError, []string{"no terminal"}, "otp", "enroll", "--user", "ana", "--png", filepath.Join(dir, "ana.png"))
	e := w.enrolling("--user", "ana", "--png", filepath.Join(dir, "ana.png"))
	for range enrolTries {
		e.sees("Code that the app shows: ")
		e.forgets()
		e.types("0\n")
	}
	if o := <-e.done; o.status != cli.ExitError || !strings.Contains(o.err, "nothing was stored") {
		t.Errorf("%v", o)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

const googleSeed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// googleFile writes a file of google-authenticator's that belongs to a user.
func (w *world) googleFile(user, text string) string {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "google")
	w.write(file, text)
	w.must(os.Chown(file, locals[user], locals[user]))
	return file
}

// TestOTPImport takes many files at once; each mistake names its file and line and keeps nothing else from it.
func TestOTPImport(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	anas := w.googleFile("ana", googleSeed+"\n\" RATE_LIMIT 3 30\n\" DISALLOW_REUSE 59000000\n\" TOTP_AUTH\n12345678\n87654321\n")
	bobs := w.googleFile("bob", googleSeed+"\n\" TOTP_AUTH\n\" WINDOW_SIZE many\n")
	evas := w.googleFile("eva", strings.ToLower(googleSeed)+"\n\" HOTP_COUNTER 7\n\" WINDOW_SIZE 5\n")
	nobodys := w.googleFile("", googleSeed+"\n\" TOTP_AUTH\n")
	link := anas + ".link"
	w.must(os.Symlink(anas, link))
	o := w.run("otp", "import", anas, bobs, evas, nobodys, link, anas+".missing")
	for _, text := range []string{bobs + ": line 3: WINDOW_SIZE is no number", nobodys + ": belongs to root", link + ": is a link", anas + ".missing: no such file",
		anas + ": RATE_LIMIT is replaced", "not imported: " + bobs + ", " + nobodys} {
		if !strings.Contains(o.err, text) {
			t.Errorf("stderr lacks %q: %s", text, o.err)
		}
	}
	if o.status != cli.ExitError || strings.Contains(o.out+o.err, googleSeed) || strings.Contains(o.out+o.err, "12345678") {
		t.Errorf("%v", o)
	}
	r, err := store.Load("ana")
	if err != nil || r.Authenticator.Secret != googleSeed || r.Authenticator.Next != 59000001 || r.Authenticator.Window != 1 || r.RecoveryLeft() != 2 {
		t.Errorf("ana: %+v, %v", r, err)
	}
	r, err = store.Load("eva")
	if err != nil || r.Authenticator.Secret != googleSeed || r.Authenticator.Kind != otp.HOTP || r.Authenticator.Next != 7 || r.Authenticator.Window != 4 {
		t.Errorf("eva: %+v, %v", r, err)
	}
	if len(logged.Await("root enrolled ana (totp, from "+anas+")")) == 0 {
		t.Error("the log does not tell who enrolled ana")
	}
	if users, err := store.Users(); err != nil || len(users) != 2 {
		t.Errorf("%q, %v", users, err)
	}

	w.fails(cli.ExitError, []string{anas + ": ana has an authenticator", "--replace"}, "otp", "import", anas)
	w.ok("otp", "import", "--replace", anas)
	w.fails(cli.ExitError, []string{"--user NAME"}, "otp", "import", nobodys)
	if out := w.ok("otp", "import", "--user", "bob", nobodys); !strings.Contains(out, "bob") {
		t.Errorf("printed %q", out)
	}
	w.fails(cli.ExitUsage, nil, "otp", "import", "--user", "bob", anas, evas)
	w.fails(cli.ExitUsage, nil, "otp", "import")
	rows := w.object(cli.ExitError, "otp", "import", anas, bobs)["files"].([]any)
	if len(rows) != 2 || !strings.Contains(rows[1].(map[string]any)["error"].(string), "line 3") {
		t.Errorf("as JSON: %v", rows)
	}
}

// TestOTPImportOfTheRealTool has google-authenticator itself write the files.
func TestOTPImportOfTheRealTool(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	for name, c := range map[string]struct {
		flags []string
		want  otpstore.Authenticator
	}{
		"by the time": {[]string{"--time-based", "--disallow-reuse", "--rate-limit=3", "--rate-time=30", "--window-size=17", "--step-size=60"},
			otpstore.Authenticator{Parameters: otp.Parameters{Kind: otp.TOTP, Algorithm: otp.SHA1, Digits: 6, Period: 60}, Window: 8}},
		"that count": {[]string{"--counter-based", "--no-rate-limit", "--window-size=5"},
			otpstore.Authenticator{Parameters: otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6}, Window: 4, Next: 1}},
	} {
		file := filepath.Join(t.TempDir(), "secret")
		cmd := exec.Command("google-authenticator", append(c.flags, "--force", "--quiet", "--no-confirm", "--emergency-codes=4", "--secret="+file)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v, %s", name, err, out)
		}
		o := w.run("otp", "import", "--user", "ana", "--replace", file)
		r, err := store.Load("ana")
		if o.status != cli.ExitOK || err != nil {
			t.Fatalf("%s: %v, %v\n%s", name, o, err, w.read(file))
		}
		c.want.Secret, c.want.Enrolled = strings.SplitN(w.read(file), "\n", 2)[0], r.Authenticator.Enrolled
		if *r.Authenticator != c.want || r.RecoveryLeft() != 4 {
			t.Errorf("%s: %+v and %d codes, want %+v", name, *r.Authenticator, r.RecoveryLeft(), c.want)
		}
	}
}
