package main

import (
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

const (
	tokenFiles = otherFiles + "seeds/"
	tokenSeed  = "EUYDWRSRLRTXE7MISOPKTNF7ZLK6B27W"                     // 1001, 2308001
	longSeed   = "JJKWA23WQGGJPIVNXDB45WPE575AKEA3EYYTYR2SLVUHG7UJSSPQ" // 1002, 2308002
)

// code is what a token shows.
func code(t *testing.T, p otp.Parameters, seed string, n int64) string {
	t.Helper()
	code, err := p.Code(seed, n)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// TestEnrollToken takes hardware tokens of each kind from what vendors ship: each proves itself by its codes.
func TestEnrollToken(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	for _, c := range []struct {
		args   []string
		seed   string
		want   otp.Parameters
		before int64 // of a token that counts: how often it was pressed before
	}{
		{[]string{tokenFiles + "bare-hex"}, tokenSeed, otp.Standard(), 0},
		{[]string{tokenFiles + "bare-base32", "--digits", "8"}, tokenSeed, otp.Parameters{Kind: otp.TOTP, Algorithm: otp.SHA1, Digits: 8, Period: 30}, 0},
		{[]string{tokenFiles + "entra.csv", "--serial", "2308002", "--algorithm", "sha256"}, longSeed, otp.Parameters{Kind: otp.TOTP, Algorithm: otp.SHA256, Digits: 6, Period: 60}, 0},
		{[]string{tokenFiles + "entra.csv", "--serial", "2308002", "--algorithm", "sha512", "--period", "30"}, longSeed, otp.Parameters{Kind: otp.TOTP, Algorithm: otp.SHA512, Digits: 6, Period: 30}, 0},
		{[]string{tokenFiles + "two.csv", "--serial", "1002", "--type", "hotp", "--digits", "8", "--seed-encoding", "hex"}, longSeed, otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 8}, 977},
	} {
		person := w.sit()
		done := make(chan outcome, 1)
		go func() {
			done <- w.run(append([]string{"otp", "enroll", "--user", "ana", "--replace", "--seed-file"}, c.args...)...)
		}()
		var next int64
		person.sees("Code that the token shows: ")
		if c.want.Kind == otp.HOTP {
			person.types(code(t, c.want, c.seed, c.before) + "\n")
			person.sees("Its next code: ")
			person.types(code(t, c.want, c.seed, c.before+1) + "\n")
			next = c.before + 2
		} else {
			step := c.want.Step(time.Now())
			person.types(code(t, c.want, c.seed, step) + "\n")
			next = step + 1
		}
		o := <-done
		r, err := store.Load("ana")
		if err != nil || o.status != cli.ExitOK || r.Authenticator.Parameters != c.want || r.Authenticator.Secret != c.seed || r.Authenticator.Next != next ||
			r.Authenticator.Window != otpstore.UsualWindow {
			t.Errorf("%v: %v, %+v, %v, want %+v and %d", c.args, o, r, err, c.want, next)
		}
		secretless(t, o, c.seed)
		if strings.Contains(person.seen, c.seed) {
			t.Errorf("%v: the terminal shows the seed", c.args)
		}
	}
	logged.Await("root enrolled ana (hotp, hardware token 1002)")
}

// TestEnrollTokenRefuses what is not proven, cannot be read or could be meant in two ways, and stores nothing.
func TestEnrollTokenRefuses(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	for _, c := range []struct {
		args   string
		status cli.Exit
		says   string
	}{
		{"two.csv", cli.ExitUsage, "it holds 2 tokens"},
		{"two.csv --serial 7", cli.ExitError, `no token has the serial number "7"`},
		{"semicolon.csv --serial A-1", cli.ExitError, "line 4: its serial number is in line 2 as well"},
		{"semicolon.csv --serial A-2", cli.ExitError, "line 3: the seed has 8 bytes"},
		{"both.csv", cli.ExitError, "line 1: the seed can be read as hexadecimal and as Base32: say which"},
		{"three.csv", cli.ExitError, "names the columns"},
		{"missing.csv", cli.ExitError, "no such file"},
		{"two.csv --serial 1001", cli.ExitError, "no terminal"},
		{"two.csv --png /run/x.png", cli.ExitUsage, "leave --png out"},
		{"two.csv --server", cli.ExitUsage, "leave --server out"},
		{"two.csv --seed-encoding ascii", cli.ExitUsage, "auto, hex or base32"},
		{"two.csv --digits 7", cli.ExitUsage, "6 or 8 digits"},
	} {
		words := strings.Fields(c.args)
		w.fails(c.status, []string{c.says}, append([]string{"otp", "enroll", "--user", "ana", "--seed-file", tokenFiles + words[0]}, words[1:]...)...)
	}
	w.fails(cli.ExitUsage, []string{"--serial belongs to --seed-file"}, "otp", "enroll", "--user", "ana", "--serial", "7")
	person := w.sit()
	done := make(chan outcome, 1)
	go func() { done <- w.run("otp", "enroll", "--user", "ana", "--seed-file", tokenFiles+"bare-hex") }()
	for range 3 {
		person.sees("Code that the token shows: ")
		person.forgets()
		person.types("000000\n")
	}
	if o := <-done; o.status != cli.ExitError || !strings.Contains(o.err, "nothing was stored") || !strings.Contains(o.err, "--seed-encoding") {
		t.Errorf("%v", o)
	}
	if users := w.users(store); users != "" {
		t.Errorf("records of %s", users)
	}
}
