package store

import (
	"testing"
	"time"
)

// TestAwaitOpen: the answer is held while the latch is closed, until the phone opens it or the limit has passed.
func TestAwaitOpen(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	id := b.pair("ana")
	b.set("ana", "", false)
	b.reads(id, false) // the attempt that the wait is for
	await := func(limit time.Duration) bool {
		answer, err := b.AwaitOpen(b.ctx, StatusRequest{App: b.app, AccountID: id, NoOTP: true}, limit)
		if err != nil {
			t.Error(err)
		}
		return answer.Open
	}
	if await(time.Millisecond) {
		t.Error("open after the limit")
	}
	open := make(chan bool)
	go func() { open <- await(time.Hour) }()
	w, ana := &b.sqlite().watch, b.row("ana")
	for held := false; !held; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		held = w.people[ana] != nil
		w.mu.Unlock()
	}
	b.set("ana", "", true)
	if !<-open {
		t.Error("closed after the phone has opened it")
	}
}
