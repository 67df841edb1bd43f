package main

import (
	"context"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
)

func TestOperations(t *testing.T) {
	w := newWorld(t)
	if o := w.run("operation", "list"); o != (outcome{cli.ExitOK, "", "latch: no operations\n"}) {
		t.Errorf("%v", o)
	}
	o := w.run("operation", "add", "sudo", "--two-factor", "opt-in")
	id := strings.TrimSpace(o.out)
	if o.status != cli.ExitOK || !matches("[A-Za-z0-9]{20}", id) || !strings.Contains(o.err, `"sudo = `+id+`" into [operations]`) {
		t.Fatalf("%v", o)
	}
	child := w.object(cli.ExitOK, "operation", "add", "shutdown", "--parent", id, "--lock-on-request", "MANDATORY")["operation_id"].(string)
	rows := w.object(cli.ExitOK, "operation", "list")["operations"].([]any)
	if len(rows) != 2 {
		t.Fatalf("listed %v", rows)
	}
	top, below := rows[0].(map[string]any), rows[1].(map[string]any)
	if top["id"] != id || top["name"] != "sudo" || top["two_factor"] != "OPT_IN" || top["parent"] != "" || top["called"] != "" {
		t.Errorf("listed %v", top)
	}
	if below["id"] != child || below["parent"] != id || below["lock_on_request"] != "MANDATORY" {
		t.Errorf("listed %v", below)
	}
	if out := w.ok("operation", "rename", id, "root rights"); out != id+" is called root rights\n" || !strings.Contains(w.ok("operation", "list"), "root rights") {
		t.Errorf("printed %q", out)
	}
	if out := w.ok("operation", "rm", id); out != id+" is removed\n" || w.ok("operation", "list") != "" {
		t.Errorf("printed %q", out)
	}
	w.fails(cli.ExitError, []string{"301", "latch operation list"}, "operation", "rename", id, "again")
	w.fails(cli.ExitError, []string{"301"}, "operation", "rm", id)
}

func TestOperationSaved(t *testing.T) {
	w := newWorld(t)
	w.write(w.conf, w.read(w.conf)+"# mine\n")
	o := w.object(cli.ExitOK, "operation", "add", "sudo", "--save")
	c, err := config.Load(w.conf)
	w.must(err)
	if o["saved"] != true || c.Operations["sudo"] != o["operation_id"] || !strings.Contains(w.read(w.conf), "# mine\n") {
		t.Errorf("%v, written %q", o, w.read(w.conf))
	}
	w.pair("ana")
	w.ok("close", "--user", "ana", "--operation", "sudo")
	if o := w.object(cli.ExitClosed, "status", "--user", "ana", "--operation", "sudo"); o["operation"] != "sudo" {
		t.Errorf("printed %v", o)
	}
	if out := w.ok("status", "--user", "ana"); out != "open\n" {
		t.Errorf("closing one operation closed the application: %q", out)
	}
	if o := w.run("operation", "rm", "sudo"); o.status != cli.ExitOK || !strings.Contains(o.err, "PAM lines with operation=sudo refuse") {
		t.Errorf("%v", o)
	}
}

// TestOperationThatCannotBeSaved is not made.
func TestOperationThatCannotBeSaved(t *testing.T) {
	w := newWorld(t)
	w.ok("operation", "add", "sudo", "--save")
	for _, name := range []string{"sudo", "a=b", "[x]", " ", "#x", "a;b"} {
		w.fails(cli.ExitError, nil, "operation", "add", name, "--save")
	}
	w.fails(cli.ExitUsage, []string{"--two-factor takes"}, "operation", "add", "x", "--two-factor", "yes")
	w.fails(cli.ExitUsage, []string{"--lock-on-request takes"}, "operation", "add", "x", "--lock-on-request", "yes")
	w.fails(cli.ExitUsage, []string{"needs a name"}, "operation", "rename", "sudo", "")
	w.fails(cli.ExitError, []string{`no operation "above"`}, "operation", "add", "x", "--parent", "above")
	list, err := shared.store.Operations(w.app.Row)
	w.must(err)
	if len(list) != 1 {
		t.Errorf("the server has %+v", list)
	}
}

// TestOperationIsTheApplications keeps another application's operations out of reach.
func TestOperationIsTheApplications(t *testing.T) {
	mine, other := newWorld(t), newWorld(t)
	id := strings.TrimSpace(other.ok("operation", "add", "theirs"))
	mine.fails(cli.ExitError, []string{"301"}, "operation", "rm", id)
	if _, err := shared.store.Operation(other.app.Row, id); err != nil {
		t.Error(err)
	}
	mine.pair("ana")
	mine.fails(cli.ExitError, []string{"301"}, "status", "--user", "ana", "--operation", id)
	if _, err := shared.store.SetByUser(context.Background(), "ana", other.app.ID, "", false); err == nil {
		t.Error("ana has a latch in the other application")
	}
}
