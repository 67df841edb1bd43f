package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// linkPattern is a link as it is printed: 43 characters that nobody guesses.
var linkPattern = regexp.MustCompile(`https://latch\.example\.org:8443/link/[A-Za-z0-9_-]{43}\n`)

// TestInitMakesTheFirstAdmin: by a link that is printed once, as text and as a QR code.
func TestInitMakesTheFirstAdmin(t *testing.T) {
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	out := b.ok("init", "--url", "https://latch.example.org:8443")
	if !linkPattern.MatchString(out) || !strings.Contains(out, "\nadmin (admin) chooses a password here, once") || !strings.Contains(out, "█") {
		t.Errorf("it prints %s", out)
	}
	ticket := b.ticket(out)
	l, err := b.store().Link(ticket)
	if err != nil || l.Purpose != store.LinkInvite {
		t.Errorf("%+v, %v", l, err)
	}
	if list := b.ok("user", "list"); !strings.Contains(list, "admin") {
		t.Errorf("people: %s", list)
	}
}

// store is the database as the program left it.
func (b *bed) store() store.Backend {
	b.t.Helper()
	s, err := store.Open(b.dir, store.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

func (b *bed) ticket(out string) string {
	b.t.Helper()
	found := linkPattern.FindString(out)
	if found == "" {
		b.t.Fatalf("no link in %q", out)
	}
	return strings.TrimSpace(found[strings.LastIndexByte(found, '/')+1:])
}

func TestRolesAndLinks(t *testing.T) {
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	b.ok("init")
	b.fails(1, "latch-server serve --url", "user", "add", "eve", "--role", "admin")
	b = &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	b.object("init", "--url", "https://latch.example.org:8443", "--admin", "root")
	if out := b.ok("user", "add", "ana"); out != "added ana\n" {
		t.Errorf("%q", out)
	}
	b.ticket(b.ok("user", "add", "bob", "--invite"))
	b.ticket(b.ok("user", "add", "eve", "--role", "auditor"))
	if out := b.ok("user", "role", "ana", "auditor"); out != "ana is an auditor\n" {
		t.Errorf("%q", out)
	}
	b.fails(2, `role "owner" is none of person, auditor, admin`, "user", "role", "ana", "owner")
	b.fails(1, "last admin", "user", "role", "root", "person")
	// The only admin who lost everything comes back by a link, which voids the one before.
	first := b.ticket(b.ok("user", "reset", "root"))
	second := b.ticket(b.ok("user", "reset", "root", "--replace-factors"))
	s := b.store()
	if _, err := s.Link(first); err == nil {
		t.Error("the first link still works")
	}
	l, err := s.Link(second)
	if err != nil || l.Purpose != store.LinkReset || l.Data != store.LinkReplaceFactors {
		t.Errorf("%+v, %v", l, err)
	}
	acts, err := s.Acts(store.AuditQuery{Act: "link.make"})
	if err != nil || len(acts) != 5 || acts[0].Actor.Via != store.ViaCommand || acts[0].Target != "root" {
		t.Errorf("%+v, %v", acts, err)
	}
	for _, a := range acts {
		if strings.Contains(a.Detail["link"], "/link/") {
			t.Errorf("the audit log holds a link: %+v", a)
		}
	}
}

// TestInvitations: made for somebody new as for somebody who let the first one expire, and never in place of a password.
func TestInvitations(t *testing.T) {
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	b.ok("init", "--url", "https://latch.example.org:8443")
	first := b.ticket(b.ok("user", "invite", "ana"))
	second := b.ticket(b.ok("user", "invite", "ana"))
	s := b.store()
	if _, err := s.Link(first); err == nil {
		t.Error("the first invitation still works")
	}
	if l, err := s.Link(second); err != nil || l.Purpose != store.LinkInvite {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := s.SetPasswordByLink(t.Context(), second, store.LinkInvite, "hash"); err != nil {
		t.Fatal(err)
	}
	b.fails(1, "user reset", "user", "invite", "ana")
}

func TestLostByCommand(t *testing.T) {
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	b.ok("init", "--url", "https://latch.example.org:8443")
	b.ok("user", "add", "ana")
	if out := b.ok("user", "lost", "ana"); out != "closed everything of ana\n" {
		t.Errorf("%q", out)
	}
	b.fails(1, "user reset", "open", "ana")
	b.ticket(b.ok("user", "reset", "ana"))
	b.fails(1, "no such user", "user", "lost", "eve")
}

func TestRotatedSecret(t *testing.T) {
	b := newBed(t)
	b.ok("app", "add", "servers")
	old := b.object("app", "secret", "add", "servers", "web1")["secret_key"]
	fresh := b.object("app", "secret", "rotate", "servers", "web1", "--overlap", "2h")["secret_key"]
	if old == fresh {
		t.Error("it is the old one")
	}
	list := b.object("app", "secret", "list", "servers")["secrets"].([]any)
	ends, err := time.Parse(time.RFC3339, list[1].(map[string]any)["ends"].(string))
	if left := time.Until(ends); err != nil || left < 119*time.Minute || left > 121*time.Minute {
		t.Errorf("the old one ends in %v, %v", left, err)
	}
	b.fails(2, "--overlap takes", "app", "secret", "rotate", "servers", "web1", "--overlap", "-1h")
	b.fails(1, "no such secret", "app", "secret", "rotate", "servers", "web9")
}

func TestCheck(t *testing.T) {
	b := newBed(t)
	status, out, errOut := b.call("check")
	for _, want := range []string{"directory  ok", "database   ok", "url        wrong", "--url https://NAME", "admin      wrong"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if status != 1 || !strings.Contains(errOut, "something is wrong") {
		t.Errorf("exit %d, %s", status, errOut)
	}
	b = &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	ticket := b.ticket(b.ok("init", "--url", "https://latch.example.org:8443"))
	if _, err := b.store().SetPasswordByLink(t.Context(), ticket, store.LinkInvite, "a hash"); err != nil {
		t.Fatal(err)
	}
	if out := b.ok("check"); strings.Contains(out, "wrong") {
		t.Errorf("all is well, and it says\n%s", out)
	}
	if err := os.Chmod(filepath.Join(b.dir, "secret.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if status, out, _ := b.call("check"); status != 1 || !strings.Contains(out, "secret.key has mode 0644") {
		t.Errorf("exit %d\n%s", status, out)
	}
}

func TestAuditAndRetain(t *testing.T) {
	b := newBed(t)
	b.ok("app", "add", "servers")
	b.ok("user", "add", "ana")
	if out := b.ok("audit", "ana"); !strings.Contains(out, "person.add") || strings.Contains(out, "application.add") || !strings.Contains(out, "command") {
		t.Errorf("%s", out)
	}
	acts := b.object("audit", "--act", "application.add")["audit"].([]any)
	if len(acts) != 1 || acts[0].(map[string]any)["target"] != "servers" {
		t.Errorf("%v", acts)
	}
	if out := b.ok("retain"); out != "history: 400 days, 5000000 lines; audit log: no limit\n" {
		t.Errorf("%q", out)
	}
	if o := b.object("retain", "--history-days", "90"); o["history_days"] != 90.0 || o["audit_days"] != 0.0 {
		t.Errorf("%v", o)
	}
	b.fails(2, "--history-days takes", "retain", "--history-days", "-1")
	b.fails(2, "--limit takes", "audit", "--limit", "0")
}
