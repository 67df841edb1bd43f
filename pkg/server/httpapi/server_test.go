package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/server/store/storetest"
)

// bed is a server on a fresh database with one application, asked over plain HTTP.
type bed struct {
	t       testing.TB
	ctx     context.Context
	store   store.Backend
	server  *Server
	url     string
	app     api.Credentials
	client  *http.Client
	start   time.Time
	offset  atomic.Int64 // of the clock, which stands still, from its start, in nanoseconds
	log     *buffer
	version string
}

// buffer is a log that tests read while the server writes.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

var createStore = storetest.Once(store.Create)

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{t: t, ctx: context.Background(), start: time.Now(), log: &buffer{}, version: "1.3",
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	dir := t.TempDir()
	b.must(createStore(dir))
	var err error
	b.store, err = store.Open(dir, store.Options{Now: b.now})
	b.must(err)
	t.Cleanup(func() { b.store.Close() })
	app, secret, err := b.store.AddApplication(b.ctx, store.Application{Name: "servers", ContactEmail: "admin@example.org"})
	b.must(err)
	b.app = api.Credentials{ID: app.ID, Secret: secret}
	b.server = New(Options{Store: b.store, Now: b.now, Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ts := httptest.NewServer(b.server)
	t.Cleanup(ts.Close)
	b.url = ts.URL
	return b
}

func (b *bed) now() time.Time { return b.start.Add(time.Duration(b.offset.Load())) }

func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// send sends a request as it is and returns the status, the header and the body.
func (b *bed) send(r *http.Request) (int, http.Header, string) {
	b.t.Helper()
	resp, err := b.client.Do(r)
	b.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	b.must(err)
	return resp.StatusCode, resp.Header, string(body)
}

func (b *bed) request(c api.Credentials, method, path string, params url.Values, x map[string]string) *http.Request {
	b.t.Helper()
	var body io.Reader
	if method == http.MethodPost || method == http.MethodPut {
		body = strings.NewReader(api.EncodeParams(params))
	}
	r, err := http.NewRequest(method, b.url+path, body)
	b.must(err)
	date := b.now().UTC().Format(api.DateLayout)
	r.Header.Set(api.HeaderDate, date)
	r.Header.Set("Authorization", api.Sign(c, method, path, x, params, date))
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range x {
		r.Header.Set(k, v)
	}
	return r
}

// call sends a signed request of the bed's application and returns the body, which must come with
// HTTP 200.
func (b *bed) call(method, path string, params url.Values) string {
	b.t.Helper()
	return b.callAs(b.app, method, path, params)
}

func (b *bed) callAs(c api.Credentials, method, path string, params url.Values) string {
	b.t.Helper()
	status, _, body := b.send(b.request(c, method, "/api/"+b.version+"/"+path, params, nil))
	if status != http.StatusOK {
		b.t.Errorf("%s %s: HTTP %d %s", method, path, status, body)
	}
	return body
}

// is checks an answer byte for byte.
func (b *bed) is(got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// code checks that an answer is an error with this code, and begins with its usual text.
func (b *bed) code(body string, code int) {
	b.t.Helper()
	var a api.Response
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Error == nil || a.Error.Code != code || !strings.HasPrefix(a.Error.Message, api.Message(code)) {
		b.t.Errorf("got %s, want error %d", body, code)
	}
}

// field reads one value out of an answer's data.
func (b *bed) field(body string, path ...string) string {
	b.t.Helper()
	var a struct{ Data any }
	b.must(json.Unmarshal([]byte(body), &a))
	v := a.Data
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			b.t.Fatalf("no %q in %s", path, body)
		}
		v = m[name]
	}
	text, ok := v.(string)
	if !ok {
		b.t.Fatalf("no text at %q in %s", path, body)
	}
	return text
}

// pair makes a person and pairs them through the API.
func (b *bed) pair(user string) string {
	b.t.Helper()
	_, err := b.store.AddUser(b.ctx, user)
	b.must(err)
	return b.field(b.call("GET", "pair/"+b.newCode(user), nil), "accountId")
}

func (b *bed) newCode(user string) string {
	b.t.Helper()
	code, _, err := b.store.NewCode(b.ctx, user)
	b.must(err)
	return code
}

func (b *bed) set(user string, open bool) {
	b.t.Helper()
	_, err := b.store.SetByUser(b.ctx, user, "", "", open)
	b.must(err)
}

func (b *bed) change(c store.ApplicationChange) {
	b.t.Helper()
	app, err := b.store.Application(b.app.ID)
	b.must(err)
	b.must(b.store.ChangeApplication(b.ctx, app.Row, c))
}
