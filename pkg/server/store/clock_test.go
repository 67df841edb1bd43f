package store

import (
	"testing"
	"time"
)

// setBack is far more than the life of anything that expires.
const setBack = -48 * time.Hour

func TestAClockThatWasSetBackProlongsNothing(t *testing.T) {
	b := newBed(t)
	_, err := b.AddUser(b.ctx, "ana")
	b.must(err)
	pair := func(code string) error {
		_, err := b.Pair(b.ctx, PairRequest{App: b.app, Code: code, Subject: "test"})
		return err
	}
	old, _, err := b.NewCode(b.ctx, "ana")
	b.must(err)
	b.clock.pass(setBack)
	b.refused("a code made before", pair(old), ErrCodeUnknown)
	fresh, _, err := b.NewCode(b.ctx, "ana")
	b.must(err)
	var codes int
	b.must(b.sqlite().reads.get([]any{&codes}, `SELECT count(*) FROM codes`))
	if codes != 1 {
		t.Errorf("%d codes are kept, want the new one", codes)
	}
	b.clock.pass(-time.Second) // as a time server corrects it
	b.must(pair(fresh))
}

func TestTokensAfterTheClockWasSetBack(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	mandatory := Mandatory
	b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{TwoFactor: &mandatory}))
	b.reload()
	shown := func() int {
		list, err := b.Tokens("ana")
		b.must(err)
		return len(list)
	}
	_, err := b.ask(id)
	b.must(err)
	b.clock.pass(-time.Second)
	if n := shown(); n != 1 {
		t.Errorf("a second earlier %d tokens are live, want 1", n)
	}
	b.clock.pass(setBack)
	if n := shown(); n != 0 {
		t.Errorf("%d tokens are live, want none", n)
	}
	_, err = b.ask(id)
	b.must(err)
	var kept int
	b.must(b.sqlite().reads.get([]any{&kept}, `SELECT count(*) FROM tokens`))
	if kept != 1 || shown() != 1 {
		t.Errorf("%d tokens are kept, %d live; want the new one", kept, shown())
	}
}

func TestLastUseAfterTheClockWasSetBack(t *testing.T) {
	b := newBed(t)
	lastUse := func() int64 {
		_, list, err := b.Credentials(b.app.ID)
		b.must(err)
		b.Used(list[0])
		b.must(b.sqlite().write(b.ctx, func(*tx) error { return nil })) // after the note in the queue
		infos, err := b.Secrets(b.app.Row)
		b.must(err)
		return infos[0].LastUse
	}
	lastUse()
	b.clock.pass(setBack)
	if got := lastUse(); got != b.millis() {
		t.Errorf("the last use is %d, want %d", got, b.millis())
	}
}
