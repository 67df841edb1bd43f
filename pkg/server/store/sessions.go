package store

import (
	"context"
	"time"
)

// How long sessions and known browsers last.
const (
	SessionIdle = 30 * 24 * time.Hour  // without a request
	SessionLife = 180 * 24 * time.Hour // at the longest
	BrowserLife = 365 * 24 * time.Hour // that a browser is known after its last sign-in
	seenStep    = 5 * time.Minute      // how coarse LastSeen is: a write per page would be too many
	maxSessions = 50                   // of one person; the one not seen for longest makes room
	maxBrowsers = 50                   // the same for known browsers
)

// Session is one browser that is signed in.
type Session struct {
	Row       int64
	Created   int64
	LastSeen  int64 // up to five minutes behind
	Expires   int64
	Proved    int64 // when a factor was last shown in it
	Strong    bool  // two factors, or a passkey that checked its person
	Address   string
	UserAgent string
}

// SignIn describes a session about to begin.
type SignIn struct {
	User      int64
	Strong    bool
	Address   string
	UserAgent string
	Unknown   bool   // the person never signed in with this browser before: a notice says so
	Password  string // the stored hash of the password that was right; "" where something else was shown
}

const sessionColumns = `s.id, s.created, s.last_seen, s.expires, s.proved, s.strong, s.address, s.user_agent`

func (e *Session) fields() []any {
	return []any{&e.Row, &e.Created, &e.LastSeen, &e.Expires, &e.Proved, &e.Strong, &e.Address, &e.UserAgent}
}

// StartSession signs a browser in and returns what its cookie carries. Somebody whose password was changed while the old one was
// being checked gets ErrOldPassword.
func (s *Store) StartSession(ctx context.Context, in SignIn) (ticket string, err error) {
	err = s.write(ctx, func(t *tx) error {
		u, err := userByRow(t, in.User)
		if err != nil {
			return err
		}
		if err := mayOpen(u); err != nil { // who lost the phone meanwhile has to come back first
			return err
		}
		if err := stillPassword(t, in); err != nil {
			return err
		}
		if ticket, err = s.startSession(t, in); err != nil {
			return err
		}
		if in.Unknown {
			if err := s.noticeAccess(ctx, t, u, AccessNewBrowser, 0); err != nil {
				return err
			}
		}
		return s.audit(ctx, t, "session.start", u.Name, nil)
	})
	return ticket, err
}

func stillPassword(q source, in SignIn) error {
	var phc string
	if in.Password == "" {
		return nil
	}
	err := q.get([]any{&phc}, `SELECT phc FROM passwords WHERE user = ?`, in.User)
	if isNoRows(err) || err == nil && phc != in.Password {
		return ErrOldPassword
	}
	return err
}

func (s *Store) startSession(t *tx, in SignIn) (ticket string, err error) {
	now := s.millis()
	ticket, digest := newTicket()
	if err := t.exec(`DELETE FROM sessions WHERE user = ?1 AND id NOT IN
		(SELECT id FROM sessions WHERE user = ?1 ORDER BY last_seen DESC, id DESC LIMIT ?2)`, in.User, maxSessions-1); err != nil {
		return "", err
	}
	return ticket, t.exec(`INSERT INTO sessions (digest, user, created, last_seen, expires, proved, strong, address, user_agent)
		VALUES (?1, ?2, ?3, ?3, ?4, ?3, ?5, ?6, ?7)`,
		digest, in.User, now, now+SessionLife.Milliseconds(), in.Strong, in.Address, in.UserAgent)
}

// Session returns the session and the person that a cookie stands for, or ErrNoSession. The sessions of disabled and of removed
// people are none.
func (s *Store) Session(ticket string) (Session, User, error) {
	var e Session
	var u User
	err := s.reads.get(append(e.fields(), u.fields()...), `SELECT `+sessionColumns+`, `+userColumns+`
		FROM sessions s JOIN users u ON u.id = s.user
		WHERE s.digest = ? AND u.disabled IS NULL AND u.removed IS NULL`, ticketDigest(ticket))
	if isNoRows(err) || err == nil && !s.sessionLives(e) {
		err = ErrNoSession
	}
	return e, u, err
}

