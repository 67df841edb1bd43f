package store

import (
	"context"
	"fmt"
)

// Control is an authorization control: a switch of an application that belongs to no person.
type Control struct {
	ID   string
	Name string
	Open bool
}

// AddControl makes a control, open.
func (s *Store) AddControl(ctx context.Context, app Application, name string) (Control, error) {
	c := Control{ID: random(idLen), Name: name, Open: true}
	return c, s.write(ctx, func(t *tx) error {
		if err := checkName("control", name); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO controls (control_id, app, name, created) VALUES (?, ?, ?, ?)`, c.ID, app.Row, name, s.millis()); err != nil {
			return err
		}
		return s.audit(ctx, t, "control.add", name, map[string]string{"application": app.Name})
	})
}

// Controls lists an application's controls.
func (s *Store) Controls(app Application) ([]Control, error) {
	var list []Control
	err := s.reads.each(func(scan func(...any) error) error {
		var c Control
		err := scan(&c.ID, &c.Name, &c.Open)
		list = append(list, c)
		return err
	}, `SELECT control_id, name, status FROM controls WHERE app = ? ORDER BY id`, app.Row)
	return list, err
}

// Control returns one control of an application.
func (s *Store) Control(app Application, id string) (Control, error) {
	c := Control{ID: id}
	err := s.reads.get([]any{&c.Name, &c.Open}, `SELECT name, status FROM controls WHERE control_id = ? AND app = ?`, id, app.Row)
	if isNoRows(err) {
		err = fmt.Errorf("%w: %q", ErrNoControl, id)
	}
	return c, err
}

// SetControl opens or closes a control.
func (s *Store) SetControl(ctx context.Context, app Application, id string, open bool) error {
	return s.changeControl(ctx, "control."+map[bool]string{true: "open", false: "close"}[open], id, `UPDATE controls SET status = ?3 WHERE control_id = ?1 AND app = ?2`, id, app.Row, open)
}

// RemoveControl removes a control.
func (s *Store) RemoveControl(ctx context.Context, app Application, id string) error {
	return s.changeControl(ctx, "control.remove", id, `DELETE FROM controls WHERE control_id = ? AND app = ?`, id, app.Row)
}

func (s *Store) changeControl(ctx context.Context, act, id, statement string, args ...any) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.change(statement, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %q", ErrNoControl, id)
		}
		return s.audit(ctx, t, act, id, nil)
	})
}
