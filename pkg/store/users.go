package store

import (
	"context"
	"fmt"
)

// User is a person with latches.
type User struct {
	Row      int64
	Name     string
	Created  int64
	Disabled bool
	Pairings int
}

// AddUser makes a person. The name of a removed person may be given again: the newcomer inherits
// nothing.
func (s *Store) AddUser(ctx context.Context, name string) (User, error) {
	u := User{Name: name, Created: s.millis()}
	err := s.write(ctx, func(t *tx) error {
		if err := checkName("user", name); err != nil {
			return err
		}
		if _, err := findUser(t, name); err == nil {
			return fmt.Errorf("user %q: %w", name, ErrExists)
		}
		var err error
		u.Row, err = t.insert(`INSERT INTO users (name, created) VALUES (?, ?)`, name, u.Created)
		if err != nil {
			return err
		}
		return s.audit(ctx, t, "person.add", name, nil)
	})
	return u, err
}

// User finds a person by name.
func (s *Store) User(name string) (User, error) { return findUser(s.reads, name) }

func findUser(q source, name string) (User, error) {
	u := User{Name: name}
	err := q.get([]any{&u.Row, &u.Created, &u.Disabled},
		`SELECT id, created, disabled IS NOT NULL FROM users WHERE name = ? AND removed IS NULL`, name)
	if isNoRows(err) {
		err = fmt.Errorf("%w: %q", ErrNoUser, name)
	}
	return u, err
}

// Users lists everybody by name, with the number of pairings.
func (s *Store) Users() ([]User, error) {
	var list []User
	err := s.reads.each(func(scan func(...any) error) error {
		var u User
		err := scan(&u.Row, &u.Name, &u.Created, &u.Disabled, &u.Pairings)
		list = append(list, u)
		return err
	}, `SELECT id, name, created, disabled IS NOT NULL,
			(SELECT count(*) FROM pairings p JOIN applications a ON a.id = p.app
			WHERE p.user = users.id AND p.unpaired IS NULL AND a.removed IS NULL)
		FROM users WHERE removed IS NULL ORDER BY name`)
	return list, err
}

// SetUserDisabled closes all latches of a person, or gives them back as they were. Accounts that
// were unpaired in between are forgotten when the person comes back.
func (s *Store) SetUserDisabled(ctx context.Context, name string, disabled bool) error {
	return s.write(ctx, func(t *tx) error {
		u, err := findUser(t, name)
		if err != nil || u.Disabled == disabled {
			return err
		}
		if disabled {
			if err := t.exec(`UPDATE users SET disabled = ? WHERE id = ?`, s.millis(), u.Row); err != nil {
				return err
			}
			if err := t.exec(`DELETE FROM codes WHERE user = ?`, u.Row); err != nil {
				return err
			}
			return s.audit(ctx, t, "person.disable", name, nil)
		}
		if err := t.exec(`UPDATE users SET disabled = NULL WHERE id = ?`, u.Row); err != nil {
			return err
		}
		var gone []int64
		err = t.each(func(scan func(...any) error) error {
			var row int64
			err := scan(&row)
			gone = append(gone, row)
			return err
		}, `SELECT id FROM pairings WHERE user = ? AND unpaired IS NOT NULL`, u.Row)
		for i := 0; err == nil && i < len(gone); i++ {
			err = deletePairing(t, gone[i])
		}
		if err != nil {
			return err
		}
		return s.audit(ctx, t, "person.enable", name, nil)
	})
}

// RemoveUser closes all latches of a person for ever. The hosts go on asking about the accounts, and
// "not paired" could open there; "closed" cannot.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	return s.write(ctx, func(t *tx) error {
		u, err := findUser(t, name)
		if err != nil {
			return err
		}
		if err := t.exec(`UPDATE users SET removed = ? WHERE id = ?`, s.millis(), u.Row); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM codes WHERE user = ?`, u.Row); err != nil {
			return err
		}
		return s.audit(ctx, t, "person.remove", name, nil)
	})
}
