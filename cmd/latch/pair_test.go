package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/server/store"
)

func TestPair(t *testing.T) {
	w := newWorld(t)
	if out := w.ok("pair", w.code("ana"), "--user", "ana"); out != "ana is paired\n" {
		t.Errorf("printed %q", out)
	}
	p, ok := w.pairing("ana")
	if !ok || p.UID != 7001 {
		t.Errorf("stored %+v, %v", p, ok)
	}
	if info, err := os.Stat(w.accounts); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if o := w.object(cli.ExitOK, "pair", w.code("bob"), "--user", "bob"); o["user"] != "bob" || o["paired"] != true {
		t.Errorf("printed %v", o)
	}
	if out := w.ok("status", "--user", "ana"); out != "open\n" {
		t.Errorf("status is %q", out)
	}
}

// TestWrongFormOfCodeIsNotSent asks nobody: with the address of nowhere a question would be "no answer".
func TestWrongFormOfCodeIsNotSent(t *testing.T) {
	w := newWorld(t)
	w.configure("latch_host = " + nowhere)
	for _, code := range []string{"", "AbC7x", "AbC7xYz", "AbC7x5", "AbC7xS", "AbC7xl", "AbC7x1", "AbC7x0", "AbC7xO", "AbC7x/", "AbC x7", "ÁbC7x", "AbC7x\n"} {
		w.fails(cli.ExitUsage, []string{"six letters and digits", "hint: "}, "pair", code, "--user", "ana")
		w.fails(cli.ExitUsage, nil, "-p", code, "--user", "ana")
	}
	w.fails(cli.ExitNoAnswer, []string{"no answer", "if the phone shows a new pairing"}, "pair", "AbC7xY", "--user", "ana")
}

func TestUnknownCode(t *testing.T) {
	w := newWorld(t)
	w.fails(cli.ExitError, []string{"206", "hint: the code is mistyped or older than its lifetime"}, "pair", "AAAAAA", "--user", "ana")
	if _, ok := w.pairing("ana"); ok {
		t.Error("a pairing was stored")
	}
}

func TestAlreadyPairedHere(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	code := w.code("bob")
	w.fails(cli.ExitError, []string{`"ana" is already paired`, "latch unpair --user ana"}, "pair", code, "--user", "ana")
	w.ok("pair", code, "--user", "bob") // it was not spent
	other := pairings.Pairing{User: "eva", AccountID: strings.Repeat("e", 64), UID: 1}
	w.must(pairings.Store{Path: w.accounts}.Add(context.Background(), other))
	w.fails(cli.ExitError, []string{"somebody else now", "latch unpair --user eva"}, "pair", code, "--user", "eva")
}

// TestNamesThatTheNameServiceDoesNotKnow are OpenVPN's alone, and differ by more than case.
func TestNamesThatTheNameServiceDoesNotKnow(t *testing.T) {
	w := newWorld(t)
	w.fails(cli.ExitError, []string{"no such user", "--profile openvpn"}, "pair", "AbC7xY", "--user", "Carla Ruiz")
	w.ok("pair", w.code("ana"), "--user", "Carla Ruiz", "--profile", "openvpn")
	if p, ok := w.pairing("Carla Ruiz"); !ok || p.UID != -1 {
		t.Errorf("stored %+v, %v", p, ok)
	}
	w.fails(cli.ExitError, []string{`"Carla Ruiz" is already paired`, "--profile openvpn first"}, "pair", "AbC7xY", "--user", "CARLA RUIZ", "--profile", "openvpn")
	if out := w.ok("status", "--user", "carla ruiz", "--profile", "openvpn"); out != "open\n" {
		t.Errorf("status is %q", out)
	}
}

// TestNamesThatCannotBeStored do not spend the code.
func TestNamesThatCannotBeStored(t *testing.T) {
	w := newWorld(t)
	code := w.code("ana")
	for _, name := range []string{"a:b", "#c", " ana", "a\nb"} {
		w.fails(cli.ExitError, []string{"the code was not sent", "cannot be a user's name"}, "pair", code, "--user", name, "--profile", "openvpn")
	}
	w.ok("pair", code, "--user", "ana")
}

