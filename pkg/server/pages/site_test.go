package pages

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/password"
	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/server/store/storetest"
)

const testURL = "https://latch.example.org:8443"

// bed is a site on a fresh database, asked without a network.
type bed struct {
	t      testing.TB
	ctx    context.Context
	store  store.Backend
	site   *Site
	start  time.Time
	offset atomic.Int64 // of the clock, which stands still, from its start, in nanoseconds
}

// quick hashes the passwords of tests: what a hash costs is pkg/server/password's to test, and the race detector makes it ten times as dear.
var quick = password.NewHasher(password.Cost{Memory: 64, Passes: 1, Lanes: 1})

var createStore = storetest.Once(store.Create)

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{t: t, ctx: context.Background(), start: time.Now()}
	dir := t.TempDir()
	b.must(createStore(dir))
	var err error
	b.store, err = store.Open(dir, store.Options{Now: b.now})
	b.must(err)
	t.Cleanup(func() { b.store.Close() })
	b.site, err = New(Options{Store: b.store, Now: b.now, URL: testURL, Passwords: quick})
	b.must(err)
	return b
}

func (b *bed) now() time.Time { return b.start.Add(time.Duration(b.offset.Load())) }

func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// client is one browser: it keeps cookies, and follows no redirect.
type client struct {
	b       *bed
	cookies map[string]string
	header  http.Header // sent with every request
}

func (b *bed) client() *client {
	return &client{b: b, cookies: map[string]string{}, header: http.Header{"Accept-Language": {"en"}}}
}

// do sends a request as a browser would that is on a page of the site.
func (c *client) do(method, path string, form url.Values) *http.Response {
	c.b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, testURL+path, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return c.roundTrip(r)
}

// roundTrip sends a request as this browser.
func (c *client) roundTrip(r *http.Request) *http.Response {
	for name, values := range c.header {
		r.Header[name] = values
	}
	if r.Method == http.MethodPost {
		if _, set := c.header["Sec-Fetch-Site"]; !set {
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
	}
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	c.b.site.ServeHTTP(w, r)
	resp := w.Result()
	for _, cookie := range resp.Cookies() {
		if cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
		} else {
			c.cookies[cookie.Name] = cookie.Value
		}
	}
	return resp
}

// get fetches a page, which must come with 200, and returns it.
func (c *client) get(path string) string {
	c.b.t.Helper()
	resp := c.do("GET", path, nil)
	body := text(c.b.t, resp)
	if resp.StatusCode != http.StatusOK {
		c.b.t.Fatalf("GET %s: %s\n%s", path, resp.Status, body)
	}
	return body
}

// post sends a form, which must be answered with a redirect, and returns where to.
func (c *client) post(path string, form url.Values) string {
	c.b.t.Helper()
	resp := c.do("POST", path, form)
	if resp.StatusCode != http.StatusSeeOther {
		c.b.t.Fatalf("POST %s: %s\n%s", path, resp.Status, text(c.b.t, resp))
	}
	return resp.Header.Get("Location")
}

