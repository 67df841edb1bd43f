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
	for _, e := range found.Entries {
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
		for _, e := range page.Entries {
			seen = append(seen, e.ID)
		}
		if q.Before = page.Next; q.Before == (Mark{}) {
			break
		}
		b.must(b.sqlite().write(b.ctx, func(t *tx) error { return t.exec(`DELETE FROM history WHERE id = ?`, q.Before.ID) }))
	}
	if len(seen) != 10 || !slices.IsSortedFunc(seen, func(a, b int64) int { return int(b - a) }) {
		t.Errorf("the pages have %v", seen)
	}
}

// TestASearchLooksThroughSoMuch: one request of a search is bounded, and goes on where it stopped.
func TestASearchLooksThroughSoMuch(t *testing.T) {
	b := newBed(t)
	b.pair("ana")
	user := b.row("ana")
	b.must(b.sqlite().write(b.ctx, func(t *tx) error {
		return t.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO history SELECT NULL, user, pairing, app, t + i, 'get', 'status', 'on', '-', CASE i WHEN 1 THEN 'needle' ELSE 'hay' END,
				user_agent, ip, silent, context, node, 1 FROM history, n`, 2*maxScan)
	}))
	q := HistoryQuery{User: user, Text: "needle", Limit: 10}
	parts, found := 0, 0
	for {
		page, err := b.PersonHistory(q)
		b.must(err)
		parts, found = parts+1, found+len(page.Entries)
		if q.Before = page.Next; q.Before == (Mark{}) || parts > 10 {
			break
		}
	}
	if parts != 3 || found != 1 {
		t.Errorf("%d lines are found in %d parts, want 1 in 3", found, parts)
	}
	if page, err := b.PersonHistory(HistoryQuery{User: user, Limit: 10}); err != nil || len(page.Entries) != 10 {
		t.Errorf("without a text: %d lines, %v", len(page.Entries), err)
	}
}
