package notify

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/server/store/storetest"
)

// plainWords shows keys and arguments.
type plainWords struct{}

func (plainWords) Text(lang, key string, args ...any) string {
	return strings.TrimSpace(lang + ":" + strings.TrimPrefix(key, "notices.") + " " + fmt.Sprintln(args...))
}

func (w plainWords) Count(lang, key string, n int, args ...any) string {
	return w.Text(lang, key, append([]any{n}, args...)...)
}

func (plainWords) When(_ string, _ *time.Location, ms int64) string {
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

const pageURL = "https://latch.example"

// bed is a store with a person who has one account, and a sender for receivers on this machine.
type bed struct {
	t       *testing.T
	ctx     context.Context
	store   store.Backend
	sender  *Sender
	app     store.Application
	secret  string
	user    store.User
	account string
	roots   *x509.CertPool
	dir     string // of the database
	clock   *clock
}

// clock is a clock that tests set.
type clock struct {
	start  time.Time
	offset atomic.Int64
}

func (c *clock) now() time.Time       { return c.start.Add(time.Duration(c.offset.Load())) }
func (c *clock) pass(d time.Duration) { c.offset.Add(int64(d)) }

var createStore = storetest.Once(store.Create)

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, ctx: t.Context(), roots: x509.NewCertPool(), clock: &clock{start: time.Now()}}
	dir := t.TempDir()
	b.dir = dir
	b.must(createStore(dir))
	var err error
	b.store, err = store.Open(dir, store.Options{Now: b.clock.now})
	b.must(err)
	t.Cleanup(func() { b.store.Close() })
	b.app, b.secret, err = b.store.AddApplication(b.ctx, store.Application{Name: "servers", ContactEmail: "it@example.org", ContactPhone: "+34 900"})
	b.must(err)
	b.user, err = b.store.AddUser(b.ctx, "ana")
	b.must(err)
	code, _, err := b.store.NewCode(b.ctx, "ana")
	b.must(err)
	b.account, err = b.store.Pair(b.ctx, store.PairRequest{App: b.app, Code: code, Subject: "test"})
	b.must(err)
	b.must(b.store.SetSetting(b.ctx, store.SettingPrivateReceivers, "yes"))
	b.sender = b.newSender(b.store)
	return b
}

// newSender returns a sender that no receiver is too slow for.
func (b *bed) newSender(on store.Backend) *Sender {
	s := New(Options{Store: on, URL: pageURL, Now: b.clock.now, Words: plainWords{}, Roots: b.roots})
	s.limit = time.Hour
	return s
}

func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// channel adds a channel of ana's, or for a webhook one of the application's.
func (b *bed) channel(kind string, c store.ChannelSettings) int64 {
	b.t.Helper()
	b.clock.pass(time.Millisecond) // what happened before is not for this channel
	ch := store.Channel{User: b.user.Row, Kind: kind, Settings: c}
	if kind == store.ChannelWebhook {
		ch.User, ch.App = 0, b.app.Row
	}
	row, err := b.store.SaveChannel(b.ctx, ch)
	b.must(err)
	return row
}

// state returns a channel's.
func (b *bed) state(row int64) store.Channel {
	b.t.Helper()
	c, err := b.store.ChannelOf(b.user.Row, 0, row)
	b.must(err)
	return c
}

// run delivers in the background until the test ends or stop is called.
func (b *bed) run() (stop func()) {
	ctx, cancel := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	running.Go(func() { b.sender.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	b.t.Cleanup(stop)
	return stop
}

// attempt asks as the host web1 does.
func (b *bed) attempt() { b.attemptBy("sshd") }

// attemptBy does it for a service of its own: equal attempts are summed up.
func (b *bed) attemptBy(service string) {
	b.t.Helper()
	_, err := b.store.Status(b.ctx, store.StatusRequest{App: b.app, AccountID: b.account, Attempt: store.Attempt{IP: "192.0.2.1",
		Context: map[string]string{"host": "web1", "service": service, "user": "ana", "rhost": "203.0.113.7"}}})
	b.must(err)
}

func (b *bed) set(open bool) {
	b.t.Helper()
	_, err := b.store.SetByUser(b.ctx, "ana", "", "", open)
	b.must(err)
}

// tested sends a test and checks the problem.
func (b *bed) tested(row int64, want string) {
	b.t.Helper()
	got, err := b.sender.Test(b.ctx, b.user.Row, 0, row)
	b.must(err)
	if got != want {
		b.t.Errorf("the test's problem is %q, want %q", got, want)
	}
}

// received is one request that a receiver got.
type received struct {
	*http.Request
	body []byte
}

// receiver is a fake one, over TLS that the bed's sender trusts.
type receiver struct {
	*httptest.Server
	got chan received
}

// receive starts a receiver. answer is called after the request was noted; nil says 200.
func (b *bed) receive(answer http.HandlerFunc) *receiver {
	r := &receiver{got: make(chan received, 100)}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
		if err == nil {
			r.got <- received{q, body}
		}
		if answer != nil {
			answer(w, q)
		}
	}))
	r.Server.EnableHTTP2 = true
	r.Server.StartTLS()
	b.roots.AddCert(r.Certificate())
	b.t.Cleanup(r.Close)
	return r
}

// next waits for a request. Where none comes the test binary's own time ends the test.
func (r *receiver) next() received { return <-r.got }

// status answers with a status and headers.
func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
	}
}

// eventually waits for something that a worker brings about. Where it never happens the test binary's own time ends the test.
func eventually(is func() bool) {
	for !is() {
		time.Sleep(time.Millisecond)
	}
}
