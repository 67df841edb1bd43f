package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Limits of what one person is told one by one. What is beyond them comes as one summary at the end of the window.
const (
	noticeWindow     = 10 * time.Minute
	noticesPerLatch  = 3  // of one kind, in one window
	noticesPerPerson = 12 // the same, over all latches
	maxHeldNames     = 50 // addresses and latches that a summary counts apart
)

// window is what was told of one kind of event at one latch, or at all latches (pairing 0).
type window struct {
	user, pairing int64
	node, kind    string
	since         int64
	told, held    int
	facts         facts
}

// facts is what a summary will say.
type facts struct {
	Last      Notice   `json:"last"`
	Addresses []string `json:"addresses"`
	Latches   []string `json:"latches"`
}

// limit reports whether a person gets a notice of an event now, which stands for count equal ones. What does not get one is
// counted for a summary. Silent questions
// are never told one by one; refused ones count where a window is open, since a host asks silently once it was refused.
func (s *Store) limit(t *tx, n Notice, silent bool, count int) (bool, error) {
	node := n.NodeID
	if n.Kind == NoticeAccess {
		node = n.What
	}
	latch, err := s.window(t, window{user: n.User, pairing: n.Pairing, node: node, kind: n.Kind, since: n.T})
	if err != nil {
		return false, err
	}
	if silent && latch.told == 0 {
		return false, nil
	}
	all, err := s.window(t, window{user: n.User, kind: n.Kind, since: n.T})
	if err != nil {
		return false, err
	}
	switch {
	case silent || latch.told >= noticesPerLatch:
		latch.hold(n, count)
		return false, latch.save(t)
	case all.told >= noticesPerPerson:
		all.hold(n, count)
		return false, all.save(t)
	}
	latch.told++
	all.told++
	if count > 1 {
		latch.hold(n, count-1)
	}
	if err := latch.save(t); err != nil {
		return false, err
	}
	return true, all.save(t)
}

// window returns the window that an event falls into: the one that is open, or w, a fresh one.
func (s *Store) window(t *tx, w window) (window, error) {
	open := w
	var text string
	err := t.get([]any{&open.since, &open.told, &open.held, &text}, `SELECT since, told, held, facts FROM notice_windows
		WHERE user = ? AND pairing = ? AND node = ? AND kind = ?`, w.user, w.pairing, w.node, w.kind)
	if isNoRows(err) {
		return w, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &open.facts)
	}
	// One with something to sum up stays until that is done. A clock that was set back must not keep one open for longer.
	if age := w.since - open.since; err == nil && open.held == 0 && (age >= noticeWindow.Milliseconds() || age < -noticeWindow.Milliseconds()) {
		return w, nil
	}
	return open, err
}

func (w *window) hold(n Notice, count int) {
	w.held += count
	w.facts.Last = n
	address := n.Address
	if address == "" {
		address = n.Asker
	}
	w.facts.Addresses = among(w.facts.Addresses, address)
	w.facts.Latches = among(w.facts.Latches, n.AppID+" "+n.NodeID)
}

func among(list []string, name string) []string {
	if name == "" || len(list) >= maxHeldNames || slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

func (w *window) save(t *tx) error {
	text, err := json.Marshal(w.facts)
	if err != nil {
		return err
	}
	return t.exec(`INSERT INTO notice_windows (user, pairing, node, kind, since, told, held, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET since = excluded.since, told = excluded.told, held = excluded.held, facts = excluded.facts`,
		w.user, w.pairing, w.node, w.kind, w.since, w.told, w.held, string(text))
}

// Summaries makes the summaries of the windows that have ended, and forgets windows in which nothing was held back. While an
// attack goes on there is one summary per window and nothing else.
func (s *Store) Summaries(ctx context.Context) error {
	const ended = `since <= ?1 OR since > ?1 + ?2`
	now := s.millis()
	before, length := now-noticeWindow.Milliseconds(), 2*noticeWindow.Milliseconds()
	var due int
	if err := s.reads.get([]any{&due}, `SELECT count(*) FROM notice_windows WHERE `+ended, before, length); err != nil || due == 0 {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		var list []window
		err := t.each(func(scan func(...any) error) error {
			var w window
			var text string
			if err := scan(&w.user, &w.pairing, &w.node, &w.kind, &w.since, &w.told, &w.held, &text); err != nil {
				return err
			}
			list = append(list, w)
			return json.Unmarshal([]byte(text), &list[len(list)-1].facts)
		}, `SELECT user, pairing, node, kind, since, told, held, facts FROM notice_windows WHERE held > 0 AND (`+ended+`)`, before, length)
		if err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM notice_windows WHERE held = 0 AND (`+ended+`)`, before, length); err != nil {
			return err
		}
		for _, w := range list {
			if err := s.summarize(t, w, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) summarize(t *tx, w window, now int64) error {
	n := w.facts.Last
	n.User, n.Kind, n.Of, n.T, n.Since = w.user, NoticeSummary, w.kind, now, w.since
	n.Count, n.Addresses, n.Latches = w.held, len(w.facts.Addresses), len(w.facts.Latches)
	if w.pairing == 0 && n.Latches > 1 {
		n = Notice{User: n.User, Kind: n.Kind, Of: n.Of, T: n.T, Since: n.Since, Count: n.Count, Addresses: n.Addresses, Latches: n.Latches}
	}
	channels, err := s.live(t, &receivers{channels: map[[2]int64][]Channel{}}, w.user, 0, now)
	if err != nil {
		return err
	}
	if len(channels) > 0 {
		if err := s.addNotice(t, n, channels); err != nil {
			return err
		}
	}
	w.since, w.held, w.facts = now, 0, facts{}
	return w.save(t)
}
