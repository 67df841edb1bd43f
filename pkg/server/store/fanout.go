package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// fanoutBatch is how many lines of history are looked at in one go.
const fanoutBatch = 5000

// happened is one line of history as the fan-out reads it.
type happened struct {
	row, app int64
	silent   bool
	count    int    // how many equal ones
	notice   Notice // without a kind
}

// Fanout turns what has come into the history into notices, up to some thousand lines, and returns the number of the last line
// it has seen, to be given to the next call, and whether there may be more to do at once. Several processes may call it at any
// time: each line is turned once. Questions pay nothing for it, and where nobody has a channel it writes nothing.
func (s *Store) Fanout(ctx context.Context, seen int64) (last int64, more bool, err error) {
	s.flushRefusals(false) // what cannot be recorded now comes with a later call
	cursor, top, err := s.fanoutSpan(s.reads)
	if err != nil {
		return seen, false, err
	}
	if top < cursor || top < seen {
		// The history was emptied and its numbers begin anew. What is there came after.
		seen = 0
		if top < cursor {
			cursor, err = 0, s.write(ctx, func(t *tx) error { return setCursor(t, 0) })
		}
	}
	if top == max(cursor, seen) || err != nil {
		return top, false, err
	}
	from := max(cursor, seen)
	to := min(top, from+fanoutBatch)
	found, err := happenings(s.reads, from, to)
	if err != nil {
		return seen, false, err
	}
	// Without news the cursor is kept now and then only: a line that is looked at twice costs less than a write.
	if len(found) == 0 && to-cursor < fanoutBatch {
		return to, to < top, nil
	}
	err = s.write(ctx, func(t *tx) error {
		now, _, err := s.fanoutSpan(t)
		if err != nil || now != cursor {
			return err // another process was faster
		}
		if err := s.fanout(t, found); err != nil {
			return err
		}
		return setCursor(t, to)
	})
	return to, to < top, err
}

// fanoutSpan returns the last line that was turned into notices and the last that there is.
func (s *Store) fanoutSpan(q source) (cursor, top int64, err error) {
	var text string
	if err := q.get([]any{&text, &top}, `SELECT value, (SELECT coalesce(max(id), 0) FROM history) FROM settings WHERE name = ?`, settingCursor); err != nil {
		return 0, 0, fmt.Errorf("notices: %w", err)
	}
	cursor, err = strconv.ParseInt(text, 10, 64)
	return cursor, top, err
}

func setCursor(t *tx, to int64) error {
	return t.exec(`UPDATE settings SET value = ? WHERE name = ?`, strconv.FormatInt(to, 10), settingCursor)
}

// happenings reads the lines after from up to to that somebody may have to be told of. A silent question that was let in is
// none; one that was refused counts for a summary.
func happenings(q source, from, to int64) ([]happened, error) {
	var list []happened
	err := q.each(func(scan func(...any) error) error {
		var h happened
		var context string
		n := &h.notice
		err := scan(&h.row, &n.T, &n.User, &n.Pairing, &h.app, &n.Action, &n.What, &n.Value, &n.Name, &n.NodeID, &n.Asker, &h.silent, &h.count, &context,
			&n.App, &n.AppID, &n.ContactEmail, &n.ContactPhone, &n.Account)
		if err == nil && context != "" {
			told := map[string]string{}
			err = json.Unmarshal([]byte(context), &told)
			o := OriginOf(told, n.Asker)
			n.Login, n.Host, n.Service, n.Address = o.User, o.Host, o.Service, o.Address
			n.Way, n.By = told[ContextWay], told[ContextBy]
		}
		list = append(list, h)
		return err
	}, `SELECT h.id, h.t, h.user, h.pairing, h.app, h.action, h.what, h.value, h.name, h.node, h.ip, h.silent, h.count, coalesce(h.context, ''),
			a.name, a.app_id, a.contact_email, a.contact_phone, coalesce(p.account_id, '')
		FROM history h JOIN applications a ON a.id = h.app JOIN users u ON u.id = h.user AND u.removed IS NULL
		LEFT JOIN pairings p ON p.id = h.pairing
		WHERE h.id > ? AND h.id <= ? AND h.what != 'token' AND NOT (h.silent AND h.action = 'get' AND h.value = 'on')
			AND `+notImported+` AND (h.user IN (SELECT user FROM notice_channels WHERE given_up IS NULL)
				OR h.app IN (SELECT app FROM notice_channels WHERE given_up IS NULL) AND h.action != 'get')
		ORDER BY h.id`, from, to)
	return list, err
}

