package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// What a history entry's action can be.
const (
	ActionGet       = "get"              // a host asked
	ActionUser      = "USER_UPDATE"      // the person changed something
	ActionDeveloper = "DEVELOPER_UPDATE" // the application changed something
	ActionTimer     = "TIMER_UPDATE"     // a timed opening ended
	ActionSchedule  = "SCHEDULE_UPDATE"  // a window of the week began or ended
)

// Ways by which a change came about that is not somebody at the pages or a host's own wish: Attempt.Way.
const (
	WayLink    = "link"    // the link of a notice that closes
	WayNotice  = "notice"  // "it is me", from a notice
	WayUndo    = "undo"    // taken back
	WayLost    = "lost"    // "I lost this phone"
	WayUse     = "use"     // the latch closes after each use
	WayAdmin   = "admin"   // an administrator
	WayCommand = "command" // latch-server on its own machine
)

// ContextWay is the key of an entry's Context for one of them.
const ContextWay = "way"

// ContextBy is the key of an entry's Context for the admin, or the user of a command, who made the change.
const ContextBy = "by"

// ContextUntil is the key of an entry's Context for the end of a timed opening, in milliseconds since 1970 UTC.
const ContextUntil = "until"

// Attempt says who asks, for the history.
type Attempt struct {
	UserAgent string
	IP        string
	Silent    bool              // nobody is to be notified
	Context   map[string]string // what the host told about itself; nil when nothing
	Way       string            // one of the Way… constants, "" for none of them
	By        string            // whose change it was, where an admin or a command made it
}

// by fills in whose change an admin's or a command's is, from what ctx says about the actor.
func (a Attempt) by(ctx context.Context) Attempt {
	if a.Way == WayAdmin || a.Way == WayCommand {
		a.By = actorOf(ctx).Name
	}
	return a
}

// context is what a column holds of Context and Way: JSON, nil for nothing.
func (a Attempt) context() (any, error) {
	told := a.Context
	if a.Way != "" {
		told = maps.Clone(a.Context)
		if told == nil {
			told = map[string]string{}
		}
		told[ContextWay] = a.Way
		if a.By != "" {
			told[ContextBy] = a.By
		}
	}
	if len(told) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(told)
	return string(text), err
}

// Origin is who asks, as far as the host tells: each part may be "".
type Origin struct {
	Host    string // as it calls itself
	Service string // of PAM, such as sshd
	Phase   string // auth or account
	Address string // where the login comes from
	User    string // of the host
	Asker   string // the address that the question came from, which no host can make up
}

// OriginOf takes apart what an entry, a token or a notice holds of who asked.
func OriginOf(context map[string]string, ip string) Origin {
	return Origin{Host: context["host"], Service: context["service"], Phase: context["phase"], Address: context["rhost"],
		User: context["user"], Asker: ip}
}

// readContext reads such a column.
func readContext(text string) (context map[string]string, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &context)
	}
	return context, err
}

// Entry is one line of history. T is in milliseconds since 1970 UTC.
type Entry struct {
	ID, T                    int64
	User, App                string
	Action, What, Value, Was string
	Name                     string // of the application, operation or instance
	Node                     string // its public id, "" in entries of older versions
	UserAgent, IP            string
	Silent                   bool
	Context                  map[string]string
	Count                    int // how many equal attempts the line stands for, at least 1
}

// event is an entry about to be written.
type event struct {
	pairing                        pairing
	action, what, value, was, name string
	node                           string // public id of the application, operation or instance
	attempt                        Attempt
	at                             int64 // 0 is now
	count                          int   // how many equal ones it stands for; 0 is one
}

