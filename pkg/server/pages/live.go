package pages

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// Limits of live pages. Each keeps a connection and two goroutines for as long as it is looked at.
const (
	liveStreams   = 1000 // of everybody: the server has 2,048 connections, and hosts have to ask too
	livePerPerson = 12
	liveRetry     = 3 * time.Second // a browser that was cut off asks again after it
)

// pace is how fast live pages are told.
type pace struct {
	pause time.Duration // between two messages: a flood of attempts is no flood of page loads
	beat  time.Duration // to a message when nothing changes, and to a look at the session; live.js knows it
	write time.Duration // for one message; a phone that is gone is noticed then
}

var usualPace = pace{pause: time.Second, beat: 15 * time.Second, write: 10 * time.Second}

// streams counts the live pages of one process.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[int64]int // by person
}

func (s *streams) enter(user int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= liveStreams || s.of[user] >= livePerPerson {
		return false
	}
	if s.of == nil {
		s.of = map[int64]int{}
	}
	s.all++
	s.of[user]++
	return true
}

func (s *streams) leave(user int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[user]--; s.of[user] == 0 {
		delete(s.of, user)
	}
}

func (s *Site) liveRoutes() {
	s.person("GET /live", s.live)
}

// live tells a page by server-sent events that something of its person changed ("change": the page asks for its part again)
// and every beat that it still would ("beat"). It ends with the session, with the server, and with a browser that takes
// nothing more.
func (s *Site) live(x *exchange) error {
	if x.r.Method != http.MethodGet {
		return statusError(http.StatusMethodNotAllowed)
	}
	user := x.visitor.User.Row
	if !s.streams.enter(user) {
		x.w.Header().Set("Retry-After", "30")
		return statusError(http.StatusTooManyRequests)
	}
	defer s.streams.leave(user)
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()

	out := http.NewResponseController(x.w)
	// The server's own limits are those of one short answer.
	if err := out.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.w.Header().Set("X-Accel-Buffering", "no") // nginx would keep the messages until there are many
	changed := s.store.Watch(ctx, user)
	send := func(event string) error {
		if err := out.SetWriteDeadline(time.Now().Add(s.pace.write)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(x.w, "event: %s\ndata:\nretry: %d\n\n", event, liveRetry.Milliseconds()); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		return out.SetWriteDeadline(time.Time{}) // HTTP/2 would end the stream by it though nothing waits to be written
	}
	s.follow(ctx, x, changed, send)
	return nil
}

// follow sends messages until one cannot be sent or the session is over.
func (s *Site) follow(ctx context.Context, x *exchange, changed <-chan struct{}, send func(string) error) {
	beat := time.NewTicker(s.pace.beat)
	defer beat.Stop()
	if send("beat") != nil {
		return
	}
	for {
		event := "beat"
		select {
		case <-beat.C:
		case _, open := <-changed:
			if !open {
				return
			}
			event = "change"
		}
		if s.stillThere(x) != nil || send(event) != nil {
			return
		}
		select {
		case <-time.After(s.pace.pause):
		case <-ctx.Done():
			return
		}
	}
}

// stillThere fails when the person who opened a stream is no longer signed in. A page that is open is no use of the session.
func (s *Site) stillThere(x *exchange) error {
	e, _, err := s.store.Session(x.ticket(sessionCookie))
	if err == nil && e.Row != x.visitor.Session.Row {
		err = store.ErrNoSession
	}
	return err
}
