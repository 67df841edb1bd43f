package pages

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// served is the bed's site on a real connection, with limits of time for a request and its answer, 0 for none.
func (b *bed) served(limit time.Duration) *httptest.Server {
	b.t.Helper()
	s := httptest.NewUnstartedServer(b.site)
	s.Config.ReadTimeout, s.Config.WriteTimeout = limit, limit
	s.EnableHTTP2 = true
	s.StartTLS()
	b.t.Cleanup(s.Close)
	return s
}

// stream is a live page's.
type stream struct {
	t      *testing.T
	events chan string // closed at its end
}

// listen opens a stream; status is what it is answered with.
func (c *client) listen(t *testing.T, s *httptest.Server) (*stream, int) {
	t.Helper()
	st, status, err := c.tryToListen(t, s)
	c.b.must(err)
	return st, status
}

func (c *client) tryToListen(t *testing.T, s *httptest.Server) (*stream, int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/live", nil)
	c.b.must(err)
	r.Host = strings.TrimPrefix(testURL, "https://")
	r.Header.Set("Accept", "text/event-stream")
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		return nil, 0, err
	}
	t.Cleanup(func() { resp.Body.Close() })
	st := &stream{t, make(chan string, 100)}
	go func() {
		defer close(st.events)
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				st.events <- event
			}
		}
	}()
	return st, resp.StatusCode, nil
}

// waits until an event comes, "" for the end of the stream. Where nothing comes the test binary's own time ends the test.
func (st *stream) waits(what, want string) {
	st.t.Helper()
	if !st.gets(want) {
		st.t.Fatalf("%s: the stream ended", what)
	}
}

// gets reports whether an event comes before the end of the stream.
func (st *stream) gets(want string) bool {
	for event := range st.events {
		if event == want {
			return true
		}
	}
	return want == ""
}

// TestLiveOutlastsTheServersLimits: a stream goes on for longer than the server gives a request and its answer, and longer than a
// message may take. A machine may be too slow for limits that a test can wait for; then longer ones are tried.
func TestLiveOutlastsTheServersLimits(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	for limit := 250 * time.Millisecond; ; limit *= 2 {
		b.site.pace = pace{beat: limit + limit/4, write: limit / 2}
		s := b.served(limit)
		st, status, err := c.tryToListen(t, s)
		if err == nil && status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		lasts := err == nil && st.gets("beat") && st.gets("beat") && st.gets("beat")
		s.CloseClientConnections()
		if lasts {
			return
		}
		if limit > 30*time.Second {
			t.Fatalf("no stream lasts: %v", err)
		}
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.site.pace = pace{pause: time.Millisecond, beat: 10 * time.Millisecond, write: time.Hour}
	s := b.served(0)
	c, ana := b.join("ana")
	app, _, err := b.store.AddApplication(b.ctx, store.Application{Name: "servers"})
	b.must(err)
	ids, err := b.store.Import(b.ctx, app, []string{"ana"})
	b.must(err)
	if _, status := b.client().listen(t, s); status != http.StatusUnauthorized {
		t.Errorf("a stranger got %d", status)
	}
	st, status := c.listen(t, s)
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	st.waits("the beginning", "beat")
	_, err = b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: ids[0]})
	b.must(err)
	st.waits("an attempt", "change")
	st.waits("nothing", "beat")
	_, err = b.store.Switch(b.ctx, store.Switch{User: ana, App: app.ID})
	b.must(err)
	st.waits("a latch that closes", "change")

	sessions, err := b.store.Sessions(ana)
	b.must(err)
	b.must(b.store.EndSession(b.ctx, ana, sessions[0].Row))
	st.waits("the end of the session", "")
}

func TestLiveLimits(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ctx, stop := context.WithCancel(context.Background())
	b.site.stopping = ctx
	s := b.served(0)
	c, _ := b.join("ana")
	d, _ := b.join("eva")
	var all []*stream
	for range livePerPerson {
		st, status := c.listen(t, s)
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		all = append(all, st)
	}
	if _, status := c.listen(t, s); status != http.StatusTooManyRequests {
		t.Errorf("one stream too many: %d", status)
	}
	if _, status := d.listen(t, s); status != http.StatusOK {
		t.Errorf("another person: %d", status)
	}
	stop()
	for _, st := range all {
		st.waits("the end of the server", "")
	}
	for full := false; !full; { // once those that end have left
		b.site.streams.mu.Lock()
		if full = b.site.streams.all == 0; full {
			b.site.streams.all = liveStreams
		}
		b.site.streams.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	if _, status := d.listen(t, s); status != http.StatusTooManyRequests {
		t.Errorf("one stream of the process too many: %d", status)
	}
}
