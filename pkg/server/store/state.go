package store

import (
	"time"

	"github.com/latch-linux/latch/pkg/server/schedule"
)

// Why a latch is in the state it is in.
const (
	ByHand     = "hand"     // a person, an application, or use closed or opened it
	ByTimer    = "timer"    // a timed opening ended
	BySchedule = "schedule" // a window of the week began or ended
)

// setting is what is stored of one node's state.
type setting struct {
	on        bool
	changed   int64  // when on was set
	cause     string // by what
	until     int64  // the end of a timed opening, 0 = none
	switched  int64  // the person's act that set it, 0 = something else did
	schedule  string // weekly windows, "" = none
	scheduled int64  // when they were set
	held      bool   // the windows are suspended
	unwound   bool   // it is not as it was stored, see unwind
}

// fields are where a row's columns go: status, changed, cause, until, switched, schedule, scheduled, held.
func (s *setting) fields() []any {
	return []any{&s.on, &s.changed, &s.cause, &s.until, &s.switched, &s.schedule, &s.scheduled, &s.held}
}

// moment is what a setting means at one instant, whatever is above the node.
type moment struct {
	open  bool
	since int64 // when that was decided last
	by    string
	next  Change
}

// Change is a state that a latch will take by itself. At is 0 where it takes none.
type Change struct {
	At   int64
	Open bool
	By   string // ByTimer or BySchedule
}

// at reads a setting. Timers and schedules are kept because whoever reads the state looks at the clock, not because something
// wakes up in time:
//
//   - A timed opening is open until its instant, whatever the schedule says meanwhile; a person asked for just that. Then the
//     latch is closed, unless a window began or ended since the opening: then it is as the schedule says.
//   - What a person or an application sets otherwise stands until a window begins or ends next, and from then on the schedule.
//   - A schedule counts from the instant it is set or taken up again. One that is held says nothing.
//   - A schedule that cannot be read, which no latch-server wrote, keeps the latch closed.
func (s setting) at(now int64) moment {
	week, ok := s.week()
	if !ok {
		return moment{since: s.changed, by: BySchedule}
	}
	if s.until != 0 && s.on && s.running(now) {
		m := moment{open: true, since: s.changed, by: ByHand, next: Change{At: s.until, By: ByTimer}}
		if then := s.ruled(week, s.until); then.open {
			m.next = then.next // a window has begun meanwhile
		}
		return m
	}
	return s.ruled(week, now)
}

// running tells whether a timed opening has not ended. A clock that was set back, by more than a little, must not prolong it
// by as much.
func (s setting) running(now int64) bool {
	left := s.until - now
	return left > 0 && left <= 2*(s.until-s.changed)
}

// setBackBy is how far in the future, in milliseconds, a change may lie before it is one that a clock which was set back left
// behind: a schedule overrules it.
const setBackBy = 60_000

// unwind mends what a clock that was set back left behind: a schedule that was set in what is the future now counts from now, and
// so does a latch that was closed by hand, which stays closed until the next window. What was opened the schedule overrules.
func (s *setting) unwind(now int64) {
	closed := !s.on && s.cause == ByHand && s.changed > now+setBackBy
	after := s.changed > s.scheduled
	if s.scheduled > now {
		s.scheduled, s.unwound = now, true
	}
	if closed {
		s.changed, s.unwound = now, true
		if after {
			s.changed++
		}
	}
}

// ruled is at once no timed opening runs.
func (s setting) ruled(week schedule.Week, now int64) moment {
	m := moment{open: s.on, since: s.changed, by: s.cause}
	ended := int64(0)
	if s.until != 0 && s.on {
		ended = min(s.until, now)
		m = moment{since: ended, by: ByTimer}
	}
	if len(week.Windows) == 0 {
		return m
	}
	says := week.At(time.UnixMilli(now))
	changed := s.changed
	if changed > now+setBackBy {
		changed = 0
	}
	last := int64(0)
	if s.scheduled <= now && s.scheduled >= changed {
		last = s.scheduled
	}
	if edge := says.Last; !edge.IsZero() && edge.UnixMilli() > changed {
		last = max(last, edge.UnixMilli())
	}
	if last > 0 && (says.Open || ended <= last) {
		m = moment{open: says.Open, since: max(last, ended), by: BySchedule}
	}
	next := says.Opens
	if m.open {
		next = says.Closes
	}
	if !next.IsZero() {
		m.next = Change{At: next.UnixMilli(), Open: !m.open, By: BySchedule}
	}
	return m
}

