package client

import (
	"context"
	"errors"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client/latchtest"
)

// TestDeadlineBoundsRetries: whatever retries latch.conf allows, a call ends with its deadline, which passes here in the
// middle of the third try or after it.
func TestDeadlineBoundsRetries(t *testing.T) {
	for fault, c := range map[string]struct {
		word     string
		tries    int32 // after which the deadline passes
		requests bool  // whether a try gets a connection for its request
	}{
		"429 without Retry-After": {"error-answer", 3, true},
		"503 always":              {"no-answer", 3, true},
		"connect: refused":        {"no-answer", 3, false},
		"connect: closes":         {"no-answer", 3, false},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := start(t, fault)
			o := optionsFor(t, s)
			o.Retries = 1000
			event, happen := newEvent()
			var tries atomic.Int32
			begins := func() {
				if tries.Add(1) == c.tries {
					happen()
				}
			}
			trace := &httptrace.ClientTrace{ConnectStart: func(string, string) { begins() }}
			if c.requests {
				trace = &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { begins() }}
			}
			status, err := askIn(httptrace.WithClientTrace(deadlineAt(event), trace), clientOf(t, o))
			if got := word(status, err); got != c.word {
				t.Errorf("%s, want %s; %v", got, c.word, err)
			}
			if n := tries.Load(); n != c.tries {
				t.Errorf("tried %d times, though the deadline passed in try %d", n, c.tries)
			}
		})
	}
}

// TestRetryAfterPastTheEnd: where the server wants more time than there is, its answer stands at once, whatever retries
// latch.conf allows.
func TestRetryAfterPastTheEnd(t *testing.T) {
	for _, fault := range []string{"429 Retry-After past the end", "429 Retry-After a date"} {
		s := start(t, fault)
		o := optionsFor(t, s)
		o.Retries = 1000
		status, err := ask(clientOf(t, o))
		if word(status, err) != "error-answer" || errors.Is(err, context.DeadlineExceeded) || s.Requests() != 1 {
			t.Errorf("%s: %v after %d requests", fault, err, s.Requests())
		}
	}
}

func TestNoRetries(t *testing.T) {
	for _, fault := range []string{"503 always", "429 without Retry-After", "connect: closes"} {
		s := start(t, fault)
		o := optionsFor(t, s)
		o.Retries = 0
		status, err := ask(clientOf(t, o))
		if err == nil || status.Open || s.Connections() != 1 {
			t.Errorf("%s: %v after %d connections", fault, word(status, err), s.Connections())
		}
	}
}

// TestCallerGone: when the caller gives up, the question ends at once, and that is no server's silence.
func TestCallerGone(t *testing.T) {
	for _, fault := range []string{"wire: never answers", "wire: stalls in body", "connect: silent", "connect: unheard"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := start(t, fault)
			ctx, cancel := context.WithCancel(t.Context())
			if fault == "connect: unheard" {
				ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{ConnectStart: func(string, string) { cancel() }})
			} else {
				context.AfterFunc(deadlineAt(s.Stalled()), cancel)
			}
			status, err := clientFor(t, s).Status(ctx, Query{AccountID: latchtest.AccountID})
			if got := word(status, err); got != "local-failure" {
				t.Errorf("%s: %v", got, err)
			}
		})
	}
	t.Run("waits for its next try", func(t *testing.T) {
		t.Parallel()
		s := start(t, "429 Retry-After past the end") // without a deadline it would be waited for
		ctx, cancel := context.WithCancel(t.Context())
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: cancel})
		status, err := clientFor(t, s).Status(ctx, Query{AccountID: latchtest.AccountID})
		if err == nil || status.Open || s.Requests() != 1 {
			t.Errorf("%v after %d requests", word(status, err), s.Requests())
		}
	})
}

// TestNoTimeLeft: a question whose time is over before it begins reaches nobody, and says nothing of the server.
func TestNoTimeLeft(t *testing.T) {
	s := start(t, "none")
	event, happen := newEvent()
	happen()
	if status, err := askIn(deadlineAt(event), clientFor(t, s)); word(status, err) != "local-failure" || s.Connections() != 0 {
		t.Errorf("%s after %d connections: %v", word(status, err), s.Connections(), err)
	}
}

// TestClock: after 109 the same question is asked once more, with the server's date.
func TestClock(t *testing.T) {
	for fault, c := range map[string]struct {
		word     string
		requests int
		learnt   bool
	}{
		"error 109 then good":    {"open", 2, true},
		"error 109 always":       {"error-answer", 2, true},
		"error 109 without Date": {"error-answer", 1, false},
		"none":                   {"open", 1, false},
	} {
		t.Run(fault, func(t *testing.T) {
			s := start(t, fault)
			client := clientFor(t, s)
			status, err := ask(client)
			if got := word(status, err); got != c.word || s.Requests() != c.requests {
				t.Errorf("%s after %d requests, want %s after %d; %v", got, s.Requests(), c.word, c.requests, err)
			}
			near := func(d time.Duration) bool { return (d - latchtest.Ahead).Abs() < time.Minute }
			if status.Offset != client.Offset() || near(client.Offset()) != c.learnt || (!c.learnt && client.Offset() != 0) {
				t.Errorf("offset %v, in the status %v", client.Offset(), status.Offset)
			}
			if c.learnt {
				first, second := dateOf(t, s, 0), dateOf(t, s, 1)
				if !near(second.Sub(first)) {
					t.Errorf("asked with the dates %v and %v", first, second)
				}
			}
		})
	}
}

func dateOf(t *testing.T, s *latchtest.Server, n int) time.Time {
	t.Helper()
	date, err := time.Parse(api.DateLayout, s.Seen()[n].Header.Get(api.HeaderDate))
	if err != nil {
		t.Fatal(err)
	}
	return date
}

// TestClockKept: the offset serves the calls that follow.
func TestClockKept(t *testing.T) {
	s := start(t, "error 109 then good")
	c := clientFor(t, s)
	for range 2 {
		if status, err := ask(c); !status.Open {
			t.Fatal(err)
		}
	}
	if s.Requests() != 3 || time.Until(dateOf(t, s, 2)) < latchtest.Ahead-time.Minute {
		t.Errorf("%d requests, the last with the date %v", s.Requests(), dateOf(t, s, 2))
	}
	if skew, known := c.Skew(); !known || (skew-latchtest.Ahead).Abs() > time.Minute {
		t.Errorf("skew %v, %v", skew, known)
	}
}
