package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/latch-linux/latch/pkg/cli"
)

func TestConfigCheck(t *testing.T) {
	w := newWorld(t)
	if out := w.ok("config", "check"); out != w.conf+": ok\n" || out != w.bare("config", "check", w.conf).out {
		t.Errorf("printed %q", out)
	}
	if o := w.object(cli.ExitOK, "config", "check"); o["valid"] != true || o["config"] != w.conf {
		t.Errorf("printed %v", o)
	}
	w.must(os.Chmod(w.conf, 0o644))
	w.fails(cli.ExitError, []string{"can be read by others (mode 0644)", "hint: run: chmod 600 " + w.conf}, "config", "check")
	w.must(os.Chmod(w.conf, 0o600))
	for _, c := range []struct{ line, text string }{
		{"acton = open", `: unknown key "acton"; did you mean "action"?`},
		{"ca_file = /run/missing.pem", "ca_file: open /run/missing.pem"},
		{"ca_file = " + w.conf, "holds no certificate"},
		{"secret_key = short", "a secret key has 40 printable characters"},
		{"operation", `no "key = value" line`},
	} {
		w.configure(c.line)
		w.fails(cli.ExitError, []string{c.text}, "config", "check")
	}
	w.fails(cli.ExitError, []string{"no such file"}, "config", "check", "/run/missing")
}

// editor sets EDITOR to a script that gets the draft as $1.
func (w *world) editor(script string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "editor")
	w.must(os.WriteFile(file, []byte("#!/bin/sh\nset -eu\n"+script+"\n"), 0o755))
	w.env["EDITOR"] = file
}

// drafts are the directories that editing left behind.
func (w *world) drafts() []string {
	w.t.Helper()
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "latch-edit-*"))
	w.must(err)
	return left
}

// TestLockersArePublished: screen lockers cannot read the configuration, so what it says of them stands in a file that they can.
func TestLockersArePublished(t *testing.T) {
	w := newWorld(t)
	published := strings.TrimSuffix(w.conf, ".conf") + ".lockers"
	w.editor(`sed -i '1i locker_services = mylock' "$1"`)
	if o := w.run("config", "edit"); o != (outcome{cli.ExitOK, w.conf + ": written\n", "latch: " + published + ": written\n"}) || w.read(published) != "mylock\n" {
		t.Errorf("%v", o)
	}
	w.must(os.Remove(published))
	w.editor("true")
	if o := w.run("config", "edit"); o.status != cli.ExitOK || w.read(published) != "mylock\n" {
		t.Errorf("an edit that changes nothing: %v", o)
	}
}

func TestConfigEdit(t *testing.T) {
	w := newWorld(t)
	w.editor(`test "$(stat -c %a "$1")" = 600; sed -i 's/^retries.*/retries = 3/' "$1"`)
	if o := w.run("config", "edit"); o != (outcome{cli.ExitOK, w.conf + ": written\n", ""}) || !strings.Contains(w.read(w.conf), "retries = 3\n") {
		t.Errorf("%v", o)
	}
	if info, err := os.Stat(w.conf); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if o := w.object(cli.ExitOK, "config", "edit"); o["changed"] != false {
		t.Errorf("printed %v", o)
	}
	before := w.read(w.conf)
	w.editor("exit 3")
	w.fails(cli.ExitError, []string{"nothing was written"}, "config", "edit")
	w.env["VISUAL"] = "/run/missing -n"
	w.fails(cli.ExitError, []string{`editor "/run/missing"`}, "config", "edit")
	if left := w.drafts(); w.read(w.conf) != before || len(left) > 0 {
		t.Errorf("written %q, left %v", w.read(w.conf), left)
	}
}

// TestConfigEditWithoutATerminal cannot ask what to do about a mistake.
func TestConfigEditWithoutATerminal(t *testing.T) {
	w := newWorld(t)
	before := w.read(w.conf)
	w.editor(`echo 'acton = open' >>"$1"`)
	w.fails(cli.ExitError, []string{"nothing was written", `unknown key "acton"`}, "config", "edit")
	if left := w.drafts(); w.read(w.conf) != before || len(left) > 0 {
		t.Errorf("written %q, left %v", w.read(w.conf), left)
	}
}

