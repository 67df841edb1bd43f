package store

import (
	"context"
	"fmt"
	"strings"
)

// Role says what a person may do at the pages.
type Role int8

// The roles, as stored.
const (
	RolePerson  Role = iota // uses their own latches
	RoleAuditor             // reads the panel
	RoleAdmin               // changes things there
)

// roleWords are the words of the command line and of the pages.
var roleWords = []string{"person", "auditor", "admin"}

// String returns the role's word.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleWords) {
		return roleWords[0]
	}
	return roleWords[r]
}

// ParseRole reads person, auditor or admin.
func ParseRole(word string) (Role, error) {
	for i, w := range roleWords {
		if w == word {
			return Role(i), nil
		}
	}
	return RolePerson, fmt.Errorf("role %q is none of %s", word, strings.Join(roleWords, ", "))
}

// ProfileChange names what to change about a person; nil keeps.
type ProfileChange struct {
	DisplayName, Language, Email *string
	TimeZone                     *string // IANA name; "" is UTC
	Role                         *Role
}

// Label is the name that the pages show: the display name, or the login name where there is none.
func (u User) Label() string {
	if u.DisplayName != "" {
		return u.DisplayName
	}
	return u.Name
}

// UserByRow finds a person by row.
func (s *Store) UserByRow(row int64) (User, error) { return userByRow(s.reads, row) }

func userByRow(q source, row int64) (User, error) {
	var u User
	err := q.get(u.fields(), `SELECT `+userColumns+` FROM users u WHERE u.id = ? AND u.removed IS NULL`, row)
	if isNoRows(err) {
		err = ErrNoUser
	}
	return u, err
}

// ChangeProfile changes what is known about a person. Taking the last admin's role away is
// ErrLastAdmin.
func (s *Store) ChangeProfile(ctx context.Context, user int64, ch ProfileChange) error {
	return s.write(ctx, func(t *tx) error {
		u, err := userByRow(t, user)
		if err != nil {
			return err
		}
		if ch.DisplayName != nil && *ch.DisplayName != "" {
			if err := checkName("display", *ch.DisplayName); err != nil {
				return err
			}
		}
		if ch.Role != nil && *ch.Role != RoleAdmin {
			if err := lastAdminStays(t, u); err != nil {
				return err
			}
		}
		err = t.exec(`UPDATE users SET display_name = coalesce(?, display_name), language = coalesce(?, language),
			email = coalesce(?, email), time_zone = coalesce(?, time_zone), role = coalesce(?, role) WHERE id = ?`,
			ch.DisplayName, ch.Language, ch.Email, ch.TimeZone, ch.Role, user)
		if err != nil {
			return err
		}
		return s.audit(ctx, t, "person.change", u.Name, ch.detail())
	})
}

// detail says what a change was, for the audit log.
func (ch ProfileChange) detail() map[string]string {
	d := map[string]string{}
	for name, value := range map[string]*string{"name": ch.DisplayName, "language": ch.Language, "email": ch.Email, "time_zone": ch.TimeZone} {
		if value != nil {
			d[name] = *value
		}
	}
	if ch.Role != nil {
		d["role"] = ch.Role.String()
	}
	return d
}

// auditPerson is audit for an act that was done to a person.
func (s *Store) auditPerson(ctx context.Context, t *tx, act string, user int64, detail map[string]string) error {
	u, err := userByRow(t, user)
	if err != nil {
		return err
	}
	if err := s.noticeAccess(ctx, t, u, act, 0); err != nil {
		return err
	}
	return s.audit(ctx, t, act, u.Name, detail)
}

// lastAdminStays fails with ErrLastAdmin when u is an admin and nobody else could administer.
func lastAdminStays(q source, u User) error {
	if u.Role != RoleAdmin || u.Disabled {
		return nil
	}
	var others int
	err := q.get([]any{&others}, `SELECT count(*) FROM users WHERE role = ? AND id != ? AND disabled IS NULL AND removed IS NULL`,
		RoleAdmin, u.Row)
	if err == nil && others == 0 {
		err = ErrLastAdmin
	}
	return err
}

// SetWelcomed notes that a person has been through the first run.
func (s *Store) SetWelcomed(ctx context.Context, user int64) error {
	return s.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE users SET welcomed = ? WHERE id = ? AND welcomed IS NULL`, s.millis(), user)
	})
}

// Password returns the stored hash of a person's password, "" where there is none.
func (s *Store) Password(user int64) (phc string, err error) {
	err = s.reads.get([]any{&phc}, `SELECT phc FROM passwords WHERE user = ?`, user)
	if isNoRows(err) {
		return "", nil
	}
	return phc, err
}

// SetPassword keeps the hash of a new password. Every session but keep (its row; 0 keeps none) ends, with recovery codes, links
// and known browsers.
func (s *Store) SetPassword(ctx context.Context, user int64, phc string, keep int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := s.setPassword(t, user, phc, keep); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "password.change", user, nil)
	})
}

func (s *Store) setPassword(t *tx, user int64, phc string, keep int64) error {
	if err := reset(t, user, keep, s.millis()); err != nil {
		return err
	}
	return t.exec(`INSERT INTO passwords (user, phc, changed) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET phc = excluded.phc, changed = excluded.changed`, user, phc, s.millis())
}

// Rehash replaces a password's hash by a stronger one of the same password, unless it was changed meanwhile.
func (s *Store) Rehash(ctx context.Context, user int64, old, phc string) error {
	return s.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE passwords SET phc = ? WHERE user = ? AND phc = ?`, phc, user, old)
	})
}

// Factors is what a person can show to prove who they are.
type Factors struct {
	Password      bool
	Authenticator bool // an authenticator app as the second step
	Passkeys      int
	RecoveryLeft  int
	RecoveryMade  int64 // when the recovery codes were made, in milliseconds since 1970 UTC; 0 where that is unknown
}

// Second reports whether signing in by password needs a second step.
func (f Factors) Second() bool { return f.Authenticator || f.Passkeys > 0 }

// Factors counts what a person has enrolled.
func (s *Store) Factors(user int64) (Factors, error) {
	var f Factors
	err := s.reads.get([]any{&f.Password, &f.Authenticator, &f.Passkeys, &f.RecoveryLeft, &f.RecoveryMade}, `SELECT
		EXISTS (SELECT 1 FROM passwords WHERE user = ?1),
		EXISTS (SELECT 1 FROM second_steps WHERE user = ?1),
		(SELECT count(*) FROM passkeys WHERE user = ?1),
		(SELECT count(*) FROM recovery_codes WHERE user = ?1 AND used IS NULL),
		(SELECT coalesce(max(created), 0) FROM recovery_codes WHERE user = ?1)`, user)
	return f, err
}
