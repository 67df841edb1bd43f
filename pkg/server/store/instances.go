package store

import (
	"context"
	"fmt"
)

// Instance is a latch of one account only, below the application or an operation.
type Instance struct {
	ID        string
	Name      string
	TwoFactor Mode
	LockOnUse Mode
}

// maxInstances bounds the instances of one account: its person's page shows them all, and whoever holds a host's secret can
// make more.
const maxInstances = 1000

// inParent runs fn with the account and the row of the node that instances hang on.
func (s *Store) inParent(ctx context.Context, app Application, accountID, operationID string, fn func(*tx, pairing, int64) error) error {
	return s.write(ctx, func(t *tx) error {
		p, parent, err := instanceParent(t, app, accountID, operationID)
		if err != nil {
			return err
		}
		if err := fn(t, p, parent); err != nil {
			return err
		}
		return touch(t, p.user)
	})
}

func instanceParent(q source, app Application, accountID, operationID string) (pairing, int64, error) {
	p, err := findPairing(q, app.Row, accountID)
	if err != nil || operationID == "" || operationID == app.ID {
		return p, 0, err
	}
	op, err := findOperation(q, app.Row, operationID)
	return p, op.Row, err
}

// AddInstances makes an instance for each name and returns them in the same order. ErrTooMany beyond maxInstances.
func (s *Store) AddInstances(ctx context.Context, app Application, accountID, operationID string, names []string) ([]Instance, error) {
	var list []Instance
	err := s.inParent(ctx, app, accountID, operationID, func(t *tx, p pairing, parent int64) error {
		list = nil
		var present int
		if err := t.get([]any{&present}, `SELECT count(*) FROM instances WHERE pairing = ?`, p.row); err != nil {
			return err
		}
		if present+len(names) > maxInstances {
			return fmt.Errorf("instances of one account: %w", ErrTooMany)
		}
		for _, name := range names {
			if err := checkName("instance", name); err != nil {
				return err
			}
			i := Instance{ID: random(idLen), Name: name}
			_, err := t.insert(`INSERT INTO instances (instance_id, pairing, operation, name, changed) VALUES (?, ?, ?, ?, ?)`,
				i.ID, p.row, parent, name, s.millis())
			if err != nil {
				return err
			}
			list = append(list, i)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Instances lists the instances of an account under the application or one operation.
func (s *Store) Instances(app Application, accountID, operationID string) ([]Instance, error) {
	p, parent, err := instanceParent(s.reads, app, accountID, operationID)
	if err != nil {
		return nil, err
	}
	var list []Instance
	err = s.reads.each(func(scan func(...any) error) error {
		var i Instance
		err := scan(&i.ID, &i.Name, &i.TwoFactor, &i.LockOnUse)
		list = append(list, i)
		return err
	}, `SELECT instance_id, name, two_factor, lock_on_request FROM instances WHERE pairing = ? AND operation = ? ORDER BY id`, p.row, parent)
	return list, err
}

// ChangeInstance changes what c names.
func (s *Store) ChangeInstance(ctx context.Context, app Application, accountID, operationID, id string, c OperationChange) error {
	return s.inParent(ctx, app, accountID, operationID, func(t *tx, p pairing, parent int64) error {
		if c.Name != nil {
			if err := checkName("instance", *c.Name); err != nil {
				return err
			}
		}
		n, err := t.change(`UPDATE instances SET name = coalesce(?, name), two_factor = coalesce(?, two_factor),
			lock_on_request = coalesce(?, lock_on_request)
			WHERE instance_id = ? AND pairing = ? AND operation = ?`,
			c.Name, c.TwoFactor, c.LockOnUse, id, p.row, parent)
		return oneInstance(n, err, id)
	})
}

// RemoveInstance removes an instance.
func (s *Store) RemoveInstance(ctx context.Context, app Application, accountID, operationID, id string) error {
	return s.inParent(ctx, app, accountID, operationID, func(t *tx, p pairing, parent int64) error {
		n, err := t.change(`DELETE FROM instances WHERE instance_id = ? AND pairing = ? AND operation = ?`, id, p.row, parent)
		return oneInstance(n, err, id)
	})
}

func oneInstance(n int64, err error, id string) error {
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: %q", ErrNoInstance, id)
	}
	return err
}