// TestConfigEditMistakes makes a typo first and answers what follows.
func TestConfigEditMistakes(t *testing.T) {
	for _, c := range []struct {
		typed, out, err string
		status          cli.Exit
		mended          bool
		kept            int
	}{
		{"e\n", ": written\n", `unknown key "acton"`, cli.ExitOK, true, 0},
		{"\n", ": written\n", `unknown key "acton"`, cli.ExitOK, true, 0},
		{"k\n", "", "the draft is " + os.TempDir(), cli.ExitError, false, 1},
		{"quit\n", "", "nothing was written", cli.ExitError, false, 0},
		{"\x04", "", "nothing was written", cli.ExitError, false, 0},
	} {
		w := newWorld(t)
		person := w.sit()
		before := w.read(w.conf)
		w.editor(`if grep -q acton "$1"; then sed -i s/acton/action/ "$1"; else echo 'acton = close' >>"$1"; fi
			grep -q acton ` + w.conf + ` && exit 1; true`)
		done := make(chan outcome, 1)
		go func() { done <- w.run("config", "edit") }()
		person.sees("q gives it up [e]: ")
		person.types(c.typed)
		o := <-done
		if o.status != c.status || !strings.HasSuffix(o.out, c.out) || !strings.Contains(o.err, c.err) {
			t.Errorf("typed %q: %v", c.typed, o)
		}
		if after := w.read(w.conf); (after == before+"action = close\n") != c.mended || (after == before) == c.mended {
			t.Errorf("typed %q: written %q", c.typed, after)
		}
		if left := w.drafts(); len(left) != c.kept {
			t.Errorf("typed %q: left %v", c.typed, left)
		}
		for _, left := range w.drafts() {
			w.must(os.RemoveAll(left))
		}
	}
}

// TestConfigEditConflict has somebody else change the file while the editor is open.
func TestConfigEditConflict(t *testing.T) {
	w := newWorld(t)
	w.editor(`echo 'action = close' >>"$1"; echo '# theirs' >>` + w.conf)
	o := w.run("config", "edit")
	if o.status != cli.ExitError || !strings.Contains(o.err, "changed by somebody else meanwhile") || !strings.HasSuffix(w.read(w.conf), "# theirs\n") {
		t.Errorf("%v, written %q", o, w.read(w.conf))
	}
	left := w.drafts()
	if len(left) != 1 || !strings.Contains(o.err, "your text is kept in "+left[0]) ||
		!strings.HasSuffix(w.read(filepath.Join(left[0], "latch.conf")), "action = close\n") {
		t.Errorf("%v, left %v", o, left)
	}
	for _, left := range left {
		w.must(os.RemoveAll(left))
	}
}

// TestInterruptIsTheEditors types interrupts while the editor runs: they must end neither it nor latch.
func TestInterruptIsTheEditors(t *testing.T) {
	w := newWorld(t)
	w.editor(`trap 'echo caught' INT; echo editing
		for i in 1 2 3 4 5 6 7 8 9; do read line && test "$line" = end && break; done; echo 'action = close' >>"$1"`)
	cmd := command("latch", "config", "edit", "--config", w.conf)
	cmd.Env = append(cmd.Env, "EDITOR="+w.env["EDITOR"])
	screen, err := pty.Start(cmd)
	w.must(err)
	defer screen.Close()
	person := newPerson(t, screen)
	person.sees("editing")
	for _, interrupt := range []string{"\x03", "\x03", "\x03"} {
		person.types(interrupt)
		person.sees("caught")
		person.forgets()
	}
	person.types("end\n")
	person.sees(": written")
	if err := cmd.Wait(); err != nil || !strings.Contains(w.read(w.conf), "action = close") {
		t.Errorf("%v, the screen shows %q, written %q", err, person.seen, w.read(w.conf))
	}
}
