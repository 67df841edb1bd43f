package pages

import (
	"net/url"
	"strings"
	"testing"
)

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
