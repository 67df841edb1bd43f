package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// asks runs a command that must name people who would be refused. Without a terminal it must change nothing, and its hint must be
// the command that confirms it; a person who answers no changes nothing either; --yes makes the change.
func (w *world) asks(unchanged func() bool, texts []string, args ...string) {
	w.t.Helper()
	w.fails(cli.ExitUsage, append(texts, "hint: confirm it with --yes: latch "+args[0], " --yes\n"), args...)
	if !unchanged() {
		w.t.Errorf("latch %q made the change without a confirmation", args)
	}
	person := w.sit()
	done := make(chan outcome, 1)
	go func() { done <- w.run(args...) }()
	person.sees("? [y/N]: ")
	person.types("n\n")
	if o := <-done; o.status != cli.ExitError || !unchanged() {
		w.t.Errorf("latch %q, answered with no: %v; unchanged %v", args, o, unchanged())
	}
	w.terminal = filepath.Join(w.t.TempDir(), "none")
	if o := w.run(append(args, "--yes")...); o.status != cli.ExitOK || unchanged() {
		w.t.Errorf("latch %q --yes: %v; unchanged %v", args, o, unchanged())
	}
}

// TestRemovalOfAnOperationInUse: a PAM line asks about it, so paired users would be refused there.
func TestRemovalOfAnOperationInUse(t *testing.T) {
	for _, which := range []string{"sudo", "above"} {
		w := newWorld(t)
		w.services("su")
		w.pair("ana")
		w.pair("bob")
		above := strings.TrimSpace(w.ok("operation", "add", "above", "--save"))
		w.ok("operation", "add", "sudo", "--save", "--parent", above)
		w.protect("sudo", "operation=sudo")
		before := w.ok("operation", "list")
		w.asks(func() bool { return w.ok("operation", "list") == before },
			[]string{"PAM lines ask about this operation (sudo); paired users who would be refused there: 2"}, "operation", "rm", which)
	}
}

// TestRemovedOperationIsReplaced: the hint of rm makes the PAM lines work again.
func TestRemovedOperationIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.ok("operation", "add", "sudo", "--save")
	o := w.run("operation", "rm", "sudo")
	if want := "run: latch operation add sudo --save --config " + w.conf + " --accounts " + w.accounts + "\n"; o.status != cli.ExitOK || !strings.Contains(o.err, want) {
		t.Fatalf("%v, want the hint %q", o, want)
	}
	w.fails(cli.ExitError, []string{"301"}, "status", "--user", "ana", "--operation", "sudo")
	if o := w.run("operation", "add", "sudo", "--save"); o.status != cli.ExitOK || !strings.Contains(o.err, "the server does not know") {
		t.Errorf("%v", o)
	}
	if out := w.ok("status", "--user", "ana", "--operation", "sudo"); out != "open\n" {
		t.Errorf("status of the new operation: %q", out)
	}
	w.fails(cli.ExitError, []string{`has an operation "sudo" already`}, "operation", "add", "sudo", "--save")
}

// TestUnpairingWhereUnpairedUsersAreRefused asks where a protected service uses the pairing, and not for an exempt user.
func TestUnpairingWhereUnpairedUsersAreRefused(t *testing.T) {
	w := newWorld(t)
	w.services("su")
	w.configure("unpaired = close", "exempt_users = bob")
	w.pair("ana")
	w.protect("sshd")
	w.asks(func() bool { _, paired := w.pairing("ana"); return paired },
		[]string{"with unpaired = close, users without a pairing are refused by sshd: ana would be one"}, "unpair", "--user", "ana")
	w.pair("bob")
	w.ok("unpair", "--user", "bob")
	w.pair("ana")
	w.asks(func() bool { _, paired := w.pairing("ana"); return paired }, []string{"ana would be one"}, "-u", "--user", "ana")
}

// TestRemovalOfRequiredCodes asks where a protected service requires them.
func TestRemovalOfRequiredCodes(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes("otp = totp", "otp_required = yes")
	w.services("su")
	_, err := store.CreateKey(context.Background())
	w.must(err)
	w.must(store.Enrol(context.Background(), "ana", 7001, otpstore.Authenticator{Parameters: otp.Standard(), Secret: fixture.Seed, Window: otpstore.UsualWindow, Enrolled: time.Now().Unix()}))
	w.protect("sshd")
	w.asks(func() bool { _, err := store.Load("ana"); return err == nil },
		[]string{"with otp_required = yes, users who are not enrolled are refused by sshd: ana would be one"}, "otp", "remove", "--user", "ana")
}

// TestEditThatRefusesPeople has one change after another, each made by the editor.
func TestEditThatRefusesPeople(t *testing.T) {
	other := newWorld(t)
	for name, c := range map[string]struct {
		script string
		text   string
	}{
		"application":   {`sed -i 's/^app_id.*/app_id = ` + other.app.ID + `/; s/^secret_key.*/secret_key = ` + other.secret + `/' "$1"`, "users paired with the application"},
		"secret":        {`sed -i 's/^secret_key.*/secret_key = ` + strings.Repeat("x", 40) + `/' "$1"`, "the server gives no verdict"},
		"server":        {`sed -i 's/^latch_host.*/latch_host = https:\/\/localhost:1/' "$1"`, "users paired with the application at " + shared.url + ": 1; if https://localhost:1 is another server"},
		"operation":     {`sed -i /^sudo/d "$1"`, `everybody is refused by sudo`},
		"unpaired":      {`sed -i '1i unpaired = close' "$1"`, "every user without a pairing is refused by sudo"},
		"required code": {`sed -i '1i otp = totp\notp_required = yes' "$1"`, "paired users who are not enrolled: 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.services("su")
			w.pair("ana")
			w.ok("operation", "add", "sudo", "--save")
			w.protect("sudo", "operation=sudo")
			w.editor(c.script)
			before := w.read(w.conf)
			w.asks(func() bool { return w.read(w.conf) == before }, []string{c.text, "your text is kept in"}, "config", "edit")
			for _, draft := range w.drafts() {
				w.must(os.RemoveAll(draft))
			}
		})
	}
	w := newWorld(t)
	w.services("su")
	w.pair("ana")
	w.editor(`sed -i '1i action = close\ntimeout = 5' "$1"`)
	if o := w.run("config", "edit"); o.status != cli.ExitOK || strings.Contains(o.err, "warning") {
		t.Errorf("a change that refuses nobody: %v", o)
	}
	if c, err := config.Load(w.conf); err != nil || c.Action != config.Close {
		t.Errorf("written %+v, %v", c, err)
	}
}
