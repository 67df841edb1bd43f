package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits of what a person does to latches.
const (
	UndoLife    = 10 * time.Minute // how long an act can be taken back
	MaxOpenTime = 7 * 24 * time.Hour
)

// Errors of a person's acts.
var (
	ErrNoSwitch    = errors.New("there is nothing to undo")
	ErrChangedThen = errors.New("something else changed since")
	ErrBadTime     = errors.New("not a usable time")
)

// Switch is what a signed-in person does to latches.
type Switch struct {
	User    int64  // the person's row
	App     string // application, by id or name; "" is each that the person is paired with, and no operation then
	Target  Target
	Open    bool
	For     time.Duration // how long it stays open, up to MaxOpenTime; 0 is until something changes it
	Hold    bool          // closing: schedules stay suspended until the person takes them up again
	Attempt Attempt       // for the history: from where
}

// Switched tells what an act did.
type Switched struct {
	ID    int64    // for Undo; 0 when nothing changed
	Apps  []string // the names of the applications
	Until int64    // when a timed opening ends, 0 = never
}

// Switch opens or closes latches. A child of a closed node can be set too; it reads closed until what is above it opens.
// Somebody who is disabled or lost their phone can close but not open: ErrUserDisabled, ErrPhoneLost.
func (s *Store) Switch(ctx context.Context, a Switch) (Switched, error) {
	var d Switched
	a.Attempt = a.Attempt.by(ctx)
	if err := a.check(); err != nil {
		return d, err
	}
	err := s.write(ctx, func(t *tx) error {
		u, err := userByRow(t, a.User)
		if err != nil {
			return err
		}
		if err := mayOpen(u); a.Open && err != nil {
			return err
		}
		owned, err := owns(t, u, a.App)
		if err != nil {
			return err
		}
		if d, err = s.turn(t, owned, a); err != nil {
			return err
		}
		return s.auditByCommand(ctx, t, "latch."+map[bool]string{true: "open", false: "close"}[a.Open], u.Name,
			map[string]string{"applications": strings.Join(d.Apps, ", "), "operation_id": a.Target.OperationID})
	})
	return d, err
}

// mayOpen fails for somebody whose latches read closed whatever is set.
func mayOpen(u User) error {
	switch {
	case u.Disabled:
		return fmt.Errorf("%q: %w", u.Name, ErrUserDisabled)
	case u.Lost:
		return fmt.Errorf("%q: %w", u.Name, ErrPhoneLost)
	}
	return nil
}

func (a Switch) check() error {
	switch {
	case a.For < 0, a.For > MaxOpenTime, a.For > 0 && !a.Open:
		return fmt.Errorf("%v: %w", a.For, ErrBadTime)
	case a.App == "" && a.Target != Target{}:
		return fmt.Errorf("%w: %q", ErrNoApplication, "")
	}
	return nil
}

// before is a node as it was, for undo.
type before struct {
	App, Account string
	Target       Target
	On, Held     bool
	Changed      int64
	Until        int64
	Cause        string
}

func (s *Store) turn(t *tx, owned []owned, a Switch) (Switched, error) {
	var d Switched
	now := s.millis()
	if a.For > 0 {
		d.Until = now + a.For.Milliseconds()
	}
	id, err := s.newSwitch(t, a.User)
	if err != nil {
		return d, err
	}
	var was []before
	for _, o := range owned {
		n, err := nodeOf(t, o, a.Target, now)
		if err != nil {
			return d, err
		}
		d.Apps = append(d.Apps, o.app.Name)
		if err := s.settle(t, o.pairing, &n, now); err != nil {
			return d, err
		}
		hold := a.Hold && n.schedule != "" && !n.held
		if n.own.open == a.Open && n.until == d.Until && !hold {
			if err := confirmed(t, o.pairing, n); err != nil {
				return d, err
			}
			continue
		}
		was = append(was, before{o.app.ID, o.pairing.accountID, a.Target, n.on, n.held, n.changed, n.until, n.cause})
		to := n.setting.byHand(a.Open, now)
		to.until, to.switched, to.held = d.Until, id, n.held || hold
		if err := s.replace(t, o.pairing, n, to, a.Attempt); err != nil {
			return d, err
		}
	}
	if len(was) == 0 {
		return d, forgetSwitch(t, id)
	}
	text, err := json.Marshal(was)
	if err != nil {
		return d, err
	}
	d.ID = id
	return d, t.exec(`UPDATE switches SET before = ? WHERE id = ?`, string(text), id)
}

