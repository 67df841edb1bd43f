package store

import (
	"context"
	"fmt"
	"time"
)

// TokenLife is how long a one-time token may be used.
const TokenLife = 5 * time.Minute

// SetByApplication opens or closes a node as the application's lock and unlock calls do. Opening
// needs the application's open_by_api, else ErrNotAllowed. A blocked person's latches stay closed
// whatever is set.
func (s *Store) SetByApplication(ctx context.Context, app Application, accountID string, to Target, open bool, a Attempt) error {
	return s.write(ctx, func(t *tx) error {
		p, err := findPairing(t, app.Row, accountID)
		if err != nil {
			return err
		}
		tr, err := loadTree(t, app, p)
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

// SetByUser opens or closes latches as the person does on the phone: of one application, or of all
// that the person is paired with when app is "". It returns the names of the applications.
func (s *Store) SetByUser(ctx context.Context, user, app, operation string, open bool) ([]string, error) {
	var names []string
	err := s.write(ctx, func(t *tx) error {
		names = nil
		owned, err := pairingsOf(t, user, app)
		if err != nil {
			return err
		}
		for _, o := range owned {
			node, err := userNode(t, o, operation)
			if err != nil {
				return err
			}
			if err := s.setNode(t, o.pairing, node, open, ActionUser, Attempt{}); err != nil {
				return err
			}
			names = append(names, o.app.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

func userNode(t *tx, o owned, operation string) (target, error) {
	tr, err := loadTree(t, o.app, o.pairing)
	if err != nil {
		return target{}, err
	}
	if operation == "" {
		return tr.find(t, Target{})
	}
	op, err := findOperation(t, o.app.Row, operation)
	if err != nil {
		return target{}, err
	}
	return tr.find(t, Target{OperationID: op.ID})
}

// SetChoice keeps what a person chose for a node whose mode is OPT_IN; nil keeps.
func (s *Store) SetChoice(ctx context.Context, user, app, operation string, twoFactor, lock *bool) error {
	return s.write(ctx, func(t *tx) error {
		all, err := pairingsOf(t, user, app)
		if err != nil {
			return err
		}
		for _, o := range all {
			node, err := userNode(t, o, operation)
			if err != nil {
				return err
			}
			if node.kind == kindApplication {
				err = t.exec(`UPDATE pairings SET two_factor = coalesce(?, two_factor),
					lock_on_request = coalesce(?, lock_on_request) WHERE id = ?`, twoFactor, lock, o.pairing.row)
			} else {
				err = t.exec(`INSERT INTO latches (pairing, operation, two_factor, lock_on_request, changed)
					VALUES (?1, ?2, coalesce(?3, 0), coalesce(?4, 0), ?5) ON CONFLICT DO UPDATE SET
					two_factor = coalesce(?3, two_factor), lock_on_request = coalesce(?4, lock_on_request)`,
					o.pairing.row, node.row, twoFactor, lock, s.millis())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
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
	var only Application
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
		err := scan(append(o.app.fields(), &p.row, &p.accountID, &p.on, &p.chose2FA, &p.choseLock, &p.name, &p.paired, &p.changed)...)
		p.app = o.app.Row
		list = append(list, o)
		return err
	}, `SELECT `+applicationColumns+`, p.id, p.account_id, p.status, p.two_factor, p.lock_on_request, p.common_name,
			p.paired, p.changed
		FROM pairings p JOIN applications a ON a.id = p.app
		WHERE p.user = ?1 AND p.unpaired IS NULL AND a.removed IS NULL AND (?2 = 0 OR a.id = ?2) ORDER BY a.name, a.id`,
		u.Row, only.Row)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && app != "" {
		return nil, fmt.Errorf("user %q, application %q: %w", user, app, ErrNotPaired)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("user %q: %w", user, ErrNotPaired)
	}
	return list, nil
}

// setNode writes the state of one node, with a line of history if it changes anything.
func (s *Store) setNode(t *tx, p pairing, n target, open bool, action string, a Attempt) error {
	if n.on == open {
		return nil
	}
	now := s.millis()
	var err error
	switch n.kind {
	case kindApplication:
		err = t.exec(`UPDATE pairings SET status = ?, changed = ? WHERE id = ?`, open, now, p.row)
	case kindOperation:
		err = t.exec(`INSERT INTO latches (pairing, operation, status, changed) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET status = excluded.status, changed = excluded.changed`, p.row, n.row, open, now)
	case kindInstance:
		err = t.exec(`UPDATE instances SET status = ?, changed = ? WHERE id = ?`, open, now, n.row)
	}
	if err != nil {
		return err
	}
	return s.record(t, event{
		pairing: p, action: action, what: "status", value: onOff(open), was: onOff(n.on), name: n.name, node: n.id, attempt: a,
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
		a, err := loadAccount(s.reads, o.app, o.pairing)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// Token is a live one-time token, as the phone shows it.
type Token struct {
	App, Node, Token, Message string
	Made, Expires             int64
}

// Tokens lists a person's live one-time tokens, oldest first.
func (s *Store) Tokens(user string) ([]Token, error) {
	u, err := findUser(s.reads, user)
	if err != nil {
		return nil, err
	}
	var list []Token
	now := s.millis()
	err = s.reads.each(func(scan func(...any) error) error {
		var k Token
		var row int64
		var sealed []byte
		if err := scan(&row, &k.App, &k.Node, &sealed, &k.Message, &k.Made); err != nil {
			return err
		}
		plain, err := s.box.Open(sealed, tokenAD(row))
		k.Token, k.Expires = string(plain), k.Made+TokenLife.Milliseconds()
		list = append(list, k)
		return err
	}, `SELECT k.id, a.name, k.node, k.sealed, k.message, k.made FROM pairings p
		JOIN tokens k ON k.pairing = p.id JOIN applications a ON a.id = p.app
		WHERE p.user = ? AND k.made > ? AND k.made <= ? ORDER BY k.id`, u.Row, now-TokenLife.Milliseconds(), now+TokenLife.Milliseconds())
	return list, err
}
