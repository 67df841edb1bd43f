package store

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// ways lists how changes of a person came about, newest first, as "what value by way".
func (b *bed) ways(user int64) (list []string) {
	b.t.Helper()
	found, err := b.PersonHistory(HistoryQuery{User: user, Kind: HistoryChanges})
	b.must(err)
	for _, e := range found {
		list = append(list, fmt.Sprintf("%s %s by %q", e.What, e.Value, e.Context[ContextWay]))
	}
	return list
}

func TestHistoryTellsTheWay(t *testing.T) {
	l := newListener(t)
	l.attempt()
	n := l.told()[1]
	user := l.user.Row
	last := func(what, want string) {
		t.Helper()
		if got := l.ways(user); got[0] != want {
			t.Errorf("%s: %q, want %q first", what, got, want)
		}
		l.clock.pass(time.Second)
	}
	_, err := l.CloseByLink(l.ctx, n.Ticket, Attempt{})
	l.must(err)
	last("the link of a notice", `status off by "link"`)
	_, err = l.OpenByNotice(l.ctx, user, n.Row, 10*time.Minute, Attempt{})
	l.must(err)
	last("from a notice", `status on by "notice"`)
	d := l.turn(Switch{User: user, App: l.app.ID})
	last("by hand", `status off by ""`)
	l.must(l.Undo(l.ctx, user, d.ID, Attempt{}))
	last("taken back", `status on by "undo"`)
	l.bed.set("ana", "", false)
	last("by a command", `status off by "command"`)
	l.must(l.SetUserDisabled(l.ctx, "ana", true))
	last("disabled", `account disabled by "admin"`)
	l.must(l.SetUserDisabled(l.ctx, "ana", false))
	last("enabled", `account enabled by "admin"`)
	l.bed.set("ana", "", true)
	l.clock.pass(time.Second)
	l.must(l.LosePhone(l.ctx, user, Attempt{}))
	last("lost", `status off by "lost"`)
}

func TestHistoryTellsOfClosingAfterUse(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	must := Mandatory
	b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{LockOnUse: &must}))
	b.reload()
	context := map[string]string{"host": "web1"}
	_, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: id, Attempt: Attempt{Context: context}})
	b.must(err)
	if got := b.ways(b.row("ana")); got[0] != `status off by "use"` {
		t.Errorf("%q", got)
	}
	if len(context) != 1 {
		t.Errorf("the caller's context became %v", context)
	}
	b.must(b.UnpairPerson(b.ctx, b.row("ana"), b.app.ID, Attempt{IP: "192.0.2.1"}))
	if got := b.ways(b.row("ana")); !slices.Contains(got, `pairing unpaired by "admin"`) {
		t.Errorf("%q", got)
	}
}

// TestHistoryPageByPage reads on from a line that retention has removed meanwhile, and misses none.
func TestHistoryPageByPage(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.clock.pass(time.Hour)
	for range 9 {
		b.reads(id, true)
	}
	b.clock.pass(time.Hour)
	b.reads(id, true)
	q := HistoryQuery{User: b.row("ana"), Kind: HistoryAttempts, Limit: 4}
	var seen []int64
	for {
		page, err := b.PersonHistory(q)
		b.must(err)
		for _, e := range page {
			seen = append(seen, e.ID)
			q.Before = Mark{e.T, e.ID}
		}
		if len(page) < q.Limit {
			break
		}
		b.must(b.sqlite().write(b.ctx, func(t *tx) error { return t.exec(`DELETE FROM history WHERE id = ?`, q.Before.ID) }))
	}
	if len(seen) != 10 || !slices.IsSortedFunc(seen, func(a, b int64) int { return int(b - a) }) {
		t.Errorf("the pages have %v", seen)
	}
}
