package client

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client/latchtest"
)

// TestDeadlineBoundsRetries: whatever retries latch.conf allows, and however long the server says to wait, the answer
// is there by the deadline.
func TestDeadlineBoundsRetries(t *testing.T) {
	for fault, c := range map[string]struct {
		limit    time.Duration
		word     string
		requests int // -1 for any
	}{
		"429 then good":                {500 * time.Millisecond, "error-answer", 1}, // after a second it would be
		"429 Retry-After past the end": {deadline, "error-answer", 1},
		"429 Retry-After a date":       {deadline, "error-answer", 1},
		"429 without Retry-After":      {deadline, "error-answer", -1},
		"503 always":                   {deadline, "no-answer", -1},
		"connect: refused":             {deadline, "no-answer", 0},
		"connect: closes":              {deadline, "no-answer", 0},
		"connect: unheard":             {deadline, "no-answer", 0},
		"tls: alert":                   {deadline, "wrong-answer", 0},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := start(t, fault)
			o := optionsFor(t, s)
			o.Retries = 1000
			client := clientOf(t, o)
			begin := time.Now()
			status, err := askWithin(client, c.limit)
			if took := time.Since(begin); took > c.limit+slack {
				t.Errorf("took %v", took)
			}
			if got := word(status, err); got != c.word {
				t.Errorf("%s, want %s; %v", got, c.word, err)
			}
			if c.requests >= 0 && s.Requests() != c.requests {
				t.Errorf("%d requests, want %d", s.Requests(), c.requests)
			}
		})
	}
}

// TestRetryAfterPastTheEnd: where the server wants more time than there is, its answer stands at once.
func TestRetryAfterPastTheEnd(t *testing.T) {
	for _, fault := range []string{"429 Retry-After past the end", "429 Retry-After a date"} {
		if _, err := ask(clientFor(t, start(t, fault))); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", fault, err)
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
	for _, fault := range []string{"wire: never answers", "wire: stalls in body", "connect: silent", "connect: unheard", "429 then good"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			c := clientFor(t, start(t, fault))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(300*time.Millisecond, cancel)
			begin := time.Now()
			status, err := c.Status(ctx, Query{AccountID: latchtest.AccountID})
			if got := word(status, err); got != "local-failure" && fault != "429 then good" {
				t.Errorf("%s: %v", got, err)
			}
			if status.Open || time.Since(begin) > 300*time.Millisecond+slack {
				t.Errorf("open: %v, took %v", status.Open, time.Since(begin))
			}
		})
	}
}

// TestNoTimeLeft: a question whose time is over before it begins reaches nobody.
func TestNoTimeLeft(t *testing.T) {
	s := start(t, "none")
	if status, err := askWithin(clientFor(t, s), -time.Second); word(status, err) != "no-answer" || s.Connections() != 0 {
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
