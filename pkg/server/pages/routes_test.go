package pages

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// routesFile lists every route with the least that one has to be for it: everybody, person, auditor or admin;
// afresh is a person who has shown a factor a moment ago.
const routesFile = "testdata/routes.txt"

// asker is somebody who asks for a route.
type asker struct {
	name string
	role store.Role
	in   bool // signed in
	weak bool // an authenticator is enrolled, and was not shown in this session
}

var askers = []asker{
	{name: "signed out"},
	{name: "disabled", role: store.RoleAdmin},
	{name: "person", in: true},
	{name: "auditor", role: store.RoleAuditor, in: true},
	{name: "admin", role: store.RoleAdmin, in: true},
	{name: "admin without the second factor", role: store.RoleAdmin, in: true, weak: true},
}

// TestEveryRouteOfEveryRole asks for each route as each of them.
func TestEveryRouteOfEveryRole(t *testing.T) {
	b := newBed(t)
	b.staff("root", store.RoleAdmin) // the last one would have to stay
	table := readRoutes(t)
	for _, pattern := range b.site.patterns {
		need, ok := table[pattern]
		if !ok {
			t.Errorf("%s lacks a line: say who may use %q", routesFile, pattern)
			continue
		}
		delete(table, pattern)
		for i, who := range askers {
			b.tryRoute(pattern, need, who, i)
		}
	}
	for pattern := range table {
		t.Errorf("%s has %q, which is no route", routesFile, pattern)
	}
}

func readRoutes(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(routesFile)
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		need, pattern, ok := strings.Cut(line, " ")
		if !ok || table[pattern] != "" {
			t.Fatalf("%s: line %q", routesFile, line)
		}
		table[pattern] = need
	}
	return table
}

var hole = regexp.MustCompile(`\{[^}]*\}`)

// tryRoute asks once, as a newcomer: some routes end the session that they are asked in.
func (b *bed) tryRoute(pattern, need string, who asker, number int) {
	b.t.Helper()
	method, path, found := strings.Cut(pattern, " ")
	if !found { // what no other route is for
		method, path = "GET", pattern+"nothing"
	}
	path = hole.ReplaceAllString(strings.TrimSuffix(path, "{$}"), "1")
	r := httptest.NewRequestWithContext(b.ctx, method, testURL+path, nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	b.offset.Add(int64(time.Millisecond))
	if who.name != "signed out" {
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: b.newcomer(who, pattern+strconv.Itoa(number))})
	}
	w := httptest.NewRecorder()
	b.site.ServeHTTP(w, r)
	got, want := outcomeOf(w.Result()), expected(path, need, who)
	if need == "everybody" && got == "asked to sign in" { // by the handler: signing in has begun anew, or ended
		got = "let through"
	}
	if got != want {
		b.t.Errorf("%s: %s is %s (%d to %q), want %s", who.name, pattern, got, w.Code, w.Header().Get("Location"), want)
	}
}

// newcomer makes somebody as described and returns the ticket of their session.
func (b *bed) newcomer(who asker, name string) string {
	b.t.Helper()
	u, err := b.store.AddUser(b.ctx, name)
	b.must(err)
	b.must(b.store.ChangeProfile(b.ctx, u.Row, store.ProfileChange{Role: &who.role}))
	ticket, err := b.store.StartSession(b.ctx, store.SignIn{User: u.Row, Strong: !who.weak})
	b.must(err)
	if who.weak {
		b.must(b.store.SetAuthenticator(b.ctx, u.Row, otp.Standard().NewSecret(), 0, b.session(u.Row)))
	}
	if !who.in {
		b.must(b.store.SetUserDisabled(b.ctx, name, true))
	}
	return ticket
}

// outcomeOf sorts an answer by what the guard did.
func outcomeOf(resp *http.Response) string {
	to := resp.Header.Get("Location")
	switch {
	case resp.StatusCode == http.StatusForbidden && resp.Header.Get("Content-Type") == "application/json": // it names the page for that
		return "asked for a factor"
	case resp.StatusCode == http.StatusForbidden:
		return "refused"
	case resp.StatusCode == http.StatusUnauthorized, strings.HasPrefix(to, "/signin?"), to == "/signin":
		return "asked to sign in"
	case strings.HasPrefix(to, "/prove"):
		return "asked for a factor"
	}
	return "let through"
}

func expected(path, need string, who asker) string {
	rank := map[string]store.Role{"person": store.RolePerson, "auditor": store.RoleAuditor, "admin": store.RoleAdmin}
	switch {
	case need == "everybody":
		return "let through"
	case !who.in:
		return "asked to sign in"
	case who.role < rank[need]:
		return "refused"
	case who.weak && (need == "afresh" || path == "/admin" || strings.HasPrefix(path, "/admin/")):
		return "asked for a factor"
	}
	return "let through"
}