func (s *Store) sessionLives(e Session) bool {
	return s.lives(e.Created, e.Expires) && s.lives(e.LastSeen, e.LastSeen+SessionIdle.Milliseconds())
}

// Seen notes that a session was used, from address. It costs a write only when the last one is old or came from elsewhere.
func (s *Store) Seen(ctx context.Context, e Session, address string) error {
	now := s.millis()
	if since := now - e.LastSeen; since >= 0 && since < seenStep.Milliseconds() && address == e.Address {
		return nil
	}
	return s.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE sessions SET last_seen = ?, address = ? WHERE id = ?`, now, address, e.Row)
	})
}

// Prove notes that a factor was shown in a session just now; strong says that it was a second one.
func (s *Store) Prove(ctx context.Context, session int64, strong bool) error {
	return s.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE sessions SET proved = ?, strong = max(strong, ?) WHERE id = ?`, s.millis(), strong, session)
	})
}

// Proven reports whether a factor was shown in the session within the last span.
func (s *Store) Proven(e Session, span time.Duration) bool {
	return s.lives(e.Proved, e.Proved+span.Milliseconds())
}

// Sessions lists a person's live sessions, the newest use first.
func (s *Store) Sessions(user int64) ([]Session, error) {
	var list []Session
	err := s.reads.each(func(scan func(...any) error) error {
		var e Session
		if err := scan(e.fields()...); err != nil {
			return err
		}
		if s.sessionLives(e) {
			list = append(list, e)
		}
		return nil
	}, `SELECT `+sessionColumns+` FROM sessions s WHERE s.user = ? ORDER BY s.last_seen DESC, s.id DESC`, user)
	return list, err
}

// EndSession ends one of a person's sessions. Somebody else's, and one that is over, are ErrNoSession.
func (s *Store) EndSession(ctx context.Context, user, session int64) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.change(`DELETE FROM sessions WHERE id = ? AND user = ?`, session, user)
		if err == nil && n == 0 {
			err = ErrNoSession
		}
		if err == nil {
			err = touch(t, user)
		}
		if err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "session.end", user, nil)
	})
}

// EndSessions ends all of a person's sessions but keep; 0 keeps none.
func (s *Store) EndSessions(ctx context.Context, user, keep int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := endSessions(t, user, keep); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "session.end_others", user, nil)
	})
}

func endSessions(t *tx, user, keep int64) error {
	if err := t.exec(`DELETE FROM sessions WHERE user = ? AND id != ?`, user, keep); err != nil {
		return err
	}
	return touch(t, user)
}

// KnowBrowser remembers that a person signed in with the browser that carries ticket, and returns the ticket: a new one where
// it had none.
func (s *Store) KnowBrowser(ctx context.Context, user int64, ticket string) (string, error) {
	digest := ticketDigest(ticket)
	if ticket == "" {
		ticket, digest = newTicket()
	}
	return ticket, s.write(ctx, func(t *tx) error {
		if err := t.exec(`DELETE FROM known_browsers WHERE user = ?1 AND digest != ?2 AND digest NOT IN
			(SELECT digest FROM known_browsers WHERE user = ?1 AND digest != ?2 ORDER BY last_use DESC LIMIT ?3)`, user, digest, maxBrowsers-1); err != nil {
			return err
		}
		return t.exec(`INSERT INTO known_browsers (user, digest, last_use) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET last_use = excluded.last_use`, user, digest, s.millis())
	})
}

// BrowserKnown reports whether a person signed in with the browser that carries ticket within BrowserLife.
func (s *Store) BrowserKnown(user int64, ticket string) (bool, error) {
	if ticket == "" {
		return false, nil
	}
	var used int64
	err := s.reads.get([]any{&used}, `SELECT last_use FROM known_browsers WHERE user = ? AND digest = ?`, user, ticketDigest(ticket))
	if isNoRows(err) {
		return false, nil
	}
	return err == nil && s.lives(used, used+BrowserLife.Milliseconds()), err
}
