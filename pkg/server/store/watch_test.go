package store

import (
	"context"
	"testing"
	"time"
)

// told waits until a watcher is told. Where nobody is, the test binary's own time ends the test.
func told(t *testing.T, what string, end <-chan struct{}) {
	t.Helper()
	if _, open := <-end; !open {
		t.Fatalf("%s: the channel is closed", what)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	id := b.pair("ana")
	b.pair("eva")
	ctx, leave := context.WithCancel(b.ctx)
	defer leave()
	ana, eva := b.Watch(ctx, b.row("ana")), b.Watch(ctx, b.row("eva"))
	other, err := over.open(b.dir, Options{Now: b.clock.now}) // as a command of latch-server does
	b.must(err)
	defer other.Close()

	b.reads(id, true)
	told(t, "an attempt", ana)
	_, err = other.SetByUser(b.ctx, "ana", "", "", false)
	b.must(err)
	told(t, "another process", ana)
	b.reads(id, false)
	told(t, "a later look at the database", ana)
	if len(eva) > 0 {
		t.Error("told of what concerns somebody else")
	}
	yes := true
	b.must(b.Choose(b.ctx, b.row("ana"), b.app.ID, Target{}, &yes, nil))
	told(t, "a choice", ana)
	b.must(b.SetSetting(b.ctx, "test", "x"))
	told(t, "a setting, ana", ana)
	told(t, "a setting, eva", eva)

	b.turn(Switch{User: b.row("ana"), App: b.app.ID, Open: true, For: time.Minute})
	told(t, "a timed opening", ana)
	b.clock.pass(time.Minute)
	told(t, "its end", ana)
	_, _, err = b.NewCode(b.ctx, "eva")
	b.must(err)
	told(t, "a code", eva)
	b.clock.pass(CodeLife)
	told(t, "its end", eva)

	leave()
	for range ana {
	}
	again := b.Watch(b.ctx, b.row("ana"))
	b.reads(id, false)
	told(t, "after everybody had left", again)
	b.must(b.Close())
	for range again {
	}
	if _, open := <-b.Watch(b.ctx, 1); open {
		t.Error("a closed store tells")
	}
	b.Backend = nil
	b.reopen()
}
