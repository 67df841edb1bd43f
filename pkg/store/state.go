package store

// Why a latch is in the state it is in.
const (
	ByHand  = "hand"  // a person, an application, or use closed or opened it
	ByTimer = "timer" // a timed opening ended
)

// setting is what is stored of one node's state.
type setting struct {
	on        bool
	changed   int64  // when on was set
	until     int64  // the end of a timed opening, 0 = none
	switched  int64  // the person's act that set it, 0 = something else did
	schedule  string // weekly windows, "" = none
	scheduled int64  // when they were set
	held      bool   // the windows are suspended
}

// fields are where a row's columns go: status, changed, until, switched, schedule, scheduled, held.
func (s *setting) fields() []any {
	return []any{&s.on, &s.changed, &s.until, &s.switched, &s.schedule, &s.scheduled, &s.held}
}

// moment is what a setting means at one instant, whatever is above the node.
type moment struct {
	open  bool
	since int64
	by    string
	next  Change
}

// Change is a state that a latch will take by itself. At is 0 where it takes none.
type Change struct {
	At   int64
	Open bool
	By   string // ByTimer
}

// at reads a setting. A timed opening ends at its instant because whoever reads the state looks at the clock, not because
// something wakes up in time.
func (s setting) at(now int64) moment {
	m := moment{open: s.on, since: s.changed, by: ByHand}
	if s.until == 0 || !s.on {
		return m
	}
	// A clock that was set back, by more than a little, must not prolong an opening by as much.
	if left := s.until - now; left <= 0 || left > 2*(s.until-s.changed) {
		return moment{since: min(s.until, now), by: ByTimer}
	}
	m.next = Change{At: s.until, By: ByTimer}
	return m
}

// settle writes down what became of a node by itself, with a line of history for the instant at which it did. The state does
// not depend on it: it is read from the clock as long as nobody has written it down.
func (s *Store) settle(t *tx, p pairing, n *target) error {
	if n.own.since == n.changed {
		return nil
	}
	was := n.on
	n.on, n.changed, n.until, n.switched = n.own.open, n.own.since, 0, 0
	if err := writeSetting(t, p, *n); err != nil {
		return err
	}
	return s.record(t, event{pairing: p, action: ActionTimer, what: "status", value: onOff(n.on), was: onOff(was), name: n.name, node: n.id, at: n.changed})
}

// settlePath does it for a node and the application's and operations' latches beside it.
func (s *Store) settlePath(t *tx, tr *tree, n *target) error {
	for i := range tr.nodes {
		if beside := (target{tr.nodes[i], KindOperation}); beside.row != n.row || n.kind != KindOperation {
			if err := s.settle(t, tr.pairing, &beside); err != nil {
				return err
			}
		}
	}
	if n.kind != KindApplication {
		if err := s.settle(t, tr.pairing, &target{tr.root, KindApplication}); err != nil {
			return err
		}
	}
	return s.settle(t, tr.pairing, n)
}

// writeSetting puts a node's setting into its row.
func writeSetting(t *tx, p pairing, n target) error {
	values := []any{n.on, n.changed, n.until, n.switched, n.schedule, n.scheduled, n.held}
	switch n.kind {
	case KindApplication:
		return t.exec(`UPDATE pairings SET status = ?, changed = ?, until = ?, switched = ?, schedule = ?, scheduled = ?, held = ?
			WHERE id = ?`, append(values, p.row)...)
	case KindInstance:
		return t.exec(`UPDATE instances SET status = ?, changed = ?, until = ?, switched = ?, schedule = ?, scheduled = ?, held = ?
			WHERE id = ?`, append(values, n.row)...)
	}
	return t.exec(`INSERT INTO latches (status, changed, until, switched, schedule, scheduled, held, pairing, operation)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET status = excluded.status, changed = excluded.changed,
			until = excluded.until, switched = excluded.switched, schedule = excluded.schedule, scheduled = excluded.scheduled,
			held = excluded.held`, append(values, p.row, n.row)...)
}
