package main

import (
	"context"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/server/store"
)

func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.fails(cli.ExitNotPaired, []string{`"ana": not paired`, "hint: run latch pair CODE"}, "status", "--user", "ana")
	w.pair("ana")
	// -s is the original tool's word for it.
	for _, args := range [][]string{{"status", "--user", "ana"}, {"-s", "--user", "ana"}, {"--status", "--user", "ana"}} {
		w.move("ana", true)
		if o := w.run(args...); o != (outcome{cli.ExitOK, "open\n", ""}) {
			t.Errorf("%q of an open latch: %v", args, o)
		}
		if o := w.object(cli.ExitOK, args...); o["user"] != "ana" || o["status"] != "open" || len(o) != 3 {
			t.Errorf("%q of an open latch: %v", args, o)
		}
		w.move("ana", false)
		if o := w.run(args...); o != (outcome{cli.ExitClosed, "closed\n", ""}) {
			t.Errorf("%q of a closed latch: %v", args, o)
		}
		if o := w.object(cli.ExitClosed, args...); o["status"] != "closed" {
			t.Errorf("%q of a closed latch: %v", args, o)
		}
	}
	w.configure("latch_host = " + nowhere)
	w.fails(cli.ExitNoAnswer, []string{"no answer", "hint: check the network, and latch_host"}, "status", "--user", "ana")
	w.fails(cli.ExitNoAnswer, nil, "-s", "--user", "ana")
}

// TestUpstreamFlags are the commands by other names.
func TestUpstreamFlags(t *testing.T) {
	w := newWorld(t)
	if out := w.ok("-p", w.code("ana"), "--user", "ana"); out != "ana is paired\n" {
		t.Errorf("-p printed %q", out)
	}
	id := strings.TrimSpace(w.ok("operation", "add", "sudo", "--save"))
	for _, args := range [][]string{{"-o", "sudo"}, {"-o", id}, {"-s", "-o", "sudo"}, {"status", "--operation", "sudo"}} {
		if o := w.run(append(args, "--user", "ana")...); o != (outcome{cli.ExitOK, "open\n", ""}) {
			t.Errorf("%q: %v", args, o)
		}
	}
	w.fails(cli.ExitError, []string{`no operation "scp"`, "the names are: sudo"}, "-o", "scp", "--user", "ana")
	// The first of version, status, unpair and pair counts.
	if out := w.ok("-u", "-s", "--user", "ana"); out != "open\n" {
		t.Errorf("-u -s printed %q", out)
	}
	if out := w.ok("-u", "--user", "ana"); out != "ana is no longer paired\n" {
		t.Errorf("-u printed %q", out)
	}
	w.fails(cli.ExitNotPaired, nil, "-u", "--user", "ana")
	w.fails(cli.ExitUsage, nil, "-p", "", "--user", "ana")
}

// TestStatusDisturbsNobody makes no one-time token.
func TestStatusDisturbsNobody(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	mandatory := store.Mandatory
	w.must(shared.store.ChangeApplication(context.Background(), w.app.Row, store.ApplicationChange{TwoFactor: &mandatory}))
	w.ok("status", "--user", "ana")
	tokens, err := shared.store.Tokens("ana")
	w.must(err)
	for _, token := range tokens {
		if token.App == w.app.Name {
			t.Errorf("a token was made: %+v", token)
		}
	}
	entries, err := shared.store.Log("ana", 1)
	w.must(err)
	if len(entries) != 1 || entries[0].App != w.app.Name || entries[0].Action != store.ActionGet || !entries[0].Silent {
		t.Errorf("the question was not silent: %+v", entries)
	}
}

// TestNameThatPassedToSomebodyElse is refused at the login, so the command line must not say "open".
func TestNameThatPassedToSomebodyElse(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.write(w.accounts, strings.Replace(w.read(w.accounts), " 7001\n", " 4001\n", 1))
	for _, args := range [][]string{{"status"}, {"close"}, {"history"}} {
		w.fails(cli.ExitError, []string{"had the uid 4001", "latch unpair, then latch pair CODE"}, append(args, "--user", "ana")...)
	}
	w.ok("unpair", "--user", "ana")
	if _, here := w.pairing("ana"); here {
		t.Error("still paired here")
	}
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.ok("status", "--user", "ana")
	w.ok("close", "--user", "ana")
	out := w.ok("history", "--user", "ana")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 3 || !matches(`TIME +ACTION +WHAT +WAS +VALUE +NAME +IP`, lines[0]) || !strings.Contains(out, "DEVELOPER_UPDATE") || !strings.Contains(out, "127.0.0.1") {
		t.Errorf("printed %q", out)
	}
	entries := w.object(cli.ExitOK, "history", "--user", "ana", "--since", "1h")["history"].([]any)
	if entry := entries[0].(map[string]any); len(entries) < 2 || entry["time"] == "" || entry["action"] == "" {
		t.Errorf("printed %v", entries)
	}
	w.fails(cli.ExitUsage, []string{"--since"}, "history", "--user", "ana", "--since", "-1h")
	w.fails(cli.ExitUsage, []string{"--since"}, "history", "--user", "ana", "--since", "yesterday")
	w.fails(cli.ExitNotPaired, nil, "history", "--user", "bob")
	if o := w.run("history", "--user", "ana", "--since", "2000000h"); o.status != cli.ExitOK { // before 1970
		t.Errorf("%v", o)
	}
}

