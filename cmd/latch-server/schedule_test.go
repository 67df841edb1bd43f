package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// paired is a bed with somebody paired with servers, which has an operation.
func paired(t *testing.T) *bed {
	t.Helper()
	b := newBed(t)
	b.ok("app", "add", "servers")
	b.ok("operation", "add", "servers", "ssh")
	s := b.store()
	app, err := s.Application("servers")
	if err == nil {
		_, err = s.Import(t.Context(), app, []string{"ana"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenForAWhile(t *testing.T) {
	b := paired(t)
	if out := b.ok("open", "ana", "--for", "10m"); !strings.HasPrefix(out, "servers: open until 20") {
		t.Errorf("printed %q", out)
	}
	until, err := time.Parse(time.RFC3339, b.object("open", "ana", "--app", "servers", "--operation", "ssh", "--for", "1h30m")["until"].(string))
	if left := time.Until(until); err != nil || left <= time.Hour || left > 90*time.Minute {
		t.Errorf("it closes in %v (%v)", left, err)
	}
	shown := b.object("schedule", "show", "ana")["schedules"].([]any)
	if len(shown) != 2 || shown[1].(map[string]any)["latch"] != "servers / ssh" || shown[1].(map[string]any)["next"] != "closes" {
		t.Errorf("shown is %v", shown)
	}
	for _, bad := range []string{"0", "-1m", "169h", "10"} {
		b.fails(2, "--for", "open", "ana", "--for="+bad)
	}
	b.fails(2, "unknown flag", "close", "ana", "--for", "10m")
}

func TestSchedule(t *testing.T) {
	b := paired(t)
	always := []string{"daily 00:00-12:00", "daily 12:00-24:00"}
	b.ok("close", "ana")
	out := b.ok(append([]string{"schedule", "set", "ana", "--app", "servers", "--zone", "Europe/Madrid"}, always...)...)
	if out != "servers: Europe/Madrid; daily 00:00-12:00; daily 12:00-24:00\n" {
		t.Errorf("set printed %q", out)
	}
	status := func(want string) {
		t.Helper()
		if rows := b.object("status", "ana")["latches"].([]any); rows[0].(map[string]any)["status"] != want {
			t.Errorf("status is %v, want %s", rows[0], want)
		}
	}
	status("open")
	b.ok("schedule", "hold", "ana", "--app", "servers")
	b.ok("close", "ana")
	b.ok("schedule", "set", "ana", "daily 08:00-22:00", "--app", "servers", "--operation", "ssh", "--zone", "UTC")
	if out := b.ok("schedule", "show", "ana"); !strings.Contains(out, "servers / ssh") || !strings.Contains(out, "UTC; daily 08:00-22:00") {
		t.Errorf("show printed %q", out)
	}
	status("closed")
	if out := b.ok("history", "ana"); !strings.Contains(out, "SCHEDULE_UPDATE") {
		t.Errorf("the history shows\n%s", out)
	}
	if out := b.ok("schedule", "resume", "ana", "--app", "servers"); out != "servers: schedule resumed\n" {
		t.Errorf("resume printed %q", out)
	}
	status("open")
	b.ok("schedule", "remove", "ana", "--app", "servers")
	b.ok("schedule", "remove", "ana", "--app", "servers", "--operation", "ssh")
	if out := b.object("schedule", "show", "ana")["schedules"].([]any); len(out) != 0 {
		t.Errorf("after remove: %v", out)
	}

	set := []string{"schedule", "set", "ana", "--app", "servers"}
	b.fails(2, "--zone is missing", append(set, "daily 08:00-22:00")...)
	b.fails(2, "none of the IANA database", append(set, "daily 08:00-22:00", "--zone", "Europe/Atlantis")...)
	b.fails(2, `window 2: "25:00" is no time of day`, append(set, "daily 08:00-22:00", "mon 08:00-25:00", "--zone", "UTC")...)
	b.fails(2, "--app says", "schedule", "hold", "ana")
	b.fails(1, "no such operation", "schedule", "hold", "ana", "--app", "servers", "--operation", "sshd")
}

var update = flag.Bool("update", false, "write testdata/help anew")

// TestHelpOfLatches pins the help texts of what opens latches. After a change of one run
// go test ./cmd/latch-server -run TestHelpOfLatches -update.
func TestHelpOfLatches(t *testing.T) {
	for _, words := range [][]string{{"open"}, {"schedule"}, {"schedule", "set"}, {"schedule", "show"}, {"schedule", "remove"},
		{"schedule", "hold"}, {"schedule", "resume"}} {
		var out, errOut bytes.Buffer
		if status := run(append(words, "--help"), &out, &errOut); status != 0 || errOut.Len() > 0 {
			t.Errorf("%q --help: exit %d, %s", words, status, &errOut)
		}
		file := filepath.Join("testdata", "help", strings.Join(append([]string{"latch-server"}, words...), "-")+".txt")
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || out.String() != string(want) {
			t.Errorf("%q --help is not %s (%v):\n%s", words, file, err, &out)
		}
	}
}
