package store

import (
	"context"
	"errors"
	"fmt"
)

// SetByApplication opens or closes a node as the application's lock and unlock calls do. Opening
// needs the application's open_by_api, else ErrNotAllowed. A blocked person's latches stay closed
// whatever is set.
func (s *Store) SetByApplication(ctx context.Context, app Application, accountID string, to Target, open bool, a Attempt) error {
	return s.write(ctx, func(t *tx) error {
		p, err := findPairing(t, app.Row, accountID)
		if err != nil {
			return err
		}
		tr, err := loadTree(t, app, p, s.millis())
		if err != nil {
			return err
		}
		node, err := tr.find(t, to)
		if err != nil {
			return err
		}
		if open && !app.OpenByAPI {
			return ErrNotAllowed
		}
		return s.setNode(t, p, node, open, ActionDeveloper, a)
	})
}

// SetByUser opens or closes latches of somebody who is known by name: the application's latch, or the operation's by id or
// name, of one application or (app "", operation "") of all. It returns the names of the applications.
func (s *Store) SetByUser(ctx context.Context, user, app, operation string, open bool) ([]string, error) {
	d, err := s.SwitchByName(ctx, user, operation, Switch{App: app, Open: open})
	return d.Apps, err
}

// SwitchByName is Switch with the person and the operation by name; those of sw are not read. It is for the command line.
func (s *Store) SwitchByName(ctx context.Context, user, operation string, sw Switch) (Switched, error) {
	u, err := s.User(user)
	if err != nil {
		return Switched{}, err
	}
	sw.User, sw.Attempt.Way = u.Row, WayCommand
	if operation != "" {
		app, err := s.Application(sw.App)
		if err != nil {
			return Switched{}, err
		}
		op, err := s.Operation(app.Row, operation)
		if err != nil {
			return Switched{}, err
		}
		sw.Target.OperationID = op.ID
	}
	return s.Switch(ctx, sw)
}

func userNode(t *tx, o owned, operation string, now int64) (target, error) {
	to := Target{}
	if operation != "" {
		op, err := findOperation(t, o.app.Row, operation)
		if err != nil {
			return target{}, err
		}
		to.OperationID = op.ID
	}
	return nodeOf(t, o, to, now)
}

// LatchTree returns a person's latches, application by application, with the instances below what they hang on. None is an
// empty list.
func (s *Store) LatchTree(user int64) ([]Account, error) {
	u, err := userByRow(s.reads, user)
	if err != nil {
		return nil, err
	}
	owned, err := owns(s.reads, u, "")
	if errors.Is(err, ErrNotPaired) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := s.millis()
	list := make([]Account, 0, len(owned))
	for _, o := range owned {
		tr, err := loadTree(s.reads, o.app, o.pairing, now)
		if err == nil {
			err = tr.loadInstances(s.reads)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, tr.account())
	}
	return list, nil
}

// SetChoice keeps what a person chose for a node whose mode is OPT_IN; nil keeps.
func (s *Store) SetChoice(ctx context.Context, user, app, operation string, twoFactor, lock *bool) error {
	return s.write(ctx, func(t *tx) error {
		all, err := pairingsOf(t, user, app)
		if err != nil {
			return err
		}
		for _, o := range all {
			node, err := userNode(t, o, operation, s.millis())
			if err != nil {
				return err
			}
			if err := s.setChoice(t, o.pairing, node, twoFactor, lock); err != nil {
				return err
			}
		}
		return s.auditByCommand(ctx, t, "latch.choose", user, changed(map[string]any{"two_factor": twoFactor, "lock_on_request": lock}))
	})
}

// Choose is SetChoice for a signed-in person and one latch: the application's or an operation's. An instance has its
// operation's choice.
func (s *Store) Choose(ctx context.Context, user int64, app string, to Target, twoFactor, lock *bool) error {
	return s.write(ctx, func(t *tx) error {
		_, o, n, err := s.ownNode(t, user, app, Target{OperationID: to.OperationID})
		if err != nil {
			return err
		}
		return s.setChoice(t, o.pairing, n, twoFactor, lock)
	})
}

