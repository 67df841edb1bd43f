package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// refusedCounts returns the counts of ana's refused lines, oldest first.
func (b *bed) refusedCounts() (list []int) {
	b.t.Helper()
	entries, err := b.Log("ana", 1000)
	b.must(err)
	for _, e := range entries {
		if e.Action == ActionGet && e.Value == "off" {
			list = append(list, e.Count)
		}
	}
	return list
}

// lockDatabase holds the write lock as another process does, until the returned function is called.
func (b *bed) lockDatabase() (unlock func()) {
	b.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(b.dir, DatabaseFile))
	b.must(err)
	conn, err := db.Conn(b.ctx)
	b.must(err)
	_, err = conn.ExecContext(b.ctx, "BEGIN IMMEDIATE")
	b.must(err)
	return func() {
		_, err := conn.ExecContext(b.ctx, "ROLLBACK")
		b.must(errors.Join(err, conn.Close(), db.Close()))
	}
}

// TestClosedWaitsForNothing: another process that holds the database delays "open" and never "closed".
func TestClosedWaitsForNothing(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	open := b.pair("eva")
	b.set("ana", "", false)
	unlock := b.lockDatabase()
	for range 40 {
		got, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: account})
		if err != nil || got.Open {
			t.Fatalf("a closed latch reads %+v, %v", got, err)
		}
	}
	waiting, cancel := context.WithCancel(b.ctx)
	answered := make(chan error, 1)
	go func() {
		_, err := b.Status(waiting, StatusRequest{App: b.app, AccountID: open})
		answered <- err
	}()
	cancel()
	unlock()
	if err := <-answered; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("an open latch: %v", err)
	}
	b.must(b.sqlite().flushRefusals(true))
	sum := 0
	for _, n := range b.refusedCounts() {
		sum += n
	}
	if sum != 40 {
		t.Errorf("%d refused attempts are recorded, want 40", sum)
	}
}

// TestEqualRefusalsAreSummedUp: the first is recorded at once, the others of ten seconds follow in one line.
func TestEqualRefusalsAreSummedUp(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	b.set("ana", "", false)
	attempt := func(address string) {
		_, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: account, Attempt: Attempt{IP: "192.0.2.1", Context: map[string]string{"rhost": address}}})
		b.must(err)
	}
	flush := func() { b.must(b.sqlite().flushRefusals(false)) }
	attempt("203.0.113.7")
	flush()
	for range 36 {
		attempt("203.0.113.7")
	}
	attempt("203.0.113.8")
	flush()
	if got := b.refusedCounts(); len(got) != 2 || got[0] != 1 || got[1] != 1 {
		t.Errorf("within ten seconds: %v, want one line for each address", got)
	}
	b.clock.pass(refusalSpan)
	flush()
	if got := b.refusedCounts(); len(got) != 3 || got[2] != 36 {
		t.Errorf("after ten seconds: %v, want a line of 36 more", got)
	}
	attempt("203.0.113.7")
	flush()
	if got := b.refusedCounts(); len(got) != 4 || got[3] != 1 {
		t.Errorf("a new span: %v", got)
	}
	b.must(b.Tally(b.ctx))
	days, err := b.Tallies(0, 1)
	b.must(err)
	if days[0].Refused != 39 {
		t.Errorf("the panel counts %d, want 39", days[0].Refused)
	}
}

// TestRefusalsSurviveAClose: what was summed up in memory is on disk before the store is closed.
func TestRefusalsSurviveAClose(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	b.set("ana", "", false)
	for range 5 {
		_, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: account})
		b.must(err)
	}
	b.reopen()
	sum := 0
	for _, n := range b.refusedCounts() {
		sum += n
	}
	if sum != 5 {
		t.Errorf("%d of 5 are recorded", sum)
	}
}

// TestFloodsOfRefusalsAreBounded: what attempts differ in is given up before memory is.
func TestFloodsOfRefusalsAreBounded(t *testing.T) {
	f := newRefusals()
	for i := range refusalLimit + refusalKeys + 10 {
		f.add(StatusRequest{AccountID: "a", Attempt: Attempt{IP: time.Unix(int64(i), 0).String()}}, "node", 1)
	}
	list, _ := f.due(2, true)
	sum := 0
	for _, e := range list {
		sum += e.count
	}
	if len(list) != refusalKeys+1 || sum != refusalLimit+refusalKeys+10 {
		t.Errorf("%d lines of %d attempts", len(list), sum)
	}
}

// TestOneSecretLeavesRoom: queries of one secret that wait do not take all places of the writer, and "closed" needs none.
func TestOneSecretLeavesRoom(t *testing.T) {
	b := newBed(t)
	open, closed := b.pair("eva"), b.pair("ana")
	b.set("ana", "", false)
	unlock := b.lockDatabase()
	var all sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	full := make(chan struct{})
	for range maxPerSubject + 20 {
		all.Go(func() {
			_, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: open, Subject: "flood"})
			var many *TooManyError
			if errors.As(err, &many) {
				mu.Lock()
				defer mu.Unlock()
				if refused++; refused == 20 {
					close(full)
				}
			}
		})
	}
	<-full
	if got, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: closed, Subject: "flood"}); err != nil || got.Open {
		t.Errorf("a closed latch reads %+v, %v", got, err)
	}
	unlock()
	all.Wait()
	if _, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: open, Subject: "flood"}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
