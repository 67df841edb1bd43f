package main

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// withCodes has the world keep its one-time passwords beside its configuration.
func (w *world) withCodes(lines ...string) otpstore.Store {
	w.t.Helper()
	dir := filepath.Dir(w.conf)
	state, key := filepath.Join(dir, "state"), filepath.Join(dir, "otp.key")
	w.configure(append(lines, "state_dir = "+state, "otp_key = "+key)...)
	return otpstore.At(state, key)
}

// seedOf takes the seed from the link on the screen.
func (p *sitter) seedOf() (secret string, parameters url.Values) {
	p.t.Helper()
	p.sees("Scan it with the authenticator app")
	link, err := url.Parse(strings.TrimSpace(regexp.MustCompile(`otpauth://\S+`).FindString(p.seen)))
	if err != nil || link.Query().Get("secret") == "" {
		p.t.Fatalf("the screen shows %q (%v)", p.seen, err)
	}
	return link.Query().Get("secret"), link.Query()
}

// codeAt is what an app with the seed shows some steps from now.
func (w *world) codeAt(secret string, steps int64) string {
	w.t.Helper()
	code, err := otp.Code(secret, time.Now().Unix()/30+steps)
	w.must(err)
	return code
}

var recoveryForm = regexp.MustCompile(`[0-9A-Z]{5}-[0-9A-Z]{5}`)

// TestOTPEnrol goes from a seed on the screen to a code that passes once, and on to every other command.
func TestOTPEnrol(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	w.pair("ana")
	w.fails(cli.ExitError, []string{`"ana" has no one-time passwords`, "hint: run latch otp enroll"}, "otp", "status", "--user", "ana")
	person := w.sit()
	done := make(chan outcome, 1)
	run := func(args ...string) { go func() { done <- w.run(append(args, "--user", "ana")...) }() }

	run("otp", "enroll")
	secret, link := person.seedOf()
	if link.Get("issuer") == "" || link.Get("digits") != "6" || !strings.Contains(person.seen, "█") {
		t.Errorf("the screen shows %q", person.seen)
	}
	person.sees("Code that the app shows: ")
	person.forgets()
	person.types("000000\n")
	person.sees("That is not its code.")
	person.sees("Code that the app shows: ")
	right := w.codeAt(secret, 0)
	person.types(right + "\n")
	person.sees("keep them away from the phone")
	o := <-done
	if o.status != cli.ExitOK || o.out != "ana is enrolled\n" || strings.Contains(o.out+o.err, secret) || !strings.Contains(o.err, "keep it in the backup") {
		t.Errorf("%v", o)
	}
	codes := recoveryForm.FindAllString(person.seen, -1)
	if len(codes) != otp.RecoveryCount {
		t.Fatalf("%d recovery codes on %q", len(codes), person.seen)
	}

	check := func(code string, status cli.Exit, text string) {
		t.Helper()
		person.forgets()
		run("otp", "verify")
		person.sees("Code of ana: ")
		person.types(code + "\n")
		if o := <-done; o.status != status || !strings.Contains(o.out+o.err, text) {
			t.Errorf("%s: %v", code, o)
		}
	}
	check(right, cli.ExitError, "was used before") // by the enrolment
	check(w.codeAt(secret, 1), cli.ExitOK, "right")
	check("000000", cli.ExitError, "the code is wrong")
	check(codes[0], cli.ExitOK, "9 recovery codes are left")
	check(codes[0], cli.ExitError, "the code is wrong")

	row := w.object(cli.ExitOK, "otp", "status", "--user", "ana")["otp"].(map[string]any)
	if row["user"] != "ana" || row["authenticator"] != "totp" || row["recovery_codes"] != 9.0 || row["server"] != false || row["excused"] != nil ||
		row["last_used"] == nil || row["window"] != 1.0 || row["expires"] != nil || row["sealed"] != true || row["wrong_today"] != 0.0 {
		t.Errorf("status %v", row)
	}
	if out := w.ok("recovery", "status", "--user", "ana"); !strings.Contains(out, "LEFT") || !strings.Contains(out, "9") || recoveryForm.MatchString(out) {
		t.Errorf("recovery status: %s", out)
	}
	if out := w.ok("otp", "list"); !strings.Contains(out, "ana") || strings.Contains(out, secret) {
		t.Errorf("list: %s", out)
	}
	w.fails(cli.ExitError, []string{"ana has an authenticator", "--replace"}, "otp", "enroll", "--user", "ana")

	person.forgets()
	run("recovery", "new")
	person.sees("\r\n\r\n")
	if o := <-done; o.status != cli.ExitOK || !strings.Contains(o.out, "10 new recovery codes") {
		t.Errorf("%v", o)
	}
	check(codes[1], cli.ExitError, "the code is wrong")

	if out := w.ok("otp", "rekey"); out != "records sealed with the new key: 1\n" {
		t.Errorf("rekey: %s", out)
	}
	if r, err := store.Load("ana"); err != nil || r.Authenticator.Secret != secret || r.UID != 7001 {
		t.Errorf("after rekey: %v", err)
	}
	if o := w.run("unpair", "--user", "ana"); o.status != cli.ExitOK || !strings.Contains(o.err, "latch otp remove --user ana") {
		t.Errorf("unpair: %v", o)
	}
	if out := w.ok("otp", "remove", "--user", "ana"); out != "ana has no one-time passwords any more\n" {
		t.Errorf("remove: %s", out)
	}
	w.fails(cli.ExitError, []string{"has no one-time passwords"}, "otp", "remove", "--user", "ana")
}

