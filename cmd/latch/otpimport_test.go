package main

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// otherFiles are the synthetic files of other programs.
const otherFiles = "../../pkg/otp/otpfile/testdata/"

// seedFileOf writes a file of seeds, for root alone.
func (w *world) seedFileOf(text string) string {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "seeds")
	w.write(file, text)
	return file
}

// users are those with a record.
func (w *world) users(store otpstore.Store) string {
	w.t.Helper()
	users, err := store.Users()
	w.must(err)
	return strings.Join(users, " ")
}

// secretless fails where a command shows a seed of its input.
func secretless(t *testing.T, o outcome, seeds ...string) {
	t.Helper()
	for _, seed := range seeds {
		if strings.Contains(strings.ToUpper(o.out+o.err), strings.ToUpper(seed)) {
			t.Errorf("%q is shown: %v", seed, o)
		}
	}
}

// TestOTPImportOfAnURI comes from standard input, for the user who is named or whose account it is.
func TestOTPImportOfAnURI(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	want := otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA256, Digits: 8}
	w.input = "QR-Code:" + want.URI(googleSeed, "Elsewhere", "someone", 41) + "\n"
	w.fails(cli.ExitError, []string{"standard input: line 1: \"someone\": no such user", "hint: name the user with --user NAME"}, "otp", "import", "-")
	if got := w.users(store); got != "" {
		t.Errorf("records of %s", got)
	}
	o := w.run("otp", "import", "--user", "ana", "-")
	r, err := store.Load("ana")
	if err != nil || o.status != cli.ExitOK || r.Authenticator.Parameters != want || r.Authenticator.Secret != googleSeed || r.Authenticator.Next != 41 ||
		r.Authenticator.Window != otpstore.UsualWindow {
		t.Errorf("%v: %+v, %v", o, r, err)
	}
	secretless(t, o, googleSeed)
	for _, account := range []string{"bob", "eva@" + hostname(), "eva@elsewhere"} {
		w.input = otp.Standard().URI(googleSeed, "Latch", account, 0)
		if o := w.run("otp", "import", "-"); (o.status == cli.ExitOK) == strings.HasSuffix(account, "elsewhere") {
			t.Errorf("%s: %v", account, o)
		}
	}
	if got := w.users(store); got != "ana bob eva" {
		t.Errorf("records of %s", got)
	}
	o = w.run("otp", "import", otp.Standard().URI(googleSeed, "Latch", "ana", 0))
	if o.status != cli.ExitUsage || !strings.Contains(o.err, "a seed must not be an argument") {
		t.Errorf("%v", o)
	}
	secretless(t, o, googleSeed)
}