func (s *Store) record(t *tx, e event) error {
	context, err := e.attempt.context()
	if err != nil {
		return err
	}
	at := e.at
	if at == 0 {
		at = s.millis()
	}
	return t.exec(`INSERT INTO history (user, pairing, app, t, action, what, value, was, name, user_agent, ip, silent, context, node, count)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.pairing.user, e.pairing.row, e.pairing.app, at, e.action, e.what, e.value, e.was, e.name,
		e.attempt.UserAgent, e.attempt.IP, e.attempt.Silent, context, e.node, max(e.count, 1))
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// MaxHistory is the most entries that one question returns: the newest.
const MaxHistory = 1000

func scanEntry(scan func(...any) error) (e Entry, err error) {
	var context string
	err = scan(&e.ID, &e.T, &e.User, &e.App, &e.Action, &e.What, &e.Value, &e.Was, &e.Name, &e.Node,
		&e.UserAgent, &e.IP, &e.Silent, &context, &e.Count)
	if err == nil {
		e.Context, err = readContext(context)
	}
	return e, err
}

// AccountHistory is what the API tells about one account.
type AccountHistory struct {
	Account  Account
	LastSeen int64 // when a host last asked, 0 = never
	Count    int   // entries in the span, also those that Entries leaves out
	Entries  []Entry
}

// History returns an account with its entries from from to to (milliseconds, both inclusive),
// oldest first, the newest MaxHistory of them.
func (s *Store) History(ctx context.Context, app Application, accountID string, from, to int64) (AccountHistory, error) {
	var h AccountHistory
	s.flushRefusals(false) // what cannot be recorded now is shown later
	p, err := findPairing(s.reads, app.Row, accountID)
	if err != nil {
		return h, err
	}
	if h.Account, err = loadAccount(s.reads, app, p, s.millis()); err != nil {
		return h, err
	}
	err = s.reads.get([]any{&h.Count, &h.LastSeen}, `SELECT count(*), coalesce(max(CASE WHEN action = 'get' THEN t END), 0)
		FROM history WHERE user = ? AND t BETWEEN ? AND ? AND pairing = ?`, p.user, from, to, p.row)
	if err != nil {
		return h, err
	}
	h.Entries, err = s.newest(`WHERE h.user = ? AND h.t BETWEEN ? AND ? AND h.pairing = ? ORDER BY h.t DESC, h.id DESC LIMIT ?`,
		p.user, from, to, p.row, MaxHistory)
	return h, err
}

// Log returns the newest limit entries, oldest first, of one person or (user "") of everybody.
func (s *Store) Log(user string, limit int) ([]Entry, error) {
	s.flushRefusals(false)
	if user == "" {
		return s.newest(`ORDER BY h.id DESC LIMIT ?`, limit)
	}
	u, err := findUser(s.reads, user)
	if err != nil {
		return nil, err
	}
	return s.newest(`WHERE h.user = ? ORDER BY h.t DESC, h.id DESC LIMIT ?`, u.Row, limit)
}

// newest runs a question that finds the newest entries first and turns them round.
func (s *Store) newest(which string, args ...any) ([]Entry, error) {
	list, err := s.entries(which, args...)
	slices.Reverse(list)
	return list, err
}

func (s *Store) entries(which string, args ...any) ([]Entry, error) {
	var list []Entry
	err := s.reads.each(func(scan func(...any) error) error {
		e, err := scanEntry(scan)
		list = append(list, e)
		return err
	}, `SELECT h.id, h.t, coalesce(u.name, ''), coalesce(a.name, ''), h.action, h.what, h.value, h.was, h.name, h.node,
			h.user_agent, h.ip, h.silent, coalesce(h.context, ''), h.count
		FROM history h LEFT JOIN users u ON u.id = h.user LEFT JOIN applications a ON a.id = h.app `+which, args...)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return list, nil
}

// LastAttempt is the newest time that a host asked about a person; found is false where none has.
func (s *Store) LastAttempt(user int64) (e Entry, found bool, err error) {
	s.flushRefusals(false)
	list, err := s.entries(`WHERE h.user = ? AND h.action = 'get' ORDER BY h.t DESC, h.id DESC LIMIT 1`, user)
	if err != nil || len(list) == 0 {
		return e, false, err
	}
	return list[0], true, nil
}