// TestOTPEnrolProvesNothing stores nothing: three wrong codes, no terminal, an interrupt.
func TestOTPEnrolProvesNothing(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	w.fails(cli.ExitError, []string{"there is no terminal to ask on", "ssh -t"}, "otp", "enroll", "--user", "ana")
	person := w.sit()
	done := make(chan outcome, 1)
	go func() {
		done <- w.run("otp", "enroll", "--user", "ana", "--type", "HOTP", "--digits", "8", "--algorithm", "sha256")
	}()
	if _, link := person.seedOf(); link.Get("digits") != "8" || link.Get("algorithm") != "SHA256" || link.Get("counter") != "0" {
		t.Errorf("the link says %v", link)
	}
	for range enrolTries {
		person.sees("Code that the app shows: ")
		person.forgets()
		person.types("00000000\n")
	}
	if o := <-done; o.status != cli.ExitError || !strings.Contains(o.err, "no code was right, so nothing was stored") {
		t.Errorf("%v", o)
	}
	if users, err := store.Users(); err != nil || len(users) > 0 {
		t.Errorf("stored %q, %v", users, err)
	}
	for _, args := range [][]string{{"--digits", "7"}, {"--algorithm", "md5"}, {"--server", "--type", "hotp"}, {"--server", "--window", "2"}, {"--type", "motp"},
		{"--period", "0"}, {"--period", "301"}, {"--type", "hotp", "--period", "60"}, {"--window", "51"}, {"--window", "-1"}, {"--lifetime", "90"},
		{"--issuer", "a:b"}, {"--label", "a\tb"}} {
		w.fails(cli.ExitUsage, nil, append([]string{"otp", "enroll", "--user", "ana"}, args...)...)
	}
}

// TestOTPAtTheServer has the server make the seed and check the code; what is removed here is removed there.
func TestOTPAtTheServer(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes("otp = server-totp")
	w.pair("ana")
	person := w.sit()
	done := make(chan outcome, 1)
	go func() { done <- w.run("otp", "enroll", "--user", "ana", "--server") }()
	secret, _ := person.seedOf()
	person.sees("Code that the app shows: ")
	person.types(w.codeAt(secret, 0) + "\n")
	if o := <-done; o.status != cli.ExitOK || strings.Contains(o.err, "not paired") {
		t.Fatalf("%v", o)
	}
	r, err := store.Load("ana")
	w.must(err)
	id := r.Remotes[w.app.ID].ID
	if k, err := shared.store.TOTP(w.app, id); err != nil || k.Secret != secret || r.RecoveryLeft() != otp.RecoveryCount {
		t.Errorf("%+v, %v", k, err)
	}
	w.configure("latch_host = "+nowhere, "state_dir = "+filepath.Dir(store.Dir), "otp_key = "+store.KeyFile)
	w.fails(cli.ExitNoAnswer, []string{"nothing was changed", "--local"}, "otp", "remove", "--user", "ana")
	w.withCodes()
	w.ok("otp", "remove", "--user", "ana")
	if _, err := shared.store.TOTP(w.app, id); err == nil {
		t.Error("the server has it still")
	}

	// What no code has proven does not stay at the server.
	person.forgets()
	go func() { done <- w.run("otp", "enroll", "--user", "bob", "--server") }()
	person.seedOf()
	for range enrolTries {
		person.sees("Code that the app shows: ")
		person.forgets()
		person.types("000000\n")
	}
	if o := <-done; o.status != cli.ExitError {
		t.Errorf("%v", o)
	}
	if _, err := store.Load("bob"); err == nil {
		t.Error("bob is enrolled")
	}
}

func TestOTPResync(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	p := otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6}
	secret := p.NewSecret()
	_, err := store.CreateKey(t.Context())
	w.must(err)
	w.must(store.Enrol(t.Context(), "ana", 7001, otpstore.Authenticator{Parameters: p, Secret: secret, Window: 10}))
	person := w.sit()
	done := make(chan outcome, 1)
	for _, c := range []struct {
		first, second int64
		status        cli.Exit
	}{{300, 302, cli.ExitError}, {300, 301, cli.ExitOK}, {300, 301, cli.ExitError}} {
		person.forgets()
		go func() { done <- w.run("otp", "resync", "--user", "ana") }()
		for i, question := range []string{"The first code: ", "The next code: "} {
			code, err := p.Code(secret, []int64{c.first, c.second}[i])
			w.must(err)
			person.sees(question)
			person.types(code + "\n")
		}
		if o := <-done; o.status != c.status {
			t.Errorf("%+v: %v", c, o)
		}
	}
	if r, err := store.Load("ana"); err != nil || r.Authenticator.Next != 302 {
		t.Errorf("%+v, %v", r.Authenticator, err)
	}
	w.must(store.Enrol(t.Context(), "bob", 7002, otpstore.Authenticator{Parameters: otp.Standard(), Secret: secret, Window: 1}))
	w.fails(cli.ExitError, []string{"no token that counts"}, "otp", "resync", "--user", "bob")
}

