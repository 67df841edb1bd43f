package store

import (
	"context"
	"time"
)

const dayMillis = int64(24 * time.Hour / time.Millisecond)

// tallyBatch is how many lines of history are counted at a time.
const tallyBatch = 50_000

// Tally counts the answers since it counted last, per day and application. What it counts costs a login nothing.
func (s *Store) Tally(ctx context.Context) error {
	s.flushRefusals(false)
	for {
		from, err := readMark(s.reads, markTallied)
		if err != nil {
			return err
		}
		var last int64
		if err := s.reads.get([]any{&last}, `SELECT coalesce(max(id), 0) FROM history`); err != nil {
			return err
		}
		if last <= from {
			return nil
		}
		if err := s.tallySpan(ctx, from, min(from+tallyBatch, last)); err != nil {
			return err
		}
	}
}

// tallySpan counts the lines after from up to to, unless another process did meanwhile.
func (s *Store) tallySpan(ctx context.Context, from, to int64) error {
	type count struct{ day, app, opened, refused int64 }
	var counts []count
	err := s.reads.each(func(scan func(...any) error) error {
		var c count
		err := scan(&c.day, &c.app, &c.opened, &c.refused)
		counts = append(counts, c)
		return err
	}, `SELECT t / ?, app, sum((value = 'on') * count), sum((value = 'off') * count) FROM history
		WHERE id > ? AND id <= ? AND action = 'get' AND what = 'status' GROUP BY 1, 2`, dayMillis, from, to)
	if err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if at, err := readMark(t, markTallied); err != nil || at != from {
			return err
		}
		for _, c := range counts {
			err := t.exec(`INSERT INTO tallies (day, app, opened, refused) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
				opened = opened + excluded.opened, refused = refused + excluded.refused`, c.day, c.app, c.opened, c.refused)
			if err != nil {
				return err
			}
		}
		return setMark(t, markTallied, to)
	})
}

// DayTally is how many attempts a day (UTC) saw.
type DayTally struct {
	Day             time.Time // its first instant
	Opened, Refused int64
}

// Tallies returns the last days, today last, days without attempts included; app limits it to one application's row, 0 means
// all. Call Tally before it.
func (s *Store) Tallies(app int64, days int) ([]DayTally, error) {
	today := s.millis() / dayMillis
	list := make([]DayTally, days)
	for i := range list {
		list[i].Day = time.UnixMilli((today - int64(days-1-i)) * dayMillis).UTC()
	}
	first := today - int64(days-1)
	err := s.reads.each(func(scan func(...any) error) error {
		var day, opened, refused int64
		if err := scan(&day, &opened, &refused); err != nil {
			return err
		}
		list[day-first].Opened, list[day-first].Refused = opened, refused
		return nil
	}, `SELECT day, sum(opened), sum(refused) FROM tallies WHERE day BETWEEN ?1 AND ?2 AND (?3 = 0 OR app = ?3) GROUP BY day`,
		first, today, app)
	return list, err
}

// Refused returns the newest attempts that were refused, newest first.
func (s *Store) Refused(limit int) ([]Entry, error) {
	s.flushRefusals(false)
	return s.entries(`WHERE h.action = 'get' AND h.value = 'off' AND `+notImported+` ORDER BY h.id DESC LIMIT ?`, limit)
}

// Census counts what the server keeps.
type Census struct {
	People, Disabled int64 // all, and those who are disabled
	Paired           int64 // people with at least one pairing
	Pairings         int64
	Applications     int64
}

// Census counts people, pairings and applications.
func (s *Store) Census() (c Census, err error) {
	err = s.reads.get([]any{&c.People, &c.Disabled}, `SELECT count(*), count(disabled) FROM users WHERE removed IS NULL`)
	if err != nil {
		return c, err
	}
	err = s.reads.get([]any{&c.Applications}, `SELECT count(*) FROM applications WHERE removed IS NULL`)
	if err != nil {
		return c, err
	}
	// One pass over an index and no look at a pairing or a person: with a million of them that would take seconds. Those of
	// removed people, who are few, are taken off.
	var gone, gonePairings int64
	err = s.reads.get([]any{&c.Paired, &c.Pairings}, `SELECT count(DISTINCT user), count(*) FROM pairings INDEXED BY pairings_live
		WHERE unpaired IS NULL AND `+liveApp)
	if err != nil {
		return c, err
	}
	err = s.reads.get([]any{&gone, &gonePairings}, `SELECT count(DISTINCT p.user), count(*) FROM users u INDEXED BY users_removed
		CROSS JOIN pairings p INDEXED BY pairings_live ON p.user = u.id AND p.unpaired IS NULL WHERE u.removed IS NOT NULL AND `+liveApp)
	c.Paired, c.Pairings = c.Paired-gone, c.Pairings-gonePairings
	return c, err
}

const liveApp = `app IN (SELECT id FROM applications WHERE removed IS NULL)`
