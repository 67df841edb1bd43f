package pages

import (
	"encoding/csv"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

var olderLink = regexp.MustCompile(`href="([^"]+)" rel="next"`)

// status is a host's question about an account.
func (b *bed) status(app store.Application, account string, a store.Attempt) {
	b.t.Helper()
	b.offset.Add(int64(time.Second))
	_, err := b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: account, Attempt: a})
	b.must(err)
}

// sshd is an attempt of a host that tells about itself.
func sshd(from string) store.Attempt {
	return store.Attempt{UserAgent: "latch/1", IP: "198.51.100.9", Context: map[string]string{"host": "web1", "service": "sshd", "phase": "auth", "rhost": from, "user": "ana"}}
}

// past is a person with something of every kind in the history.
func (b *bed) past() (*client, store.Application) {
	c, row := b.join("ana")
	app := b.application("servers")
	account := b.pair("ana", app)
	b.status(app, account, sshd("203.0.113.7"))
	c.header.Set("User-Agent", "Mozilla/5.0 (Android 15; Mobile) Firefox/140.0")
	c.post("/latch", url.Values{"app": {app.ID}, "open": {"no"}})
	b.status(app, account, sshd("203.0.113.8"))
	c.post("/latch", url.Values{"app": {app.ID}, "open": {"yes"}, "minutes": {"10"}})
	b.offset.Add(int64(time.Hour))
	b.must(b.store.SetUserDisabled(b.ctx, "ana", true))
	b.must(b.store.SetUserDisabled(b.ctx, "ana", false))
	ticket, err := b.store.StartSession(b.ctx, store.SignIn{User: row})
	b.must(err)
	c.cookies[sessionCookie] = ticket
	return c, app
}

func TestHistorySaysWhoTriedAndWhoChanged(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.past()
	page := c.get("/history")
	says(t, page, "Let in", "Refused", "sshd on web1 as ana from 203.0.113.7", "by you, Firefox, Android from 192.0.2.1", "Opened until",
		"the time was over", "Paired", "by the service: web1, ana", "Access disabled", "by an administrator")
	if strings.Index(page, "203.0.113.7") < strings.Index(page, "203.0.113.8") {
		t.Error("the oldest comes first")
	}
	other, _ := b.join("eva")
	if page := other.get("/history"); strings.Contains(page, "203.0.113") {
		t.Error("somebody else reads it")
	}
	if resp := other.do("GET", "/history/latch-history.csv", nil); strings.Contains(text(t, resp), "203.0.113") {
		t.Error("somebody else exports it")
	}
}

func TestHistoryIsFiltered(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, app := b.past()
	second := b.application("mail")
	b.status(second, b.pair("ana", second), sshd("203.0.113.9"))
	tomorrow := b.now().Add(48 * time.Hour).UTC().Format(time.DateOnly)
	for query, want := range map[string][2]string{
		"latch=" + app.ID:      {"203.0.113.7", "203.0.113.9"},
		"latch=" + second.ID:   {"203.0.113.9", "203.0.113.7"},
		"kind=refused":         {"203.0.113.8", "203.0.113.7"},
		"kind=let_in":          {"203.0.113.7", "203.0.113.8"},
		"kind=changes":         {"Opened until", "203.0.113.7"},
		"q=113.8":              {"203.0.113.8", "203.0.113.7"},
		"q=WEB1&kind=let_in":   {"203.0.113.7", "203.0.113.8"},
		"q=firefox":            {"Closed", "203.0.113.7"},
		"to=" + tomorrow:       {"203.0.113.7", "Nothing is like that"},
		"from=" + tomorrow:     {"Nothing is like that", "203.0.113.7"},
		"q=%25":                {"Nothing is like that", "203.0.113.7"},
		"latch=nothing%27--":   {"Nothing is like that", "203.0.113.7"},
		"kind=refused&q=rhost": {"Nothing is like that", "203.0.113.8"}, // the name of a field is no text
	} {
		page := c.get("/history?" + query)
		says(t, page, want[0])
		if strings.Contains(page, want[1]) {
			t.Errorf("%s shows %q", query, want[1])
		}
	}
	for _, query := range []string{"before=x", "kind=x", "before=1.x", "from=yesterday", "to=2026-13-01"} {
		if resp := c.do("GET", "/history?"+query, nil); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, resp.Status)
		}
	}
}

func TestHistoryHasPages(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	app := b.application("servers")
	account := b.pair("ana", app)
	for range linesPerPage + 20 {
		b.status(app, account, sshd("203.0.113.7"))
	}
	first := c.get("/history?kind=let_in")
	lines := func(page string) int { return strings.Count(page, "sshd on web1") }
	next := olderLink.FindStringSubmatch(first)
	if lines(first) != linesPerPage || next == nil || !strings.Contains(first, `data-module="live"`) {
		t.Fatalf("%d lines, older %q", lines(first), next)
	}
	b.status(app, account, sshd("203.0.113.7")) // moves nothing that is older
	second := c.get(html.UnescapeString(next[1]))
	if lines(second) != 20 || olderLink.MatchString(second) || strings.Contains(second, `data-module="live"`) {
		t.Errorf("%d lines on the second page", lines(second))
	}
	says(t, second, `href="/history?kind=let_in"`)
}

// TestHistoryAsCSV holds that the file has all lines, more than are read at a time, and no formula.
func TestHistoryAsCSV(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	app := b.application("servers")
	account := b.pair("ana", app)
	evil := sshd("203.0.113.7")
	evil.Context["host"] = "=HYPERLINK(\"x\")"
	b.status(app, account, evil)
	for range exportBatch {
		b.status(app, account, sshd("203.0.113.8"))
	}
	resp := c.do("GET", "/history/latch-history.csv", nil)
	body := text(t, resp)
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/csv") || !strings.Contains(resp.Header.Get("Content-Disposition"), "latch-history.csv") {
		t.Errorf("%v", resp.Header)
	}
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	b.must(err)
	if len(rows) != exportBatch+3 { // the names, the pairing and the first attempt
		t.Errorf("%d rows", len(rows))
	}
	last := rows[len(rows)-2]
	if last[1] != "Let in" || last[2] != "servers" || last[5] != "'=HYPERLINK(\"x\")" || last[8] != "203.0.113.7" || !strings.HasSuffix(last[0], "Z") {
		t.Errorf("%q", last)
	}
	if strings.Count(body, "\r\n") != len(rows) {
		t.Error("lines do not end as RFC 4180 has them")
	}
	some, err := csv.NewReader(strings.NewReader(text(t, c.do("GET", "/history/latch-history.csv?q=113.7", nil)))).ReadAll()
	if err != nil || len(some) != 2 {
		t.Errorf("%d rows are filtered, %v", len(some), err)
	}
}

// TestOneSearchAtATime: a person's second search has to wait for the first, and reading on does not.
func TestOneSearchAtATime(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, row := b.join("ana")
	end, err := b.site.beginSearch(store.HistoryQuery{User: row, Text: "x"})
	b.must(err)
	for path, want := range map[string]int{"/history?q=zzz": 429, "/history/latch-history.csv?q=zzz": 429, "/history": 200, "/history?q=%20": 200} {
		if resp := c.do("GET", path, nil); resp.StatusCode != want {
			t.Errorf("GET %s during a search: %s, want %d", path, resp.Status, want)
		}
	}
	end()
	if resp := c.do("GET", "/history?q=zzz", nil); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s", resp.Status)
	}
}