func TestOTPBypass(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	const given, ended = "root excused ana from codes for 2h0m0s: lost the phone", "root took back that ana is excused"
	before := len(logged.Lines(given)) // of an earlier run of this test
	if out := w.ok("bypass", "--user", "ana", "--for", "2h", "--reason", "lost the phone"); out != "ana is excused from codes for 2h0m0s\n" {
		t.Errorf("printed %q", out)
	}
	r, err := store.Load("ana")
	w.must(err)
	if left, err := r.Bypass.Left(); err != nil || left < 119*time.Minute || r.Bypass.By != "root" {
		t.Errorf("%+v, %v", r.Bypass, err)
	}
	if out := w.ok("otp", "list"); !strings.Contains(out, "2h0m0s") {
		t.Errorf("list: %s", out)
	}
	eventually(t, "the log tells who gave it and why", func() bool { return len(logged.Lines(given)) == before+1 })
	if o := w.run("status", "--user", "ana"); o.status != cli.ExitNotPaired || !strings.Contains(o.err, "ana is excused from codes for") {
		t.Errorf("status of somebody who is not paired: %v", o)
	}
	w.pair("ana")
	if o := w.run("status", "--user", "ana"); o.out != "open\n" || !strings.Contains(o.err, "ana is excused from codes for ") || !strings.Contains(o.err, "by root: lost the phone") {
		t.Errorf("status: %v", o)
	}
	if b, _ := w.object(cli.ExitOK, "status", "--user", "ana")["bypass"].(map[string]any); b["reason"] != "lost the phone" || b["by"] != "root" {
		t.Errorf("status as JSON: %v", b)
	}
	w.ok("bypass", "--user", "ana", "--end")
	if o := w.run("status", "--user", "ana"); o.err != "" {
		t.Errorf("status after its end: %v", o)
	}
	eventually(t, "the log tells who took it back", func() bool { return len(logged.Lines(ended)) == before+1 })
	if r, err := store.Load("ana"); err != nil || r.Bypass != nil {
		t.Errorf("%+v, %v", r, err)
	}
	w.fails(cli.ExitError, []string{"up to 24h0m0s"}, "bypass", "--user", "ana", "--for", "25h", "--reason", "x")
	w.fails(cli.ExitUsage, nil, "bypass", "--user", "ana")
	w.fails(cli.ExitUsage, nil, "bypass", "--user", "ana", "--end", "--reason", "x")
}

// TestOTPOfAnotherSpelling: OpenVPN with LDAP and no NSS takes many spellings for one name, and a login looks by the pairing's.
func TestOTPOfAnotherSpelling(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	w.ok("pair", w.code("ana"), "--user", "vpn-ana", "--profile", "openvpn")
	w.ok("bypass", "--user", "VPN-Ana", "--reason", "x", "--profile", "openvpn")
	if users, err := store.Users(); err != nil || len(users) != 1 || users[0] != "vpn-ana" {
		t.Errorf("%q, %v", users, err)
	}
	w.ok("otp", "status", "--user", "VPN-ANA", "--profile", "openvpn")
}

// TestOTPIsRoots: nobody else can read a seed, and that is said before anything is asked.
func TestOTPIsRoots(t *testing.T) {
	w := newWorld(t)
	w.uid = 7001
	for _, args := range [][]string{{"otp", "enroll"}, {"otp", "status"}, {"otp", "list"}, {"otp", "verify"}, {"otp", "resync"}, {"otp", "remove"},
		{"otp", "rekey"}, {"otp", "key"}, {"otp", "key", "--create"}, {"otp", "encrypt", "--all"}, {"otp", "import", "x"}, {"recovery", "new"},
		{"recovery", "status"}, {"bypass", "--reason", "x"}} {
		w.fails(cli.ExitError, []string{"root's files", "hint: run it as root, with sudo"}, args...)
	}
}

// TestOTPDamaged: one record that cannot be read hides no other, and can be removed.
func TestOTPDamaged(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	w.ok("bypass", "--user", "ana", "--reason", "x")
	w.ok("bypass", "--user", "bob", "--reason", "x")
	w.write(filepath.Join(store.Dir, "bob"), "{}")
	o := w.run("otp", "list")
	if o.status != cli.ExitOK || !strings.Contains(o.out, "ana") || !strings.Contains(o.out, "no\n") || !strings.Contains(o.err, "is of another version") {
		t.Errorf("%v", o)
	}
	w.fails(cli.ExitError, []string{"say --local"}, "otp", "remove", "--user", "bob")
	w.ok("otp", "remove", "--user", "bob", "--local")
	w.ok("otp", "list")
}
