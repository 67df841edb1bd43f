package store

import "context"

// resets end every way in that existed before a person's access was renewed, by a new password, a first second factor, an
// admin's reset, a return after a lost phone or a restored backup. Passkeys, the authenticator and receivers stay: the owner
// looks through those (see Added).
var resets = []string{
	`DELETE FROM recovery_codes WHERE user = ?`,
	`DELETE FROM known_browsers WHERE user = ?`,
	`DELETE FROM links WHERE user = ?`,
	`DELETE FROM steps WHERE user = ?`,
	`DELETE FROM codes WHERE user = ?`,
	// The first run hands out codes by itself, and the first password ends nothing.
	`UPDATE users SET codes_due = 1 WHERE id = ? AND welcomed IS NOT NULL AND EXISTS (SELECT 1 FROM passwords WHERE user = users.id)`,
}

// reset ends what existed before now, except the session keep (its row; 0 keeps none).
func reset(t *tx, user, keep, now int64) error {
	if err := t.exec(`UPDATE users SET reset_at = ? WHERE id = ?`, now, user); err != nil {
		return err
	}
	for _, statement := range resets {
		if err := t.exec(statement, user); err != nil {
			return err
		}
	}
	return endSessions(t, user, keep)
}

// resetAtFirstFactor is reset for a person who has no second factor yet: the sessions of before showed less.
func resetAtFirstFactor(t *tx, user, keep, now int64) error {
	var second bool
	err := t.get([]any{&second}, `SELECT EXISTS (SELECT 1 FROM second_steps WHERE user = ?1) OR EXISTS (SELECT 1 FROM passkeys WHERE user = ?1)`, user)
	if err != nil || second {
		return err
	}
	return reset(t, user, keep, now)
}

// resetEverybody is reset for all people, and ends what else a backup holds that works once: tokens, pairing requests and
// notices that wait.
func (s *Store) resetEverybody(ctx context.Context) error {
	return s.write(ctx, func(t *tx) error {
		for _, table := range []string{"sessions", "recovery_codes", "known_browsers", "links", "steps", "codes", "tokens", "pair_requests", "outbox"} {
			if err := t.exec(`DELETE FROM ` + table); err != nil {
				return err
			}
		}
		if err := t.exec(`UPDATE users SET codes_due = 1 WHERE removed IS NULL AND welcomed IS NOT NULL`); err != nil {
			return err
		}
		return s.audit(ctx, t, "backup.restore", "", nil)
	})
}

// The kinds of what can be added to a person's access.
const (
	AddedPasskey       = "passkey"
	AddedAuthenticator = "authenticator" // the second step of signing in
	AddedReceiver      = "receiver"      // of notices
	AddedServerCode    = "server_code"   // the TOTP for hosts
)

// Added is something that was added to a person's access since they last looked through it.
type Added struct {
	Kind    string
	Name    string // of a passkey or receiver
	Created int64  // milliseconds since 1970 UTC
}

// addedSince selects a person's additions after users.reviewed, except the first factor that was itself the last reset. Both queries below are made of it, so that what is ended is
// what was shown.
const addedSince = ` WHERE user = ?1 AND created > (SELECT reviewed FROM users WHERE id = ?1) AND created <= ?2
	AND created <> (SELECT reset_at FROM users WHERE id = ?1)`

// Added lists what was added to a person's access since they last looked through it, the oldest first.
func (s *Store) Added(user int64) ([]Added, error) {
	var list []Added
	err := s.reads.each(func(scan func(...any) error) error {
		var a Added
		err := scan(&a.Kind, &a.Name, &a.Created)
		list = append(list, a)
		return err
	}, `SELECT '`+AddedPasskey+`', name, created AS created FROM passkeys`+addedSince+`
		UNION ALL SELECT '`+AddedAuthenticator+`', '', created FROM second_steps`+addedSince+`
		UNION ALL SELECT '`+AddedReceiver+`', label, created FROM notice_channels`+addedSince+`
		UNION ALL SELECT '`+AddedServerCode+`', '', created FROM own_totps`+addedSince+`
		ORDER BY 3`, user, s.millis())
	return list, err
}

// EndAdded removes what Added listed up to the instant until, and notes that the person has looked through it. keep is the
// session that asks; the others end.
func (s *Store) EndAdded(ctx context.Context, user, keep, until int64) error {
	return s.write(ctx, func(t *tx) error {
		for _, table := range []string{"passkeys", "second_steps", "notice_channels", "own_totps"} {
			if err := t.exec(`DELETE FROM `+table+addedSince, user, until); err != nil {
				return err
			}
		}
		if err := endSessions(t, user, keep); err != nil {
			return err
		}
		if err := t.exec(`UPDATE users SET reviewed = ? WHERE id = ?`, until, user); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "access.end_added", user, nil)
	})
}

// KeepAdded notes that a person knows everything that was added up to the instant until.
func (s *Store) KeepAdded(ctx context.Context, user, until int64) error {
	return s.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE users SET reviewed = max(reviewed, ?) WHERE id = ?`, until, user)
	})
}