func text(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	c := newBed(t).client()
	for _, path := range []string{"/", "/no-such-page", c.b.asset("app.css"), "/static/0000/app.css"} {
		h := c.do("GET", path, nil).Header
		for name, want := range map[string]string{
			"Content-Security-Policy":   contentPolicy,
			"X-Content-Type-Options":    "nosniff",
			"Referrer-Policy":           "no-referrer",
			"Strict-Transport-Security": "max-age=31536000",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	for _, banned := range []string{"unsafe-inline", "unsafe-eval", "*", "http:"} {
		if strings.Contains(contentPolicy, banned) {
			t.Errorf("the policy allows %s", banned)
		}
	}
}

func (b *bed) asset(name string) string {
	b.t.Helper()
	address, err := b.site.static.address(name)
	b.must(err)
	return address
}

// TestOnlyTheStoredAddressIsServed: an attacker's name that resolves here gets no page with a form, and no link to itself.
func TestOnlyTheStoredAddressIsServed(t *testing.T) {
	b := newBed(t)
	ask := func(s *Site, host string) (int, string) {
		r := httptest.NewRequest("GET", "/signin", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, host := range []string{"evil.example", "latch.example.org", "latch.example.org:9999", "latch.example.org:8443.evil.example", "", "127.0.0.1:8443"} {
		status, body := ask(b.site, host)
		if status != http.StatusMisdirectedRequest || !strings.Contains(body, testURL+"/") || strings.Contains(body, "evil") {
			t.Errorf("Host %q: %d %s", host, status, body)
		}
	}
	if status, _ := ask(b.site, "LATCH.example.org:8443"); status == http.StatusMisdirectedRequest {
		t.Error("the right name is refused")
	}
	usual, err := New(Options{Store: b.store, URL: "https://latch.example.org"})
	b.must(err)
	for _, host := range []string{"latch.example.org", "latch.example.org:443"} {
		if status, _ := ask(usual, host); status == http.StatusMisdirectedRequest {
			t.Errorf("Host %q is refused", host)
		}
	}
	without, err := New(Options{Store: b.store})
	b.must(err)
	if status, body := ask(without, "latch.example.org"); status != http.StatusMisdirectedRequest || !strings.Contains(body, "--url") {
		t.Errorf("without an address: %d %s", status, body)
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	b := newBed(t)
	form := url.Values{"language": {"es"}}
	for name, header := range map[string]http.Header{
		"cross-site":           {"Sec-Fetch-Site": {"cross-site"}},
		"a neighbour's domain": {"Sec-Fetch-Site": {"same-site"}},
		"an old browser":       {"Sec-Fetch-Site": {""}, "Origin": {"https://evil.example"}},
	} {
		c := b.client()
		for k, v := range header {
			c.header[k] = v
		}
		if resp := c.do("POST", "/language", form); resp.StatusCode != http.StatusForbidden || len(c.cookies) != 0 {
			t.Errorf("%s: %s, cookies %v", name, resp.Status, c.cookies)
		}
	}
	c := b.client()
	if to := c.post("/language", form); to != "/" || c.cookies[languageCookie] != "es" {
		t.Errorf("to %q, cookies %v", to, c.cookies)
	}
}

func TestLanguageIsTheBrowsersUntilOneIsChosen(t *testing.T) {
	c := newBed(t).client()
	for accept, want := range map[string]string{
		"": "en", "es-AR,es;q=0.9,en;q=0.8": "es", "en,es;q=0.5": "en", "de-DE,de": "en", "de, es;q=0.3": "es", "es;q=x": "en",
	} {
		c.header.Set("Accept-Language", accept)
		body := text(t, c.do("GET", "/nothing", nil))
		if !strings.Contains(body, `<html lang="`+want+`">`) {
			t.Errorf("%q gets %.80s", accept, body)
		}
	}
	c.header.Set("Accept-Language", "en")
	if to := c.post("/language", url.Values{"language": {"es"}, "back": {"/settings?x=1"}}); to != "/settings?x=1" {
		t.Errorf("back to %q", to)
	}
	if body := text(t, c.do("GET", "/nothing", nil)); !strings.Contains(body, `<html lang="es">`) {
		t.Errorf("after the choice: %.80s", body)
	}
	if resp := c.do("POST", "/language", url.Values{"language": {"xx"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown language: %s", resp.Status)
	}
}

func TestLocalPathsStayHere(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b?c=d": "/a/b?c=d", "": "/x", "https://evil.example/": "/x", "//evil.example": "/x", `/\evil.example`: "/x", "javascript:x": "/x", "/a\r\nSet-Cookie: b": "/x",
		"/\t/evil.example": "/x",
	} {
		if got := localPath(path, "/x"); got != want {
			t.Errorf("%q goes to %q", path, got)
		}
	}
}

func TestPagesAskToSignInAndComeBack(t *testing.T) {
	c := newBed(t).client()
	resp := c.do("GET", "/", nil)
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || to != "/signin" {
		t.Errorf("%s to %q", resp.Status, to)
	}
	if resp := c.do("GET", "/?fragment=1", nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a live page that lost its session: %s", resp.Status)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	c := newBed(t).client()
	if resp := c.do("POST", "/language", url.Values{"language": {strings.Repeat("x", maxForm)}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%s", resp.Status)
	}
}

func TestAForgedFlashShowsNothing(t *testing.T) {
	c := newBed(t).client()
	for _, forged := range []string{"x", "bm90IGpzb24", base64.RawURLEncoding.EncodeToString([]byte(`{"k":"Your account is hacked, call us"}`))} {
		c.cookies[flashCookie] = forged
		if body := text(t, c.do("GET", "/nothing", nil)); strings.Contains(body, `class="flash`) {
			t.Errorf("%q shows %s", forged, body)
		}
		if _, there := c.cookies[flashCookie]; there {
			t.Errorf("%q stays", forged)
		}
	}
}

// getFrom fetches a page of another site on the same store with a client's cookies.
func (b *bed) getFrom(s *Site, base, path string, c *client) string {
	b.t.Helper()
	r := httptest.NewRequest("GET", base+path, nil)
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.t.Fatalf("GET %s%s: %d", base, path, w.Code)
	}
	return w.Body.String()
}