// TestWithoutSetup says what to do first.
func TestWithoutSetup(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.write(w.conf, "# empty\n")
	w.fails(cli.ExitError, []string{"there is no app_id", "hint: run latch setup"}, "status", "--user", "ana")
	w.conf += ".missing"
	w.fails(cli.ExitError, []string{"hint: run latch setup first"}, "status", "--user", "ana")
	w.fails(cli.ExitError, []string{"hint: run latch setup first"}, "pair", "AbC7xY", "--user", "bob")
}

func TestList(t *testing.T) {
	w := newWorld(t)
	if o := w.run("list"); o != (outcome{cli.ExitOK, "", "latch: no pairings\n"}) {
		t.Errorf("%v", o)
	}
	w.pair("ana")
	w.must(pairings.Store{Path: w.accounts}.Add(context.Background(), pairings.Pairing{User: "old", AccountID: strings.Repeat("a", 64), UID: -1}))
	if out := w.ok("list"); out != "USER  UID\nana   7001\nold   -\n" {
		t.Errorf("printed %q", out)
	}
	rows := w.object(cli.ExitOK, "list")["pairings"].([]any)
	if ana, old := rows[0].(map[string]any), rows[1].(map[string]any); ana["uid"] != 7001.0 || old["uid"] != nil || ana["account_id"] != nil {
		t.Errorf("printed %v", rows)
	}
	p, _ := w.pairing("ana")
	rows = w.object(cli.ExitOK, "list", "--export")["pairings"].([]any)
	if rows[0].(map[string]any)["account_id"] != p.AccountID {
		t.Errorf("printed %v", rows)
	}
	w.write(w.accounts, "ana 12\n")
	w.fails(cli.ExitError, []string{w.accounts + ":1: "}, "list")
}

// export gives what another machine with the same application would hand over.
func (w *world) export(change ...string) string {
	return strings.NewReplacer(change...).Replace(w.ok("list", "--export"))
}

func TestExportAndImport(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.pair("bob")
	before := w.read(w.accounts)
	w.input = w.export()
	w.accounts += ".new"
	if out := w.ok("pair", "--import", "-"); out != "pairings imported: 2\n" || w.read(w.accounts) != before {
		t.Errorf("printed %q, stored %q, want %q", out, w.read(w.accounts), before)
	}
	if o := w.object(cli.ExitOK, "pair", "--import", "-"); o["imported"] != 2.0 || w.read(w.accounts) != before {
		t.Errorf("a second time: %v, stored %q", o, w.read(w.accounts))
	}
	file := w.accounts + ".export"
	w.write(file, w.input)
	w.accounts += ".third"
	w.ok("pair", "--import", file)
	if w.read(w.accounts) != before {
		t.Errorf("stored %q, want %q", w.read(w.accounts), before)
	}
	if out := w.ok("status", "--user", "bob"); out != "open\n" {
		t.Errorf("status is %q", out)
	}
	w.input = w.ok("list", "--export", "--json")
	w.fails(cli.ExitError, []string{"the input is JSON", "hint: export without --json"}, "pair", "--import", "-")
	w.input = "ana\n"
	w.fails(cli.ExitError, []string{"nothing was imported: standard input:1: "}, "pair", "--import", "-")
}

// TestImportIsAllOrNothing changes one of two pairings so that it must not be taken.
func TestImportIsAllOrNothing(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.pair("bob")
	w.accounts, w.input = w.accounts+".new", w.export()
	for _, c := range []struct{ what, from, to, text string }{
		{"another uid", "bob 7002", "bob 4002", `"bob" has the uid 4002 there and 7002 here`},
		{"no such user", "bob", "carla", `"carla": no such user`},
		{"broken line", "\nbob:", "\nbob", "standard input:4: "},
		{"twice", "bob:", "7001:", `"7001" is the user "ana" here`},
		{"empty", w.input, "# nothing\n", "there are no pairings"},
	} {
		input := w.input
		w.input = strings.Replace(input, c.from, c.to, -1)
		w.fails(cli.ExitError, []string{"nothing was imported", c.text}, "pair", "--import", "-")
		if w.input = input; w.ok("list") != "" {
			t.Errorf("%s: stored %q", c.what, w.read(w.accounts))
		}
	}
	w.fails(cli.ExitUsage, nil, "pair", "AbC7xY", "--import", "-")
	w.fails(cli.ExitUsage, nil, "pair", "--import", "-", "--user", "ana")
	w.fails(cli.ExitUsage, nil, "pair", "AbC7xY", "--any-uid")
	w.fails(cli.ExitError, []string{"no such file"}, "pair", "--import", "/run/missing")
}

func TestImportOfOtherUIDs(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.accounts, w.input = w.accounts+".new", w.export("ana 7001", "ana 4001")
	w.fails(cli.ExitError, []string{"hint: if these are the same people, say --any-uid"}, "pair", "--import", "-")
	w.ok("pair", "--import", "-", "--any-uid")
	if p, ok := w.pairing("ana"); !ok || p.UID != 7001 {
		t.Errorf("stored %+v, %v: the uid of this machine counts", p, ok)
	}
}

func TestImportTouchesNoOtherPairing(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.accounts, w.input = w.accounts+".new", w.export()
	mine := pairings.Pairing{User: "ana", AccountID: strings.Repeat("m", 64), UID: 7001}
	w.must(pairings.Store{Path: w.accounts}.Add(context.Background(), mine))
	w.fails(cli.ExitError, []string{`"ana" is already paired with another account`, "hint: run latch unpair first"}, "pair", "--import", "-")
	if p, _ := w.pairing("ana"); p != mine {
		t.Errorf("stored %+v", p)
	}
}
