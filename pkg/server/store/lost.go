package store

import (
	"context"
	"errors"
)

// endings take a person's way in away at once: what a lost phone, a disabled and a removed person have in common. Areas that
// keep something by which a device reaches a person, or a person the pages, add theirs.
var endings = []string{
	`DELETE FROM codes WHERE user = ?`,
	`DELETE FROM sessions WHERE user = ?`,
	`DELETE FROM steps WHERE user = ?`,
	`DELETE FROM known_browsers WHERE user = ?`,
	`DELETE FROM links WHERE user = ?`,
	`DELETE FROM switches WHERE user = ?`,
	`DELETE FROM notice_channels WHERE user = ? AND kind = 'push'`,
}

func shutOut(t *tx, user int64) error {
	for _, statement := range endings {
		if err := t.exec(statement, user); err != nil {
			return err
		}
	}
	return touch(t, user)
}

// forgetFactors forgets what a person signs in with, here and at hosts that ask for a code, recovery codes apart.
func forgetFactors(t *tx, user int64) error {
	for _, statement := range []string{
		`DELETE FROM passkeys WHERE user = ?`,
		`DELETE FROM second_steps WHERE user = ?`,
		`DELETE FROM own_totps WHERE user = ?`,
	} {
		if err := t.exec(statement, user); err != nil {
			return err
		}
	}
	return nil
}

// forgetProofs forgets what would bring a person back, and what only they could read.
func forgetProofs(t *tx, user int64) error {
	if err := t.exec(`DELETE FROM vaults WHERE user = ?`, user); err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM recovery_codes WHERE user = ?`, user); err != nil {
		return err
	}
	return t.exec(`DELETE FROM passwords WHERE user = ?`, user)
}

// LosePhone is "I lost this phone": it closes every latch of a person, ends their sessions, links and devices, and forgets
// passkeys and the authenticator, in one transaction. From then on only a recovery code or an admin's link signs them in.
func (s *Store) LosePhone(ctx context.Context, user int64, a Attempt) error {
	a.Way = WayLost
	return s.write(ctx, func(t *tx) error {
		u, err := userByRow(t, user)
		if err != nil {
			return err
		}
		owned, err := pairingsOf(t, u.Name, "")
		if err != nil && !errors.Is(err, ErrNotPaired) {
			return err
		}
		if _, err := s.turn(t, owned, Switch{User: user, Hold: true, Attempt: a}); err != nil {
			return err
		}
		if err := shutOut(t, user); err != nil {
			return err
		}
		if err := forgetFactors(t, user); err != nil {
			return err
		}
		if err := t.exec(`UPDATE users SET lost = ? WHERE id = ?`, s.millis(), user); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "phone.lose", user, nil)
	})
}

// ComeBack brings a person back who lost their phone and showed a recovery code, with a new password. The latches stay closed.
func (s *Store) ComeBack(ctx context.Context, user int64, phc string) error {
	return s.write(ctx, func(t *tx) error {
		if err := s.comeBack(t, user, phc); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "person.come_back", user, nil)
	})
}
