package store

import (
	"context"
	"fmt"
)

// User is a person with latches.
type User struct {
	Row         int64
	Name        string // what they sign in as
	Created     int64
	Disabled    bool
	Role        Role
	DisplayName string // "" = the name
	Language    string // a BCP 47 tag that the pages have; "" = what the browser asks for
	Email       string // for notices; "" = none
	Lost        bool   // they lost their phone and have not come back
	Welcomed    bool   // they have been through the first run
	CodesDue    bool   // a reset ended the recovery codes, and new ones were not handed out yet
	TimeZone    string // IANA name, for times in notices; "" = UTC
	Pairings    int    // only in Users
}

// userColumns are what fields scans, of users u.
const userColumns = `u.id, u.name, u.created, u.disabled IS NOT NULL, u.role, u.display_name, u.language, u.email,
	u.lost IS NOT NULL, u.welcomed IS NOT NULL, u.codes_due, u.time_zone`

func (u *User) fields() []any {
	return []any{&u.Row, &u.Name, &u.Created, &u.Disabled, &u.Role, &u.DisplayName, &u.Language, &u.Email, &u.Lost, &u.Welcomed, &u.CodesDue, &u.TimeZone}
}

// AddUser makes a person. The name of a removed person may be given again: the newcomer inherits
// nothing.
func (s *Store) AddUser(ctx context.Context, name string) (User, error) {
	var u User
	err := s.write(ctx, func(t *tx) (err error) {
		u, err = s.insertUser(ctx, t, name)
		return err
	})
	return u, err
}

func (s *Store) insertUser(ctx context.Context, t *tx, name string) (User, error) {
	u := User{Name: name, Created: s.millis()}
	if err := checkName("user", name); err != nil {
		return u, err
	}
	if _, err := findUser(t, name); err == nil {
		return u, fmt.Errorf("user %q: %w", name, ErrExists)
	}
	var err error
	if u.Row, err = t.insert(`INSERT INTO users (name, created) VALUES (?, ?)`, name, u.Created); err != nil {
		return u, err
	}
	return u, s.audit(ctx, t, "person.add", name, nil)
}

// User finds a person by name.
func (s *Store) User(name string) (User, error) { return findUser(s.reads, name) }

func findUser(q source, name string) (User, error) {
	var u User
	err := q.get(u.fields(), `SELECT `+userColumns+` FROM users u WHERE u.name = ? AND u.removed IS NULL`, name)
	if isNoRows(err) {
		err = fmt.Errorf("%w: %q", ErrNoUser, name)
	}
	return u, err
}

// pairingsOfUser counts the pairings of users u.
const pairingsOfUser = `(SELECT count(*) FROM pairings p JOIN applications a ON a.id = p.app
	WHERE p.user = u.id AND p.unpaired IS NULL AND a.removed IS NULL)`

// Users lists everybody by name, with the number of pairings.
func (s *Store) Users() ([]User, error) {
	var list []User
	err := s.reads.each(func(scan func(...any) error) error {
		var u User
		err := scan(append(u.fields(), &u.Pairings)...)
		list = append(list, u)
		return err
	}, `SELECT `+userColumns+`, `+pairingsOfUser+` FROM users u WHERE u.removed IS NULL ORDER BY u.name`)
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
			if err := lastAdminStays(t, u); err != nil {
				return err
			}
			if err := t.exec(`UPDATE users SET disabled = ? WHERE id = ?`, s.millis(), u.Row); err != nil {
				return err
			}
			if err := shutOut(t, u.Row); err != nil {
				return err
			}
			if err := s.recordAccount(t, u.Row, "disabled"); err != nil {
				return err
			}
			return s.audit(ctx, t, "person.disable", name, nil)
		}
		if err := t.exec(`UPDATE users SET disabled = NULL WHERE id = ?`, u.Row); err != nil {
			return err
		}
		if err := forgetUnpaired(t, u.Row); err != nil {
			return err
		}
		if err := s.recordAccount(t, u.Row, "enabled"); err != nil {
			return err
		}
		return s.audit(ctx, t, "person.enable", name, nil)
	})
}

// forgetUnpaired forgets the accounts that were unpaired while their person was blocked.
func forgetUnpaired(t *tx, user int64) error {
	var gone []int64
	err := t.each(func(scan func(...any) error) error {
		var row int64
		err := scan(&row)
		gone = append(gone, row)
		return err
	}, `SELECT id FROM pairings WHERE user = ? AND unpaired IS NOT NULL`, user)
	for i := 0; err == nil && i < len(gone); i++ {
		err = deletePairing(t, gone[i])
	}
	return err
}

// RemoveUser closes all latches of a person for ever. The hosts go on asking about the accounts, and
// "not paired" could open there; "closed" cannot.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	return s.write(ctx, func(t *tx) error {
		u, err := findUser(t, name)
		if err != nil {
			return err
		}
		if err := lastAdminStays(t, u); err != nil {
			return err
		}
		if err := t.exec(`UPDATE users SET removed = ? WHERE id = ?`, s.millis(), u.Row); err != nil {
			return err
		}
		for _, forget := range []func(*tx, int64) error{shutOut, forgetFactors, forgetProofs, forgetNotices} {
			if err := forget(t, u.Row); err != nil {
				return err
			}
		}
		return s.audit(ctx, t, "person.remove", name, nil)
	})
}