// ownNode finds one latch of a person.
func (s *Store) ownNode(q source, user int64, app string, to Target) (User, owned, target, error) {
	u, err := userByRow(q, user)
	if err != nil {
		return u, owned{}, target{}, err
	}
	if app == "" {
		return u, owned{}, target{}, fmt.Errorf("%w: %q", ErrNoApplication, app)
	}
	all, err := owns(q, u, app)
	if err != nil {
		return u, owned{}, target{}, err
	}
	n, err := nodeOf(q, all[0], to, s.millis())
	return u, all[0], n, err
}

func (s *Store) setChoice(t *tx, p pairing, node target, twoFactor, lock *bool) (err error) {
	if node.kind == KindApplication {
		err = t.exec(`UPDATE pairings SET two_factor = coalesce(?, two_factor),
			lock_on_request = coalesce(?, lock_on_request) WHERE id = ?`, twoFactor, lock, p.row)
	} else {
		err = t.exec(`INSERT INTO latches (pairing, operation, two_factor, lock_on_request, changed)
			VALUES (?1, ?2, coalesce(?3, 0), coalesce(?4, 0), ?5) ON CONFLICT DO UPDATE SET
			two_factor = coalesce(?3, two_factor), lock_on_request = coalesce(?4, lock_on_request)`,
			p.row, node.row, twoFactor, lock, s.millis())
	}
	if err != nil {
		return err
	}
	return touch(t, p.user)
}

// owned is one pairing of a person.
type owned struct {
	pairing pairing
	app     Application
}

// pairingsOf lists a person's pairings, of one application (by id or name) or of all (app "").
// None is ErrNotPaired.
func pairingsOf(q source, user, app string) ([]owned, error) {
	u, err := findUser(q, user)
	if err != nil {
		return nil, err
	}
	return owns(q, u, app)
}

// owns is pairingsOf for a person who was found already.
func owns(q source, u User, app string) ([]owned, error) {
	var only Application
	var err error
	if app != "" {
		if only, err = findApplication(q, app); err != nil {
			return nil, err
		}
	}
	var list []owned
	err = q.each(func(scan func(...any) error) error {
		var o owned
		p := &o.pairing
		p.user, p.blocked = u.Row, u.Disabled || u.Lost
		err := scan(append(append(o.app.fields(), p.setting.fields()...), &p.row, &p.accountID, &p.chose2FA, &p.choseLock, &p.name, &p.ownName, &p.paired)...)
		p.app = o.app.Row
		list = append(list, o)
		return err
	}, `SELECT `+applicationColumns+`, p.status, p.changed, p.cause, p.until, p.switched, p.schedule, p.scheduled, p.held,
			p.id, p.account_id, p.two_factor, p.lock_on_request, p.common_name, p.own_name, p.paired
		FROM pairings p JOIN applications a ON a.id = p.app
		WHERE p.user = ?1 AND p.unpaired IS NULL AND a.removed IS NULL AND (?2 = 0 OR a.id = ?2) ORDER BY a.name, a.id`,
		u.Row, only.Row)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && app != "" {
		return nil, fmt.Errorf("user %q, application %q: %w", u.Name, app, ErrNotPaired)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("user %q: %w", u.Name, ErrNotPaired)
	}
	return list, nil
}

// setNode opens or closes one node until something changes it, with a line of history, if it reads otherwise now.
func (s *Store) setNode(t *tx, p pairing, n target, open bool, action string, a Attempt) error {
	if n.own.open == open {
		return confirmed(t, p, n)
	}
	if err := s.settle(t, p, &n, s.millis()); err != nil {
		return err
	}
	n.setting = n.setting.byHand(open, s.millis())
	if err := writeSetting(t, p, n); err != nil {
		return err
	}
	return s.record(t, event{
		pairing: p, action: action, what: "status", value: onOff(open), was: onOff(n.own.open), name: n.name, node: n.id, attempt: a,
	})
}

// Accounts returns the state of a person's latches, application by application.
func (s *Store) Accounts(user string) ([]Account, error) {
	all, err := pairingsOf(s.reads, user, "")
	if err != nil {
		return nil, err
	}
	list := make([]Account, 0, len(all))
	for _, o := range all {
		a, err := loadAccount(s.reads, o.app, o.pairing, s.millis())
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}
