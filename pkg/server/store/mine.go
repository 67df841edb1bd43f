package store

import (
	"fmt"
	"strings"
)

// HistoryQuery says which lines of a person's history are wanted, newest first. The zero value of a field does not limit.
type HistoryQuery struct {
	User     int64  // whose; always given
	Latch    string // public id: an application with all that is below it, or one operation or instance
	Kind     string // one of the History… constants
	Text     string // contained in a name, an address or what a host told, in any case of A to Z
	From, To int64  // milliseconds, both inclusive
	Before   Mark   // only what is older: the next page
	Limit    int    // 0 means MaxHistory
}

// Mark is a place in a history: changes that happened by themselves are written down later, so that ids alone are no order.
type Mark struct{ T, ID int64 }

// Kinds of lines that a person may ask for.
const (
	HistoryAttempts = "attempts" // hosts asked
	HistoryLetIn    = "let_in"   // hosts asked, and somebody was let in
	HistoryRefused  = "refused"  // hosts asked, and somebody was refused
	HistoryChanges  = "changes"  // everything but attempts
)

// kindClauses are what a kind is in SQL, as the indexes of migrations/0008_mine.sql have it: SQLite uses them for no other.
var kindClauses = map[string]string{
	"":              "",
	HistoryAttempts: ` AND h.action = 'get'`,
	HistoryLetIn:    ` AND h.action = 'get' AND h.value = 'on'`,
	HistoryRefused:  ` AND h.action = 'get' AND h.value = 'off'`,
	HistoryChanges:  ` AND h.action <> 'get'`,
}

// maxScan is how many lines one call of PersonHistory looks through for a text: a tenth of a second's work.
const maxScan = 10_000

// HistoryPage is a part of a history. Next is where the next part begins, to be given as HistoryQuery.Before; the zero value
// says that there is none. A part may be short, or empty, and have a next one: a search looks through maxScan lines at a time.
type HistoryPage struct {
	Entries []Entry
	Next    Mark
}

// PersonHistory searches a person's history, newest first.
func (s *Store) PersonHistory(q HistoryQuery) (HistoryPage, error) {
	if q.Limit <= 0 || q.Limit > MaxHistory {
		q.Limit = MaxHistory
	}
	s.flushRefusals(false)
	kind, known := kindClauses[q.Kind]
	if !known {
		return HistoryPage{}, fmt.Errorf("history has no %q", q.Kind)
	}
	floor, err := s.scanFloor(q, kind)
	if err != nil {
		return HistoryPage{}, err
	}
	list, err := s.entries(`WHERE h.user = ?1 `+kind+` AND (?2 = '' OR h.node = ?2 OR a.app_id = ?2)
		AND (?3 = '' OR instr(lower(h.name || char(10) || coalesce(a.name, '') || char(10) || h.ip || char(10) || h.user_agent), ?3) > 0
			OR EXISTS (SELECT 1 FROM json_each(h.context) WHERE instr(lower(value), ?3) > 0))
		AND h.t BETWEEN ?4 AND ?5 AND (h.t, h.id) < (?6, ?7) AND (h.t, h.id) >= (?9, ?10) ORDER BY h.t DESC, h.id DESC LIMIT ?8`,
		q.User, q.Latch, asciiLower(strings.TrimSpace(q.Text)), q.From, orNever(q.To), orNever(q.Before.T), q.Before.ID, q.Limit+1, floor.T, floor.ID)
	page := HistoryPage{Entries: list, Next: floor}
	if len(list) > q.Limit {
		page.Entries = list[:q.Limit]
		last := page.Entries[q.Limit-1]
		page.Next = Mark{last.T, last.ID}
	}
	return page, err
}

// scanFloor returns the last line that one call looks through, the zero Mark where the history ends before it.
func (s *Store) scanFloor(q HistoryQuery, kind string) (floor Mark, err error) {
	if strings.TrimSpace(q.Text) == "" && q.Latch == "" {
		return Mark{}, nil
	}
	err = s.reads.get([]any{&floor.T, &floor.ID}, `SELECT h.t, h.id FROM history h WHERE h.user = ?1 `+kind+`
		AND h.t BETWEEN ?2 AND ?3 AND (h.t, h.id) < (?4, ?5) ORDER BY h.t DESC, h.id DESC LIMIT 1 OFFSET ?6`,
		q.User, q.From, orNever(q.To), orNever(q.Before.T), q.Before.ID, maxScan-1)
	if isNoRows(err) {
		return Mark{}, nil
	}
	return floor, err
}

// orNever is the end of all times for 0.
func orNever(t int64) int64 {
	if t == 0 {
		return 1<<63 - 1
	}
	return t
}

// recordAccount notes what was done to a person as a whole.
func (s *Store) recordAccount(t *tx, user int64, value string) error {
	return s.record(t, event{pairing: pairing{user: user}, action: ActionDeveloper, what: "account", value: value, was: "-",
		attempt: Attempt{Way: WayAdmin}})
}
