package store

import (
	"fmt"
	"testing"
	"time"
)

func TestHistory(t *testing.T) {
	b := newBed(t)
	id, eva := b.pair("ana"), b.pair("eva")
	b.clock.pass(time.Second)
	start := b.millis()
	_, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: id, Attempt: Attempt{
		UserAgent: "curl/8", IP: "203.0.113.7", Silent: true, Context: map[string]string{"host": "web1"}}})
	b.must(err)
	b.clock.pass(time.Second)
	b.set("ana", "", false)
	b.set("ana", "", false) // changes nothing, leaves nothing
	b.clock.pass(time.Second)
	b.reads(id, false)
	b.reads(eva, true)

	h, err := b.History(b.ctx, b.app, id, 0, b.millis())
	b.must(err)
	var lines []string
	for _, e := range h.Entries {
		lines = append(lines, fmt.Sprintf("%d %s %s %s was %s", (e.T-start)/1000, e.Action, e.What, e.Value, e.Was))
	}
	want := []string{
		"-1 DEVELOPER_UPDATE pairing paired was -", "0 get status on was -",
		"1 USER_UPDATE status off was on", "2 get status off was -",
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("history is\n%q, want\n%q", lines, want)
	}
	e := h.Entries[1]
	if e.IP != "203.0.113.7" || e.UserAgent != "curl/8" || !e.Silent || e.Context["host"] != "web1" || e.Name != "servers" || e.User != "ana" {
		t.Errorf("entry is %+v", e)
	}
	if h.Count != 4 || h.LastSeen != b.millis() || h.Account.Status.Open || h.Account.Paired != start-1000 {
		t.Errorf("head is %+v", h)
	}
	for name, c := range map[string]struct {
		from, to int64
		want     int
	}{
		"one instant":   {start, start, 1},
		"from the end":  {start + 1000, start + 2000, 2},
		"before":        {0, start - 1001, 0},
		"turned around": {start + 2000, start, 0},
	} {
		if h, err := b.History(b.ctx, b.app, id, c.from, c.to); err != nil || len(h.Entries) != c.want || h.Count != c.want {
			t.Errorf("%s: %d entries, count %d, %v, want %d", name, len(h.Entries), h.Count, err, c.want)
		}
	}
	_, err = b.History(b.ctx, b.app, "nobody", 0, 1)
	b.refused("an unknown account", err, ErrNotPaired)
	all, err := b.Log("", 3)
	if err != nil || len(all) != 3 || all[2].User != "eva" {
		t.Errorf("newest three of all: %+v, %v", all, err)
	}
	own, err := b.Log("ana", 100)
	if err != nil || len(own) != 4 || own[0].What != "pairing" {
		t.Errorf("a person's: %+v, %v", own, err)
	}
	_, err = b.Log("nobody", 1)
	b.refused("an unknown person", err, ErrNoUser)
	b.must(b.UnpairUser(b.ctx, "ana", ""))
	if own, err := b.Log("ana", 100); err != nil || len(own) != 5 {
		t.Errorf("after unpairing: %d entries, %v", len(own), err)
	}
}

func TestHistoryIsCutToTheNewest(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.must(b.sqlite().write(b.ctx, func(t *tx) error {
		p, err := findPairing(t, b.app.Row, id)
		for i := 0; err == nil && i < MaxHistory+50; i++ {
			err = b.sqlite().record(t, event{pairing: p, action: ActionGet, what: "status", value: fmt.Sprint(i)})
		}
		return err
	}))
	h, err := b.History(b.ctx, b.app, id, 0, b.millis())
	b.must(err)
	if len(h.Entries) != MaxHistory || h.Count != MaxHistory+51 || h.Entries[MaxHistory-1].Value != fmt.Sprint(MaxHistory+49) {
		t.Errorf("%d entries, count %d, last %+v", len(h.Entries), h.Count, h.Entries[len(h.Entries)-1])
	}
}