// TestAlreadyPairedAtTheServer loses the pairing file: the server names the account beside its error 205.
func TestAlreadyPairedAtTheServer(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	before, _ := w.pairing("ana")
	w.must(os.Remove(w.accounts))
	o := w.run("pair", w.code("ana"), "--user", "ana")
	if after, _ := w.pairing("ana"); o.status != cli.ExitOK || after != before || !strings.Contains(o.err, "had this pairing already") {
		t.Errorf("%v, stored %+v, before %+v", o, after, before)
	}
	if out := w.ok("status", "--user", "ana"); out != "open\n" {
		t.Errorf("status is %q", out)
	}
}

// unstorable makes the pairing file one that can be locked and read and not replaced: the name of its unfinished
// copy would be too long.
func (w *world) unstorable() {
	w.accounts = filepath.Join(filepath.Dir(w.accounts), strings.Repeat("a", 250))
}

// atServer is what the server has of a person in this application.
func (w *world) atServer(person string) (accounts []store.Account) {
	w.t.Helper()
	all, err := shared.store.Accounts(person)
	if !errors.Is(err, store.ErrNotPaired) {
		w.must(err)
	}
	for _, a := range all {
		if a.Status.ID == w.app.ID {
			accounts = append(accounts, a)
		}
	}
	return accounts
}

func (w *world) pairedAtServer(person string) int {
	w.t.Helper()
	return len(w.atServer(person))
}

func TestWhatCannotBeStoredIsUndone(t *testing.T) {
	w := newWorld(t)
	w.unstorable()
	o := w.run("pair", w.code("ana"), "--user", "ana")
	if o.status != cli.ExitError || !strings.Contains(o.err, "undone at the server") || !strings.Contains(o.err, "pair again with a new code") {
		t.Errorf("%v", o)
	}
	if n := w.pairedAtServer("ana"); n != 0 {
		t.Errorf("the server still has %d pairings", n)
	}
	told := w.object(cli.ExitError, "pair", w.code("ana"), "--user", "ana")["error"].(map[string]any)
	if !strings.Contains(told["message"].(string), "undone at the server") {
		t.Errorf("told %v", told)
	}
}

// TestWhatWasThereBeforeIsNotUndone cannot store an account that the server had paired before: somebody may need it.
func TestWhatWasThereBeforeIsNotUndone(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.unstorable()
	o := w.run("pair", w.code("ana"), "--user", "bob")
	if o.status != cli.ExitError || !strings.Contains(o.err, "cannot be stored") || strings.Contains(o.err, "undone") {
		t.Errorf("%v", o)
	}
	if n := w.pairedAtServer("ana"); n != 1 {
		t.Errorf("the server has %d pairings", n)
	}
}

// TestForeseeableFailureSpendsNoCode finds a file that cannot be locked before anything is sent.
func TestForeseeableFailureSpendsNoCode(t *testing.T) {
	w := newWorld(t)
	code := w.code("ana")
	lock := filepath.Join(filepath.Dir(w.accounts), ".lock")
	w.must(os.Mkdir(lock, 0o755))
	w.fails(cli.ExitError, []string{"the code was not sent", "chmod 700 " + lock}, "pair", code, "--user", "ana")
	w.must(os.Chmod(lock, 0o700))
	w.ok("pair", code, "--user", "ana")
}

func TestUnpair(t *testing.T) {
	w := newWorld(t)
	w.fails(cli.ExitNotPaired, []string{`"ana": not paired`, "latch pair CODE"}, "unpair", "--user", "ana")
	w.pair("ana")
	if out := w.ok("unpair", "--user", "ana"); out != "ana is no longer paired\n" {
		t.Errorf("printed %q", out)
	}
	if _, here := w.pairing("ana"); here || w.pairedAtServer("ana") != 0 {
		t.Errorf("paired here %v, at the server %d", here, w.pairedAtServer("ana"))
	}
	w.pair("ana")
	if o := w.object(cli.ExitOK, "unpair", "--user", "ana"); o["user"] != "ana" || o["paired"] != false {
		t.Errorf("printed %v", o)
	}
}

