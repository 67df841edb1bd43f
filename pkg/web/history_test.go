package web

import (
	"encoding/csv"
	"html"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/store"
)

// TestHistoryInPlainWords has a host ask in both states, and reads who, what, from where and with which result.
func TestHistoryInPlainWords(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	other, _ := b.join("bea")
	app := b.application("servers")
	account := b.pair("ana", app)
	b.pair("bea", app)
	ask := func(rhost string) {
		_, err := b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: account, Attempt: store.Attempt{IP: "192.0.2.1",
			Context: map[string]string{"host": "web1", "service": "sshd", "rhost": rhost, "user": "ana"}}})
		b.must(err)
		b.offset.Add(int64(time.Second))
	}
	ask("203.0.113.7")
	c.post("/latch", url.Values{"app": {app.ID}, "open": {"no"}})
	ask("=cmd()")
	shown := func(query string, parts ...string) {
		t.Helper()
		body := html.UnescapeString(c.get("/history?" + query))
		for _, part := range parts {
			if absent, found := strings.CutPrefix(part, "!"); found == strings.Contains(body, absent) {
				t.Errorf("history?%s: %q in\n%s", query, part, body)
			}
		}
	}
	shown("", "Somebody was let in", "sshd on web1", "203.0.113.7", "Somebody was refused", "You closed", "Paired")
	shown("kind=refused", "!203.0.113.7", "Somebody was refused", "!You closed")
	shown("kind=attempts", "203.0.113.7", "Somebody was refused", "!You closed")
	shown("kind=changes", "!sshd on web1", "You closed", "web1, ana")
	shown("app="+app.ID, "203.0.113.7")
	shown("app=nothing", "!203.0.113.7", "Nothing happened")
	tomorrow := b.now().AddDate(0, 0, 2).Format(time.DateOnly)
	shown("from="+tomorrow, "!203.0.113.7")
	shown("to="+tomorrow, "203.0.113.7")
	if resp := c.do("GET", "/history?kind=x", nil); resp.StatusCode != 400 {
		t.Errorf("an unknown kind: %s", resp.Status)
	}
	if body := other.get("/history"); strings.Contains(body, "203.0.113.7") {
		t.Error("bea sees ana's history")
	}
	rows, err := csv.NewReader(strings.NewReader(c.get("/history/latch-history.csv?kind=refused"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][1] != "Somebody was refused" || rows[1][8] != "'=cmd()" {
		t.Errorf("%v, %q", err, rows)
	}
}

// TestHistoryHasPages goes through more entries than a page holds, none twice, and all of them in the file.
func TestHistoryHasPages(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	app := b.application("servers")
	account := b.pair("ana", app)
	const asked = 2*entriesPerPage + 7
	for range asked {
		_, err := b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: account})
		b.must(err)
	}
	seen, next := 0, "/history?kind=attempts"
	for pages := 0; next != "" && pages < 5; pages++ {
		body := c.get(next)
		seen += strings.Count(body, "Somebody was let in")
		_, link, _ := strings.Cut(body, `href="/history?app=&amp;before=`)
		next, _, _ = strings.Cut(link, `"`)
		if next != "" {
			next = "/history?app=&before=" + html.UnescapeString(next)
		}
	}
	if seen != asked {
		t.Errorf("%d attempts on the pages, want %d", seen, asked)
	}
	if n := strings.Count(c.get("/history/latch-history.csv?kind=attempts"), "\r\n"); n != asked+1 {
		t.Errorf("%d lines in the file", n)
	}
}

// TestTheFirstRun leads a newcomer through the three screens once; the codes shown there bring back.
func TestTheFirstRun(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	row, path := b.invited("ana")
	c := b.client()
	c.post(path, url.Values{"password": {goodPassword}, "again": {goodPassword}})
	for from, to := range map[string]string{"/": "/welcome"} {
		if resp := c.do("GET", from, nil); resp.Header.Get("Location") != to {
			t.Errorf("%s leads to %q", from, resp.Header.Get("Location"))
		}
	}
	if body := c.get("/welcome/try?latch=closed"); !strings.Contains(body, "Permission denied") {
		t.Error("the closed latch of the first run lets in")
	}
	if to := c.post("/welcome/codes", url.Values{}); to != "/welcome/phone" {
		t.Fatalf("led to %q", to)
	}
	f, err := b.store.Factors(row)
	b.must(err)
	if body := c.get("/welcome/phone"); f.RecoveryLeft == 0 || strings.Count(body, "<li><code>") != f.RecoveryLeft {
		t.Errorf("%d codes, shown %d", f.RecoveryLeft, strings.Count(body, "<li><code>"))
	}
	if to := c.post("/welcome/done", url.Values{"kept": {"on"}}); to != "/" {
		t.Errorf("led to %q", to)
	}
	c.get("/")
	if body := c.get("/welcome/phone"); strings.Contains(body, "<li><code>") {
		t.Error("the codes are shown again")
	}
}

// TestTheOfflinePageIsNobodys: the worker keeps it, so it must neither know who asked nor swallow a notice.
func TestTheOfflinePageIsNobodys(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	c.post("/account/profile", url.Values{"display_name": {"Ana"}})
	if c.cookies[flashCookie] == "" {
		t.Fatal("no notice waits")
	}
	body := c.get("/offline")
	if strings.Contains(body, "<nav") || strings.Contains(body, `class="flash`) || c.cookies[flashCookie] == "" {
		t.Errorf("the offline page is ana's:\n%s", body)
	}
	worker := c.get("/sw.js")
	for _, part := range []string{b.site.static.hash, `addEventListener("push"`, `addEventListener("fetch"`} {
		if !strings.Contains(worker, part) {
			t.Errorf("the service worker lacks %s", part)
		}
	}
}
