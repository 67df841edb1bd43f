package pages

import (
	"net/url"
	"strings"
	"testing"
)

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