func TestAnAccountHasItsOwnHistory(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.reads(id, true)
	other, _, err := b.AddApplication(b.ctx, Application{Name: "others", PairByName: true})
	b.must(err)
	elsewhere, err := b.PairByName(b.ctx, PairRequest{App: other}, "ana")
	b.must(err)
	if h, err := b.History(b.ctx, b.app, id, 0, b.millis()); err != nil || h.Count != 2 || len(h.Entries) != 2 || h.LastSeen == 0 {
		t.Errorf("the first account: %+v, %v", h, err)
	}
	if h, err := b.History(b.ctx, other, elsewhere, 0, b.millis()); err != nil || h.Count != 1 || len(h.Entries) != 1 || h.LastSeen != 0 {
		t.Errorf("the second account: %+v, %v", h, err)
	}
	_, err = b.History(b.ctx, other, id, 0, b.millis())
	b.refused("one application's question about the other's account", err, ErrNotPaired)
}

func TestPrune(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	const old = pruneBatch + 10
	b.must(b.sqlite().write(b.ctx, func(t *tx) error {
		for i := range old {
			if err := t.exec(`INSERT INTO history SELECT NULL, user, pairing, app, ?, action, what, value, was, name, user_agent, ip, silent, context, node, count
				FROM history ORDER BY id LIMIT 1`, i); err != nil {
				return err
			}
		}
		return nil
	}))
	b.reads(id, true)
	day := b.millis()
	b.clock.pass(time.Hour)
	b.reads(id, true)
	// A clock that was wrong for a while leaves old times behind new ones.
	b.must(b.sqlite().write(b.ctx, func(t *tx) error {
		return t.exec(`INSERT INTO history SELECT NULL, user, pairing, app, 1, action, what, value, was, name, user_agent, ip, silent, context, node, count
			FROM history ORDER BY id DESC LIMIT 1`)
	}))
	count := func() int {
		h, err := b.History(b.ctx, b.app, id, 0, b.millis())
		b.must(err)
		return h.Count
	}
	// The newest line stays whatever its time.
	if n, err := b.Prune(b.ctx, old); err != nil || n != old || count() != 4 {
		t.Errorf("%d removed, %d left, %v; want %d and 4", n, count(), err, old)
	}
	if n, err := b.Prune(b.ctx, old); err != nil || n != 0 {
		t.Errorf("a second time %d, %v", n, err)
	}
	// A clock that was wrong for a while leaves old times behind new ones.
	b.must(b.sqlite().write(b.ctx, func(t *tx) error {
		return t.exec(`INSERT INTO history SELECT NULL, user, pairing, app, 1, action, what, value, was, name, user_agent, ip, silent, context, node, count
			FROM history ORDER BY id DESC LIMIT 1`)
	}))
	if n, err := b.Prune(b.ctx, old); err != nil || n != 1 || count() != 4 {
		t.Errorf("%d removed, %d left, %v; want 1 and 4", n, count(), err)
	}
	if n, err := b.Prune(b.ctx, day+1); err != nil || n != 2 || count() != 2 {
		t.Errorf("%d removed, %d left, %v; want 2 and 2", n, count(), err)
	}
	b.reads(id, true) // the pairing stays
}

// TestHistoryHasALimit: a new database has limits, and the oldest lines beyond them go.
func TestHistoryHasALimit(t *testing.T) {
	b := newBed(t)
	for setting, want := range map[string]int{SettingKeepHistory: defaultHistoryDays, SettingHistoryLines: defaultHistoryLines, SettingKeepAudit: 0} {
		if n, err := b.KeepDays(setting); err != nil || n != want {
			t.Errorf("%s is %d, %v; want %d", setting, n, err, want)
		}
	}
	id := b.pair("ana")
	for range 20 {
		b.reads(id, true)
	}
	b.must(b.SetSetting(b.ctx, SettingHistoryLines, "5"))
	b.must(b.Retain(b.ctx))
	list, err := b.Log("", 100)
	b.must(err)
	if len(list) != 5 {
		t.Errorf("%d lines are left, want 5", len(list))
	}
	days, err := b.Tallies(0, 1)
	b.must(err)
	if days[0].Opened != 20 {
		t.Errorf("%d attempts are counted, want 20", days[0].Opened)
	}
}