// TestOTPImportIsWholeOrNot: one line that cannot be taken over keeps the whole file out, and a dry run writes nothing.
func TestOTPImportIsWholeOrNot(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	seed := hex.EncodeToString([]byte("12345678901234567890"))
	const first = "HOTP/T30\tana\t-\t"
	whole := first + seed + "\nHOTP/E/8 bob - " + seed + " 7 00000000 2009-12-07T23:23:49L\nHOTP/T60/6 eva + " + seed + "\n"
	for _, c := range []struct{ text, says string }{
		{whole + "HOTP nobodyhere - " + seed, `line 4: "nobodyhere": no such user`},
		{whole + "HOTP/T30/7 root - " + seed, "line 4: a code has 6 or 8 digits, not 7"},
		{whole + "HOTP ana - " + seed, "line 4: ana has another authenticator in line 1"},
		{whole + "HOTP ana -", "line 4: not a type, a user, a PIN and a seed"},
		{whole + "HOTP 0 - " + seed, `line 4: "0": no such user`},
	} {
		file := w.seedFileOf(c.text)
		o := w.run("otp", "import", file)
		if o.status != cli.ExitError || !strings.Contains(o.err, file+": "+c.says) || w.users(store) != "" {
			t.Errorf("%q: %v, records of %q", c.says, o, w.users(store))
		}
		secretless(t, o, seed)
	}
	file := w.seedFileOf(whole)
	w.must(os.RemoveAll(filepath.Dir(store.Dir)))
	w.must(os.Remove(store.KeyFile))
	o := w.run("otp", "import", "--dry-run", file)
	if out := strings.Join(strings.Fields(o.out), " "); o.status != cli.ExitOK || w.users(store) != "" || !strings.Contains(o.err, "nothing was changed") ||
		!strings.Contains(out, file+" bob bob hotp 8 digits, SHA1 0 no") {
		t.Errorf("%v, records of %q", o, w.users(store))
	}
	if _, err := os.Stat(store.KeyFile); !os.IsNotExist(err) {
		t.Errorf("a dry run made the key: %v", err)
	}
	o = w.run("otp", "import", file)
	if o.status != cli.ExitOK || w.users(store) != "ana bob eva" || !strings.Contains(o.err, "the PIN is not taken over") || !strings.Contains(o.err, "pam_oath.so") {
		t.Errorf("%v, records of %q", o, w.users(store))
	}
	r, err := store.Load("bob")
	if err != nil || r.Authenticator.Parameters != (otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 8}) || r.Authenticator.Next != 7 {
		t.Errorf("%+v, %v", r, err)
	}
	logged.Await("root enrolled eva (totp, from " + file + ")")
	if log := logged.Lines(seed); len(log) > 0 {
		t.Errorf("the log shows seeds: %q", log)
	}
}

// TestOTPImportChooses one authenticator of an app's export.
func TestOTPImportChooses(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	const mine = "EUYDWRSRLRTXE7MISOPKTNF7ZLK6B27W"
	for _, c := range []struct {
		file, entry, says string
		status            cli.Exit
	}{
		{"aegis.json", "", `choose one by its number with --entry: 1 "Example:ana", 2 "bob", 3 "Steam:game"`, cli.ExitUsage},
		{"aegis.json", "3", "entry 3: unknown kind of code", cli.ExitError},
		{"aegis.json", "elsewhere", "there is no such authenticator in it", cli.ExitError},
		{"aegis.json", "example:ANA", "", cli.ExitOK},
		{"2fas.2fas", "1", "", cli.ExitOK},
		{"migration.txt", "", "", cli.ExitOK},
		{"migration-parts.txt", "ana@web1", "", cli.ExitOK},
		{"users.oath", "", "", cli.ExitOK}, // by the user's name
		{"aegis-encrypted.json", "", "export it without a password", cli.ExitError},
		{"2fas-encrypted.2fas", "", "export it without a password", cli.ExitError},
		{"migration-missing.txt", "", "of the 3 QR codes of this export number 1, 3 is missing", cli.ExitError},
		{"unknown.csv", "", "unknown format; known are otpauth:// URIs", cli.ExitError},
	} {
		args := []string{"otp", "import", "--replace", "--user", "ana", otherFiles + c.file}
		if c.entry != "" {
			args = append(args, "--entry", c.entry)
		}
		before := w.users(store)
		o := w.run(args...)
		if o.status != c.status || !strings.Contains(o.err, c.says) {
			t.Errorf("%+v: %v", c, o)
		}
		secretless(t, o, mine, "25303b46515c67727d88939ea9b4bfcad5e0ebf6")
		if c.status != cli.ExitOK {
			if after := w.users(store); after != before {
				t.Errorf("%+v: records of %q, before %q", c, after, before)
			}
			continue
		}
		if r, err := store.Load("ana"); err != nil || r.Authenticator.Secret != mine || r.Authenticator.Parameters != otp.Standard() {
			t.Errorf("%+v: %+v, %v", c, r, err)
		}
		w.ok("otp", "remove", "--user", "ana")
	}
	w.fails(cli.ExitUsage, []string{"--entry chooses from one file"}, "otp", "import", "--entry", "1", "a", "b")
}
