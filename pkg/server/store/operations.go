package store

import (
	"context"
	"fmt"
)

// Operation is a latch below an application's, or below another operation's.
type Operation struct {
	Row       int64
	Parent    int64 // row of the parent operation, 0 for the application itself
	ID        string
	Name      string
	TwoFactor Mode
	LockOnUse Mode
}

// OperationChange holds what to change; nil keeps.
type OperationChange struct {
	Name                 *string
	TwoFactor, LockOnUse *Mode
}

// maxOperations bounds an application's operations: each question reads them all, and whoever holds a host's secret can
// make more.
const maxOperations = 1000

// AddOperation makes an operation under parentID, which is the application's id or an operation's. ErrTooMany beyond
// maxOperations.
func (s *Store) AddOperation(ctx context.Context, app Application, parentID string, o Operation) (Operation, error) {
	o.ID = random(idLen)
	err := s.write(ctx, func(t *tx) error {
		var err error
		if o, err = insertOperation(t, app, parentID, o); err != nil {
			return err
		}
		if err := touch(t, Everybody); err != nil {
			return err
		}
		return s.audit(ctx, t, "operation.add", o.Name, map[string]string{"application": app.Name, "operation_id": o.ID})
	})
	return o, err
}

func insertOperation(t *tx, app Application, parentID string, o Operation) (Operation, error) {
	if err := checkName("operation", o.Name); err != nil {
		return o, err
	}
	var present int
	if err := t.get([]any{&present}, `SELECT count(*) FROM operations WHERE app = ?`, app.Row); err != nil {
		return o, err
	}
	if present >= maxOperations {
		return o, fmt.Errorf("operations of application %q: %w", app.Name, ErrTooMany)
	}
	o.Parent = 0
	if parentID != app.ID {
		parent, err := findOperation(t, app.Row, parentID)
		if err != nil {
			return o, err
		}
		o.Parent = parent.Row
	}
	var err error
	o.Row, err = t.insert(`INSERT INTO operations (op_id, app, parent, name, two_factor, lock_on_request)
		VALUES (?, ?, nullif(?, 0), ?, ?, ?)`, o.ID, app.Row, o.Parent, o.Name, o.TwoFactor, o.LockOnUse)
	return o, err
}

// Operations lists all operations of an application, parents before children.
func (s *Store) Operations(app int64) ([]Operation, error) { return listOperations(s.reads, app) }

func listOperations(q source, app int64) ([]Operation, error) {
	var list []Operation
	err := q.each(func(scan func(...any) error) error {
		var o Operation
		err := scan(&o.Row, &o.Parent, &o.ID, &o.Name, &o.TwoFactor, &o.LockOnUse)
		list = append(list, o)
		return err
	}, `SELECT id, coalesce(parent, 0), op_id, name, two_factor, lock_on_request FROM operations WHERE app = ? ORDER BY id`, app)
	return list, err
}

// Operation finds an operation of an application by id or, failing that, by name.
func (s *Store) Operation(app int64, idOrName string) (Operation, error) {
	return findOperation(s.reads, app, idOrName)
}

func findOperation(q source, app int64, idOrName string) (Operation, error) {
	list, err := listOperations(q, app)
	if err != nil {
		return Operation{}, err
	}
	var named []Operation
	for _, o := range list {
		if o.ID == idOrName {
			return o, nil
		}
		if o.Name == idOrName {
			named = append(named, o)
		}
	}
	switch len(named) {
	case 0:
		return Operation{}, fmt.Errorf("%w: %q", ErrNoOperation, idOrName)
	case 1:
		return named[0], nil
	}
	return Operation{}, fmt.Errorf("operation %q: %w", idOrName, ErrAmbiguous)
}

// ChangeOperation changes what c names.
func (s *Store) ChangeOperation(ctx context.Context, app int64, id string, c OperationChange) error {
	return s.write(ctx, func(t *tx) error {
		if c.Name != nil {
			if err := checkName("operation", *c.Name); err != nil {
				return err
			}
		}
		name, err := operationName(t, app, id)
		if err != nil {
			return err
		}
		err = t.exec(`UPDATE operations SET name = coalesce(?, name), two_factor = coalesce(?, two_factor),
			lock_on_request = coalesce(?, lock_on_request) WHERE app = ? AND op_id = ?`, c.Name, c.TwoFactor, c.LockOnUse, app, id)
		if err != nil {
			return err
		}
		if err := touch(t, Everybody); err != nil {
			return err
		}
		return s.audit(ctx, t, "operation.change", name,
			changed(map[string]any{"name": c.Name, "two_factor": c.TwoFactor, "lock_on_request": c.LockOnUse}))
	})
}

// RemoveOperation removes an operation with everything below it. Its id is never given again, so
// the state that accounts had for it means nothing any more.
func (s *Store) RemoveOperation(ctx context.Context, app int64, id string) error {
	return s.write(ctx, func(t *tx) error {
		name, err := operationName(t, app, id)
		if err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM operations WHERE app = ? AND op_id = ?`, app, id); err != nil {
			return err
		}
		if err := touch(t, Everybody); err != nil {
			return err
		}
		return s.audit(ctx, t, "operation.remove", name, map[string]string{"operation_id": id})
	})
}

func operationName(q source, app int64, id string) (name string, err error) {
	err = q.get([]any{&name}, `SELECT name FROM operations WHERE app = ? AND op_id = ?`, app, id)
	if isNoRows(err) {
		err = fmt.Errorf("%w: %q", ErrNoOperation, id)
	}
	return name, err
}
