package store

import "context"

// Marks that the server keeps of how far it has come, in ids of rows.
const (
	markLoggedHistory = "logged history"
	markLoggedAudit   = "logged audit"
	markTallied       = "tallied"
)

func readMark(q source, name string) (id int64, err error) {
	err = q.get([]any{&id}, `SELECT id FROM marks WHERE name = ?`, name)
	return id, err
}

func setMark(t *tx, name string, id int64) error {
	return t.exec(`UPDATE marks SET id = ? WHERE name = ?`, id, name)
}

// Journal is what was not logged yet, in the order of its ids.
type Journal struct {
	Entries []Entry // of the history
	Acts    []Act   // of the audit log
}

// Position is how far a log has come: ids of the last line of the history and of the audit log that were written.
type Position struct{ Entry, Act int64 }

// Logged returns the position that KeepLogged kept last.
func (s *Store) Logged() (p Position, err error) {
	if p.Entry, err = readMark(s.reads, markLoggedHistory); err != nil {
		return p, err
	}
	p.Act, err = readMark(s.reads, markLoggedAudit)
	return p, err
}

// KeepLogged keeps how far the log has come, so that nothing is missing from it after a restart.
func (s *Store) KeepLogged(ctx context.Context, p Position) error {
	return s.write(ctx, func(t *tx) error {
		if err := setMark(t, markLoggedHistory, p.Entry); err != nil {
			return err
		}
		return setMark(t, markLoggedAudit, p.Act)
	})
}

// JournalAfter returns what came after a position, limit lines of each kind at most.
func (s *Store) JournalAfter(p Position, limit int) (j Journal, err error) {
	s.flushRefusals(false)
	if j.Entries, err = s.entries(`WHERE h.id > ? AND `+notImported+` ORDER BY h.id LIMIT ?`, p.Entry, limit); err != nil {
		return j, err
	}
	j.Acts, err = s.acts(`WHERE id > ? ORDER BY id LIMIT ?`, p.Act, limit)
	return j, err
}

// HistoryAfter returns the entries behind an id, from from to to (milliseconds, both inclusive), in the order of their ids: what
// an export reads page by page.
func (s *Store) HistoryAfter(id, from, to int64, limit int) ([]Entry, error) {
	return s.entries(`WHERE h.id > ? AND h.t BETWEEN ? AND ? ORDER BY h.id LIMIT ?`, id, from, to, limit)
}
