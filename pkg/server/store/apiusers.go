package store

import (
	"context"
	"fmt"
	"strconv"
)

// APIUser may make and change applications of its own through the user API.
type APIUser struct {
	Row     int64
	ID      string // 20 characters
	Name    string
	Created int64
}

func apiUserAD(row int64) []byte { return []byte("api_users:" + strconv.FormatInt(row, 10)) }

// AddAPIUser makes one and returns its secret, which is kept sealed.
func (s *Store) AddAPIUser(ctx context.Context, name string) (APIUser, string, error) {
	u := APIUser{ID: random(idLen), Name: name, Created: s.millis()}
	secret := random(secretLen)
	err := s.write(ctx, func(t *tx) error {
		if err := checkName("api user", name); err != nil {
			return err
		}
		var taken int
		if err := t.get([]any{&taken}, `SELECT count(*) FROM api_users WHERE name = ?`, name); err != nil {
			return err
		}
		if taken > 0 {
			return fmt.Errorf("api user %q: %w", name, ErrExists)
		}
		var err error
		u.Row, err = t.insert(`INSERT INTO api_users (user_id, name, sealed, created) VALUES (?, ?, x'', ?)`, u.ID, name, u.Created)
		if err != nil {
			return err
		}
		if err := t.exec(`UPDATE api_users SET sealed = ? WHERE id = ?`, s.box.Seal([]byte(secret), apiUserAD(u.Row)), u.Row); err != nil {
			return err
		}
		return s.audit(ctx, t, "api-user.add", name, map[string]string{"user_id": u.ID})
	})
	if err != nil {
		return APIUser{}, "", err
	}
	return u, secret, nil
}

// APIUserCredential finds an API user and its secret by id.
func (s *Store) APIUserCredential(id string) (APIUser, string, error) {
	u := APIUser{ID: id}
	var sealed []byte
	err := s.reads.get([]any{&u.Row, &u.Name, &sealed, &u.Created}, `SELECT id, name, sealed, created FROM api_users WHERE user_id = ?`, id)
	if isNoRows(err) {
		return APIUser{}, "", fmt.Errorf("%w: %q", ErrNoAPIUser, id)
	}
	if err != nil {
		return APIUser{}, "", err
	}
	plain, err := s.box.Open(sealed, apiUserAD(u.Row))
	if err != nil {
		return APIUser{}, "", fmt.Errorf("secret of api user %q: %w", id, err)
	}
	return u, string(plain), nil
}

// APIUsers lists them by name.
func (s *Store) APIUsers() ([]APIUser, error) {
	var list []APIUser
	err := s.reads.each(func(scan func(...any) error) error {
		var u APIUser
		err := scan(&u.Row, &u.ID, &u.Name, &u.Created)
		list = append(list, u)
		return err
	}, `SELECT id, user_id, name, created FROM api_users ORDER BY name`)
	return list, err
}

// RemoveAPIUser removes one; its applications go on without an owner.
func (s *Store) RemoveAPIUser(ctx context.Context, name string) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.exec(`UPDATE applications SET owner = NULL WHERE owner = (SELECT id FROM api_users WHERE name = ?)`, name); err != nil {
			return err
		}
		n, err := t.change(`DELETE FROM api_users WHERE name = ?`, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %q", ErrNoAPIUser, name)
		}
		return s.audit(ctx, t, "api-user.remove", name, nil)
	})
}

// Usage counts what the subscription call reports: an API user's applications and, for each, its
// operations and people.
type Usage struct {
	Applications, Users int
	Operations          map[string]int // application name -> operations
}

// Usage counts what belongs to an API user.
func (s *Store) Usage(owner int64) (Usage, error) {
	u := Usage{Operations: map[string]int{}}
	err := s.reads.get([]any{&u.Users}, `SELECT count(DISTINCT p.user) FROM pairings p JOIN applications a ON a.id = p.app
		WHERE a.owner = ? AND a.removed IS NULL AND p.unpaired IS NULL`, owner)
	if err != nil {
		return Usage{}, err
	}
	err = s.reads.each(func(scan func(...any) error) error {
		var name string
		var n int
		err := scan(&name, &n)
		u.Operations[name] = n
		u.Applications++
		return err
	}, `SELECT a.name, (SELECT count(*) FROM operations o WHERE o.app = a.id) FROM applications a
		WHERE a.owner = ? AND a.removed IS NULL`, owner)
	return u, err
}
