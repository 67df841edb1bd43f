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

// served is the bed's site on a real connection, with limits as tight as a test can wait for.
func (b *bed) served() *httptest.Server {
	b.t.Helper()
	s := httptest.NewUnstartedServer(b.site)
	s.Config.ReadTimeout, s.Config.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond
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
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/live", nil)
	c.b.must(err)
	r.Host = strings.TrimPrefix(testURL, "https://")
	r.Header.Set("Accept", "text/event-stream")
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := s.Client().Do(r)
	c.b.must(err)
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
	return st, resp.StatusCode
}

// waits until an event comes, "" for the end of the stream. The bound only keeps a broken one from hanging the test.
func (st *stream) waits(what, want string) {
	st.t.Helper()
	for {
		select {
		case event := <-st.events:
			if event == want {
				return
			}
			if event == "" {
				st.t.Fatalf("%s: the stream ended", what)
			}
		case <-time.After(30 * time.Second):
			st.t.Fatalf("%s: nothing came", what)
		}
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.site.pace = pace{pause: 10 * time.Millisecond, beat: 600 * time.Millisecond, write: 200 * time.Millisecond}
	s := b.served()
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
	for range 2 { // longer than the server lets an answer take, and than a message may take
		st.waits("nothing", "beat")
	}
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
	s := b.served()
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