// TestUnpairOfWhatTheServerForgot takes error 201 for done.
func TestUnpairOfWhatTheServerForgot(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.must(shared.store.UnpairUser(context.Background(), "ana", w.app.ID))
	w.fails(cli.ExitNotPaired, []string{"201", "hint: the pairing was removed on the phone"}, "status", "--user", "ana")
	w.ok("unpair", "--user", "ana")
	if _, here := w.pairing("ana"); here {
		t.Error("still paired here")
	}
}

func TestUnpairWithoutAnAnswerChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.configure("latch_host = " + nowhere)
	w.fails(cli.ExitNoAnswer, []string{"nothing was changed", "--local"}, "unpair", "--user", "ana")
	if _, here := w.pairing("ana"); !here {
		t.Error("unpaired here")
	}
	w.ok("unpair", "--user", "ana", "--local")
	if _, here := w.pairing("ana"); here || w.pairedAtServer("ana") != 1 {
		t.Errorf("paired here %v, at the server %d", here, w.pairedAtServer("ana"))
	}
}

func TestUnpairOfASharedAccount(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.ok("pair", w.code("ana"), "--user", "bob") // 205 with the same account
	o := w.run("unpair", "--user", "bob")
	if o.status != cli.ExitOK || !strings.Contains(o.err, "the server was not told") || w.pairedAtServer("ana") != 1 {
		t.Errorf("%v, %d pairings at the server", o, w.pairedAtServer("ana"))
	}
	w.ok("unpair", "--user", "ana")
	if n := w.pairedAtServer("ana"); n != 0 {
		t.Errorf("the server still has %d pairings", n)
	}
}

// TestEveryErrorOfTheServerSaysWhatToDo covers the codes that this program has a sentence for.
func TestEveryErrorOfTheServerSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	var code int
	fake := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, `{"error":{"code":%d,"message":"m\u001b[31m"}}`, code)
	}))
	defer fake.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	w.write(ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: fake.Certificate().Raw})))
	w.configure("latch_host = "+fake.URL, "ca_file = "+ca)
	for _, code = range append(api.Codes(), 4242) {
		status := cli.ExitError
		if code == api.ErrCodeNotPaired {
			status = cli.ExitNotPaired
		}
		w.fails(status, []string{"hint: " + api.Advice(code)}, "status", "--user", "ana")
		w.fails(status, []string{"hint: " + api.Advice(code)}, "pair", "AbC7xY", "--user", "bob")
	}
}

func TestOpenAndClose(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	for _, verb := range []string{"close", "lock"} {
		w.move("ana", true)
		if out := w.ok(verb, "--user", "ana"); out != "closed\n" {
			t.Errorf("%s printed %q", verb, out)
		}
		if o := w.run("status", "--user", "ana"); o.status != cli.ExitClosed || o.out != "closed\n" || o.err != "" {
			t.Errorf("after %s: %v", verb, o)
		}
	}
	for _, verb := range []string{"open", "unlock"} {
		w.fails(cli.ExitError, []string{"110", "latch-server app set APP --open-by-api=yes"}, verb, "--user", "ana")
	}
	yes := true
	w.must(shared.store.ChangeApplication(context.Background(), w.app.Row, store.ApplicationChange{OpenByAPI: &yes}))
	for _, verb := range []string{"open", "unlock"} {
		w.move("ana", false)
		if o := w.object(cli.ExitOK, verb, "--user", "ana"); o["status"] != "open" || o["user"] != "ana" {
			t.Errorf("%s: %v", verb, o)
		}
		if out := w.ok("status", "--user", "ana"); out != "open\n" {
			t.Errorf("after %s: %q", verb, out)
		}
	}
	w.fails(cli.ExitNotPaired, nil, "close", "--user", "bob")
	w.fails(cli.ExitError, []string{`no operation "sudo"`}, "close", "--user", "ana", "--operation", "sudo")
}
