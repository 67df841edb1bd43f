package main

import (
	"strings"
	"testing"
)

// TestCommandsThatRefusePeopleAsk: what makes hosts refuse people says how many and wants --yes without a terminal.
func TestCommandsThatRefusePeopleAsk(t *testing.T) {
	b := paired(t)
	for _, args := range [][]string{{"user", "remove", "ana"}, {"app", "secret", "revoke", "servers", "default"}, {"app", "remove", "servers"}} {
		b.fails(2, "--yes", args...)
	}
	if out := b.ok("status", "ana"); !strings.Contains(out, "open") {
		t.Errorf("something was changed: %s", out)
	}
	b.ok("app", "secret", "add", "servers", "second")
	b.ok("app", "secret", "revoke", "servers", "default") // another one goes on
	if _, said := b.warned("app", "secret", "revoke", "servers", "second", "--yes"); !strings.Contains(said, "would be refused: 1") {
		t.Errorf("it says %q", said)
	}
	b.ok("app", "add", "empty")
	b.ok("app", "remove", "empty")
	b.ok("user", "add", "eva")
	b.ok("user", "remove", "eva")
}

// TestApplicationsOfAPIUsers: one that was made by command can be given to an API user, and taken back.
func TestApplicationsOfAPIUsers(t *testing.T) {
	b := newBed(t)
	b.ok("app", "add", "servers")
	b.ok("api-user", "add", "terraform")
	owned := func() int {
		t.Helper()
		s := b.store()
		users, err := s.APIUsers()
		if err != nil {
			t.Fatal(err)
		}
		u, err := s.Usage(users[0].Row)
		if err != nil {
			t.Fatal(err)
		}
		return u.Applications
	}
	for _, c := range []struct {
		to   string
		want int
	}{{"terraform", 1}, {"none", 0}} {
		b.ok("app", "set", "servers", "--api-user", c.to)
		if got := owned(); got != c.want {
			t.Errorf("given to %s, the API user has %d applications, want %d", c.to, got, c.want)
		}
	}
	b.ok("app", "add", "other", "--api-user", "terraform")
	if got := owned(); got != 1 {
		t.Errorf("made for it, the API user has %d", got)
	}
	b.fails(1, "no such api user", "app", "set", "servers", "--api-user", "nobody")
}
