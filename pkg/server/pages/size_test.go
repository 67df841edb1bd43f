package pages

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/server/store"
)

// firstPage is how much a phone may have to load for the first screen, headers left out.
const firstPage = 60 << 10

var (
	linked  = regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`)
	modules = regexp.MustCompile(`data-module="([^"]+)"`)
)

// TestFirstPageIsSmall adds up what a browser loads for the first screen of somebody with ten applications of ten operations.
func TestFirstPageIsSmall(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	for i := range 10 {
		app, _, err := b.store.AddApplication(b.ctx, store.Application{Name: fmt.Sprintf("application %d", i)})
		b.must(err)
		for j := range 10 {
			_, err := b.store.AddOperation(b.ctx, app, app.ID, store.Operation{Name: fmt.Sprintf("operation %d", j)})
			b.must(err)
		}
		_, err = b.store.Import(b.ctx, app, []string{"ana"})
		b.must(err)
	}
	page := c.get("/")
	needs := map[string]bool{}
	for _, found := range linked.FindAllStringSubmatch(page, -1) {
		needs[found[1]] = true
	}
	for _, found := range modules.FindAllStringSubmatch(page, -1) {
		for _, name := range strings.Fields(found[1]) {
			needs[b.asset("js/"+name+".js")] = true
		}
	}
	if len(needs) < 3 {
		t.Fatalf("the page needs only %v", needs)
	}
	sum := b.wire(c, "/")
	for file := range needs {
		sum += b.wire(c, file)
	}
	t.Logf("%d bytes in %d files", sum, 1+len(needs))
	if sum > firstPage {
		t.Errorf("the first screen takes %d bytes, more than %d", sum, firstPage)
	}
}

// wire is the size of an answer as it is sent to a browser that takes gzip.
func (b *bed) wire(c *client, path string) int {
	b.t.Helper()
	r := httptest.NewRequest("GET", testURL+path, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.site.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.t.Fatalf("GET %s: %d", path, w.Code)
	}
	return w.Body.Len()
}
