package store

// Kinds of entries that a person may ask for.
const (
	HistoryAttempts = "attempts" // hosts asked
	HistoryRefused  = "refused"  // hosts asked, and somebody was refused
	HistoryChanges  = "changes"  // latches, pairings and schedules changed
)

// HistoryQuery asks for a part of one person's history. The zero value asks for all of it.
type HistoryQuery struct {
	From, To int64  // milliseconds since 1970 UTC, both inclusive; 0 is no bound
	App      string // an application's public id
	Kind     string // one of the kinds above
	Before   int64  // the id of the entry that the page before this one ended with
	Limit    int
}

// PersonHistory returns a person's entries, the newest first.
func (s *Store) PersonHistory(user int64, q HistoryQuery) ([]Entry, error) {
	return s.entries(`WHERE h.user = ?1 AND (?2 = 0 OR h.t >= ?2) AND (?3 = 0 OR h.t <= ?3) AND (?4 = '' OR a.app_id = ?4)
			AND (?5 = '' OR ?5 = 'changes' AND h.action <> 'get' OR ?5 <> 'changes' AND h.action = 'get' AND (?5 = 'attempts' OR h.value = 'off'))
			AND (?6 = 0 OR (h.t, h.id) < (SELECT t, id FROM history WHERE id = ?6))
		ORDER BY h.t DESC, h.id DESC LIMIT ?7`, user, q.From, q.To, q.App, q.Kind, q.Before, q.Limit)
}

// PairedApplications lists what a person is or was paired with, as far as the history tells, by name.
func (s *Store) PairedApplications(user int64) ([]Application, error) {
	var list []Application
	err := s.reads.each(func(scan func(...any) error) error {
		var a Application
		err := scan(&a.ID, &a.Name)
		list = append(list, a)
		return err
	}, `SELECT a.app_id, a.name FROM applications a WHERE a.id IN (SELECT app FROM pairings WHERE user = ?) ORDER BY a.name, a.id`, user)
	return list, err
}