// kind says what a line is to the person.
func (h happened) kind() string {
	switch {
	case h.notice.Action != ActionGet:
		return NoticeChange
	case h.notice.Value == "on":
		return NoticeLetIn
	}
	return NoticeRefused
}

// receivers is what the fan-out of one batch has read of channels and rules.
type receivers struct {
	channels map[[2]int64][]Channel // by user and app
	rules    map[int64]map[string]Rule
}

func (s *Store) fanout(t *tx, found []happened) error {
	r := receivers{map[[2]int64][]Channel{}, map[int64]map[string]Rule{}}
	var before happened
	for _, h := range found {
		if err := s.tellPerson(t, &r, h, before); err != nil {
			return err
		}
		if err := s.tellApplication(t, &r, h); err != nil {
			return err
		}
		before = h
	}
	return nil
}

// live returns the channels that take what happened at t: not those that were added later.
func (s *Store) live(q source, r *receivers, user, app, t int64) (rows []int64, err error) {
	key := [2]int64{user, app}
	list, known := r.channels[key]
	if !known {
		if list, err = s.channels(q, `c.user = ? AND c.app = ? AND c.given_up IS NULL`, user, app); err != nil {
			return nil, err
		}
		r.channels[key] = list
	}
	for _, c := range list {
		if c.Created <= t {
			rows = append(rows, c.Row)
		}
	}
	return rows, nil
}

func (s *Store) tellPerson(t *tx, r *receivers, h, before happened) error {
	n := h.notice
	n.Kind = h.kind()
	if h.closedByUse(before) || n.Action == ActionTimer || n.Action == ActionSchedule {
		return nil
	}
	channels, err := s.live(t, r, n.User, 0, n.T)
	if err != nil || len(channels) == 0 {
		return err
	}
	rules, known := r.rules[n.Pairing]
	if !known {
		if rules, err = rulesOf(t, n.Pairing); err != nil {
			return err
		}
		r.rules[n.Pairing] = rules
	}
	rule := RuleFor(rules, n.NodeID, n.AppID)
	if !rule.wants(n.Kind) {
		return nil
	}
	n.Quiet = rule.Quiet
	if tell, err := s.limit(t, n, h.silent, h.count); err != nil || !tell {
		return err
	}
	return s.addNotice(t, n, channels)
}

// closedByUse tells whether a change is only the latch that closed itself after the attempt that was told of just before.
func (h happened) closedByUse(before happened) bool {
	n, b := h.notice, before.notice
	return n.Action == ActionDeveloper && n.What == "status" && n.Value == "off" && before.row == h.row-1 && b.Action == ActionGet &&
		b.Value == "on" && b.T == n.T && b.Pairing == n.Pairing && b.NodeID == n.NodeID
}

// tellApplication queues an application's own notice of a change.
func (s *Store) tellApplication(t *tx, r *receivers, h happened) error {
	n := h.notice
	if n.Action == ActionGet || n.What != "status" || n.Account == "" {
		return nil
	}
	channels, err := s.live(t, r, 0, h.app, n.T)
	if err != nil || len(channels) == 0 {
		return err
	}
	return s.addNotice(t, Notice{Kind: NoticeChange, T: n.T, AppID: n.AppID, NodeID: n.NodeID, Action: n.Action, Value: n.Value,
		Account: n.Account}, channels)
}
