package store

import (
	"context"
	"time"
)

// What a one-time link is for.
const (
	LinkInvite = "invite" // a new person chooses a password
	LinkReset  = "reset"  // a person chooses a new password
)

// Lives of links.
const (
	InviteLife = 7 * 24 * time.Hour
	ResetLife  = 24 * time.Hour
)

// LinkReplaceFactors as a reset link's data says that the second factors and passkeys of before go when the link is used.
const LinkReplaceFactors = "factors"

// Link is a one-time link that was found by what its address carries.
type Link struct {
	Row     int64
	Purpose string
	User    int64 // 0 = nobody's
	Data    string
	Created int64
	Expires int64
}

// NewLink makes a link for one use and returns what its address carries. A person's earlier links for the same purpose are void
// from then on, and a link for a new password ends at once what a reset ends.
func (s *Store) NewLink(ctx context.Context, l Link, life time.Duration) (ticket string, expires time.Time, err error) {
	err = s.write(ctx, func(t *tx) error {
		if l.Purpose == LinkReset && l.User != 0 {
			if err := reset(t, l.User, 0, s.millis()); err != nil {
				return err
			}
		}
		if ticket, expires, err = s.newLink(t, l, life); err != nil || l.User == 0 {
			return err
		}
		return s.auditPerson(ctx, t, "link.make", l.User, map[string]string{"purpose": l.Purpose})
	})
	return ticket, expires, err
}

func (s *Store) newLink(t *tx, l Link, life time.Duration) (ticket string, expires time.Time, err error) {
	if l.User != 0 {
		if err := t.exec(`DELETE FROM links WHERE user = ? AND purpose = ?`, l.User, l.Purpose); err != nil {
			return "", time.Time{}, err
		}
	}
	ticket, digest := newTicket()
	expires = s.now().Add(life).UTC()
	return ticket, expires, t.exec(`INSERT INTO links (digest, purpose, user, data, created, expires) VALUES (?, ?, ?, ?, ?, ?)`,
		digest, l.Purpose, l.User, l.Data, s.millis(), expires.UnixMilli())
}

// Link looks at a link without using it up. One that is unknown, used or expired is ErrLinkSpent, and so is one whose person
// is gone.
func (s *Store) Link(ticket string) (Link, error) { return s.findLink(s.reads, ticket) }

func (s *Store) findLink(q source, ticket string) (Link, error) {
	var l Link
	err := q.get([]any{&l.Row, &l.Purpose, &l.User, &l.Data, &l.Created, &l.Expires},
		`SELECT l.id, l.purpose, l.user, l.data, l.created, l.expires FROM links l LEFT JOIN users u ON u.id = l.user
		WHERE l.digest = ? AND u.removed IS NULL AND u.disabled IS NULL`, ticketDigest(ticket))
	if isNoRows(err) || err == nil && !s.lives(l.Created, l.Expires) {
		return Link{}, ErrLinkSpent
	}
	return l, err
}

// TakeLink uses a link up. Of two who try at once one gets ErrLinkSpent.
func (s *Store) TakeLink(ctx context.Context, ticket, purpose string) (l Link, err error) {
	err = s.write(ctx, func(t *tx) error {
		l, err = s.takeLink(t, ticket, purpose)
		return err
	})
	return l, err
}

func (s *Store) takeLink(t *tx, ticket, purpose string) (Link, error) {
	l, err := s.findLink(t, ticket)
	if err != nil {
		return Link{}, err
	}
	if l.Purpose != purpose {
		return Link{}, ErrLinkSpent
	}
	return l, t.exec(`DELETE FROM links WHERE id = ?`, l.Row)
}

// SetPasswordByLink uses a link up, keeps the password that its person chose, ends their sessions and brings them back if they
// had lost their phone. The latches stay as they are.
func (s *Store) SetPasswordByLink(ctx context.Context, ticket, purpose, phc string) (user int64, err error) {
	err = s.write(ctx, func(t *tx) error {
		l, err := s.takeLink(t, ticket, purpose)
		if err != nil {
			return err
		}
		user = l.User
		if l.Data == LinkReplaceFactors {
			if err := forgetFactors(t, user); err != nil {
				return err
			}
		}
		if err := s.comeBack(t, user, phc); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "link.use", user, map[string]string{"purpose": purpose})
	})
	return user, err
}

// comeBack gives a person a new password and ends what was there before.
func (s *Store) comeBack(t *tx, user int64, phc string) error {
	if err := t.exec(`UPDATE users SET lost = NULL WHERE id = ?`, user); err != nil {
		return err
	}
	if err := forgetUnpaired(t, user); err != nil {
		return err
	}
	return s.setPassword(t, user, phc, 0)
}