// week is the schedule that counts: none where there is none or it is held. ok is false where it cannot be read.
func (s setting) week() (w schedule.Week, ok bool) {
	if s.schedule == "" || s.held {
		return w, true
	}
	w, err := schedule.Parse(s.schedule)
	return w, err == nil
}

// Limits of what is written down of the changes that nobody saw.
const (
	settleLines = 10
	settleSpan  = 7 * 24 * time.Hour
)

// settled is a setting with what became of it by itself written into it.
func (s setting) settled(now int64) setting {
	if m := s.at(now); m.since != s.changed {
		s.on, s.changed, s.cause, s.until = m.open, m.since, m.by, 0
	}
	return s
}

// byHand is a setting that somebody made at an instant.
func (s setting) byHand(open bool, now int64) setting {
	s.on, s.changed, s.cause, s.until, s.switched = open, now, ByHand, 0, 0
	if s.scheduled == now {
		s.changed++ // it came after the schedule
	}
	return s
}

// settle writes down what became of a node by itself, with a line of history for each change at the instant it happened, the
// newest of them. The state does not depend on it: it is read from the clock as long as nobody has written it down. So each
// change is written once, by the first who writes about the node after it.
func (s *Store) settle(t *tx, p pairing, n *target, now int64) error {
	if n.own.since == n.changed && !n.unwound {
		return nil
	}
	for _, e := range n.setting.lapse(now) {
		err := s.record(t, event{pairing: p, action: e.action(), what: "status", value: onOff(e.Open), was: onOff(!e.Open),
			name: n.name, node: n.id, at: e.At})
		if err != nil {
			return err
		}
	}
	n.setting = n.setting.settled(now)
	n.unwound = false
	return writeSetting(t, p, *n)
}

// lapse returns the changes that a setting makes by itself up to now, the newest settleLines of the last settleSpan.
func (s setting) lapse(now int64) []Change {
	var list []Change
	at, was := s.changed, s.on
	if old := now - settleSpan.Milliseconds(); at < old && (s.until == 0 || s.until < old) {
		at, was = old, s.at(old).open
	}
	// A schedule that was set decides at once.
	if at < s.scheduled && s.scheduled <= now && !s.running(s.scheduled) {
		if m := s.at(s.scheduled); m.open != was && m.by == BySchedule {
			list, at = append(list, Change{At: s.scheduled, Open: m.open, By: BySchedule}), s.scheduled
		}
	}
	for {
		next := s.at(at).next
		if next.At == 0 || next.At > now || next.At <= at {
			break
		}
		list, at = append(list, next), next.At
	}
	return list[max(0, len(list)-settleLines):]
}

func (c Change) action() string {
	if c.By == ByTimer {
		return ActionTimer
	}
	return ActionSchedule
}

// settlePath does it for a node and the application's and operations' latches beside it.
func (s *Store) settlePath(t *tx, tr *tree, n *target) error {
	for i := range tr.nodes {
		if beside := (target{tr.nodes[i], KindOperation}); beside.row != n.row || n.kind != KindOperation {
			if err := s.settle(t, tr.pairing, &beside, tr.now); err != nil {
				return err
			}
		}
	}
	if n.kind != KindApplication {
		if err := s.settle(t, tr.pairing, &target{tr.root, KindApplication}, tr.now); err != nil {
			return err
		}
	}
	return s.settle(t, tr.pairing, n, tr.now)
}

// writeSetting puts a node's setting into its row.
func writeSetting(t *tx, p pairing, n target) error {
	values := []any{n.on, n.changed, n.cause, n.until, n.switched, n.schedule, n.scheduled, n.held}
	switch n.kind {
	case KindApplication:
		return t.exec(`UPDATE pairings SET status = ?, changed = ?, cause = ?, until = ?, switched = ?, schedule = ?, scheduled = ?, held = ?
			WHERE id = ?`, append(values, p.row)...)
	case KindInstance:
		return t.exec(`UPDATE instances SET status = ?, changed = ?, cause = ?, until = ?, switched = ?, schedule = ?, scheduled = ?, held = ?
			WHERE id = ?`, append(values, n.row)...)
	}
	return t.exec(`INSERT INTO latches (status, changed, cause, until, switched, schedule, scheduled, held, pairing, operation)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET status = excluded.status, changed = excluded.changed, cause = excluded.cause,
			until = excluded.until, switched = excluded.switched, schedule = excluded.schedule, scheduled = excluded.scheduled,
			held = excluded.held`, append(values, p.row, n.row)...)
}