// confirmed notes that somebody asked for what a latch is already: an earlier act cannot be taken back over that.
func confirmed(t *tx, p pairing, n target) error {
	if n.switched == 0 {
		return nil
	}
	n.switched = 0
	return writeSetting(t, p, n)
}

// forgetSwitch makes an act final.
func forgetSwitch(t *tx, id int64) error { return t.exec(`DELETE FROM switches WHERE id = ?`, id) }

// newSwitch takes a number for an act and forgets the person's old ones.
func (s *Store) newSwitch(t *tx, user int64) (int64, error) {
	now, life := s.millis(), UndoLife.Milliseconds()
	if err := t.exec(`DELETE FROM switches WHERE user = ? AND (made <= ? OR made > ?)`, user, now-life, now+life); err != nil {
		return 0, err
	}
	return t.insert(`INSERT INTO switches (user, made, before) VALUES (?, ?, '')`, user, now)
}

// replace writes what a person set, with a line of history if that is something else.
func (s *Store) replace(t *tx, p pairing, n target, to setting, a Attempt) error {
	from, timer := n.own.open, n.until
	n.setting = to
	if err := writeSetting(t, p, n); err != nil {
		return err
	}
	if to.on == from && to.until == timer {
		return nil
	}
	if to.until != 0 {
		a.Context = map[string]string{ContextUntil: strconv.FormatInt(to.until, 10)}
	}
	return s.record(t, event{
		pairing: p, action: ActionUser, what: "status", value: onOff(to.on), was: onOff(from), name: n.name, node: n.id, attempt: a,
	})
}

// Undo puts back what an act replaced, timer and schedule included, and uses the act up. ErrNoSwitch when it is not there
// or is older than UndoLife; ErrChangedThen, and nothing is put back, when one of its latches was changed since by
// something else.
func (s *Store) Undo(ctx context.Context, user, act int64, a Attempt) error {
	a.Way = WayUndo
	return s.write(ctx, func(t *tx) error {
		was, err := s.takeSwitch(t, user, act)
		if err != nil {
			return err
		}
		u, err := userByRow(t, user)
		if err != nil {
			return err
		}
		for _, b := range was {
			if err := s.undo(t, u, act, b, a); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) takeSwitch(t *tx, user, act int64) ([]before, error) {
	var made int64
	var text string
	err := t.get([]any{&made, &text}, `SELECT made, before FROM switches WHERE id = ? AND user = ?`, act, user)
	if isNoRows(err) {
		return nil, ErrNoSwitch
	}
	if err != nil {
		return nil, err
	}
	if age := s.millis() - made; age >= UndoLife.Milliseconds() || age < -UndoLife.Milliseconds() {
		return nil, ErrNoSwitch
	}
	var was []before
	if err := json.Unmarshal([]byte(text), &was); err != nil {
		return nil, fmt.Errorf("act %d: %w", act, err)
	}
	return was, forgetSwitch(t, act)
}

func (s *Store) undo(t *tx, u User, act int64, b before, a Attempt) error {
	owned, err := owns(t, u, b.App)
	if errors.Is(err, ErrNotPaired) || err == nil && owned[0].pairing.accountID != b.Account {
		return ErrChangedThen
	}
	if err != nil {
		return err
	}
	n, err := nodeOf(t, owned[0], b.Target, s.millis())
	if errors.Is(err, ErrNoOperation) || errors.Is(err, ErrNoInstance) || err == nil && n.switched != act {
		return ErrChangedThen
	}
	if err != nil {
		return err
	}
	if err := mayOpen(u); b.On && err != nil {
		return err
	}
	to := n.setting
	to.on, to.changed, to.cause, to.until, to.held, to.switched = b.On, b.Changed, b.Cause, b.Until, b.Held, 0
	to = to.settled(s.millis()) // what would have happened since
	return s.replace(t, owned[0].pairing, n, to, a)
}

// nodeOf finds one node of an account that a person owns.
func nodeOf(q source, o owned, to Target, now int64) (target, error) {
	tr, err := loadTree(q, o.app, o.pairing, now)
	if err != nil {
		return target{}, err
	}
	return tr.find(q, to)
}
