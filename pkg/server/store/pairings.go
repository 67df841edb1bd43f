package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// Pairing codes.
const (
	CodeLife     = 120 * time.Second
	maxCodeTries = 8 // drawing a code or an id that is in use already is next to impossible
)

// maxName bounds names of all kinds, in bytes.
const maxName = 256

// pairing is one account: one person in one application.
type pairing struct {
	row       int64
	app       int64
	user      int64
	accountID string
	setting
	chose2FA  bool // the person's choice where two_factor is OPT_IN
	choseLock bool // the same for lock_on_request
	name      string
	ownName   string // the person's
	paired    int64
	unpaired  bool
	blocked   bool // the person is disabled or removed, or lost their phone
}

// findPairing returns the account of an application. A blocked person's account is found even when
// it was unpaired: it must go on reading closed.
func findPairing(q source, app int64, accountID string) (pairing, error) {
	p := pairing{row: pairingKey(accountID)}
	err := q.get(append(p.setting.fields(), &p.app, &p.user, &p.accountID, &p.chose2FA, &p.choseLock, &p.name, &p.ownName,
		&p.paired, &p.unpaired, &p.blocked),
		`SELECT p.status, p.changed, p.cause, p.until, p.switched, p.schedule, p.scheduled, p.held,
			p.app, p.user, p.account_id, p.two_factor, p.lock_on_request, p.common_name, p.own_name,
			p.paired, p.unpaired IS NOT NULL, u.disabled IS NOT NULL OR u.removed IS NOT NULL OR u.lost IS NOT NULL
		FROM pairings p JOIN users u ON u.id = p.user WHERE p.id = ?`, p.row)
	if err != nil && !isNoRows(err) {
		return pairing{}, err
	}
	if err != nil || p.accountID != accountID || p.app != app || p.unpaired && !p.blocked {
		return pairing{}, ErrNotPaired
	}
	return p, nil
}

// NewCode makes a pairing code for a person: one use, CodeLife. It ends the code that the person had before. It is found by a
// keyed digest; the code itself is sealed.
func (s *Store) NewCode(ctx context.Context, user string) (code string, expires time.Time, err error) {
	err = s.write(ctx, func(t *tx) error {
		u, err := findUser(t, user)
		if err != nil {
			return err
		}
		if u.Disabled {
			return fmt.Errorf("%q: %w", user, ErrUserDisabled)
		}
		now := s.now()
		expires = now.Add(CodeLife)
		if err := t.exec(`DELETE FROM codes WHERE expires <= ? OR expires > ? OR user = ?`,
			now.UnixMilli(), expires.Add(CodeLife).UnixMilli(), u.Row); err != nil {
			return err
		}
		for range maxCodeTries {
			code = random(codeLen)
			digest := s.codeDigest(code)
			n, err := t.change(`INSERT INTO codes (digest, user, expires, sealed) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				digest, u.Row, expires.UnixMilli(), s.box.Seal([]byte(code), codeAD(digest)))
			if err != nil {
				return err
			}
			if n == 1 {
				if err := touch(t, u.Row); err != nil {
					return err
				}
				return s.auditByCommand(ctx, t, "person.code", u.Name, nil)
			}
		}
		return fmt.Errorf("no free pairing code after %d tries", maxCodeTries)
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return code, expires.UTC(), nil
}

// LiveCode is the code that a person can use now, "" for none.
func (s *Store) LiveCode(user string) (code string, expires time.Time, err error) {
	u, err := findUser(s.reads, user)
	if err != nil {
		return "", time.Time{}, err
	}
	var digest, sealed []byte
	var until int64
	err = s.reads.get([]any{&digest, &sealed, &until}, `SELECT digest, sealed, expires FROM codes WHERE user = ? ORDER BY expires DESC LIMIT 1`, u.Row)
	if isNoRows(err) || err == nil && !codeLives(until-s.millis()) {
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, err
	}
	plain, err := s.box.Open(sealed, codeAD(digest))
	return string(plain), time.UnixMilli(until).UTC(), err
}

func codeAD(digest []byte) []byte { return append([]byte("codes:"), digest...) }

// codeLives judges what is left of a code's life, in milliseconds. A clock that was set back, by more than a little, must not
// prolong it by as much.
func codeLives(left int64) bool { return left > 0 && left <= 2*CodeLife.Milliseconds() }

func (s *Store) codeDigest(code string) []byte { return s.box.Digest([]byte("pairing code:" + code)) }

// PairRequest is one attempt to pair. Subject is whose wrong guesses are counted.
type PairRequest struct {
	App        Application
	Code       string
	CommonName string
	Subject    string
	Attempt    Attempt
}

// Pair uses up a code and returns the account id. A person who is paired with the application
// already gives that id and ErrAlreadyPaired; the code is used up as well. Too many wrong codes from
// one subject give a *TooManyError before the code is looked at.
func (s *Store) Pair(ctx context.Context, r PairRequest) (accountID string, err error) {
	var answer error
	err = s.write(ctx, func(t *tx) error {
		accountID, answer = "", nil
		subject := "pair:" + r.Subject
		if err := s.mayGuess(t, codePace, subject); err != nil {
			return err
		}
		user, err := s.takeCode(t, r.Code)
		if err == ErrCodeUnknown {
			answer = err
			return s.countGuess(t, codePace, subject)
		}
		if err != nil {
			return err
		}
		accountID, answer, err = s.pairUser(t, r, user)
		return err
	})
	if err != nil {
		return "", err
	}
	return accountID, answer
}

// PairByName pairs a person without a code. Whether the application may is for the caller to ask.
func (s *Store) PairByName(ctx context.Context, r PairRequest, user string) (accountID string, err error) {
	var answer error
	err = s.write(ctx, func(t *tx) error {
		u, err := findUser(t, user)
		if err != nil {
			return err
		}
		if u.Disabled {
			return fmt.Errorf("%q: %w", user, ErrUserDisabled)
		}
		accountID, answer, err = s.pairUser(t, r, u.Row)
		return err
	})
	if err != nil {
		return "", err
	}
	return accountID, answer
}

// takeCode returns the person whose code it is and makes the code useless.
func (s *Store) takeCode(t *tx, code string) (user int64, err error) {
	var expires int64
	digest := s.codeDigest(code)
	err = t.get([]any{&user, &expires}, `SELECT c.user, c.expires FROM codes c JOIN users u ON u.id = c.user
		WHERE c.digest = ? AND u.disabled IS NULL AND u.removed IS NULL`, digest)
	if isNoRows(err) {
		return 0, ErrCodeUnknown
	}
	if err != nil {
		return 0, err
	}
	if !codeLives(expires - s.millis()) {
		return 0, ErrCodeUnknown
	}
	if err := t.exec(`DELETE FROM codes WHERE digest = ?`, digest); err != nil {
		return 0, err
	}
	return user, touch(t, user)
}

func (s *Store) pairUser(t *tx, r PairRequest, user int64) (accountID string, answer, err error) {
	var row int64
	err = t.get([]any{&row, &accountID}, `SELECT id, account_id FROM pairings WHERE user = ? AND app = ?`, user, r.App.Row)
	if err == nil {
		return accountID, ErrAlreadyPaired, s.recordPaired(t, r, user, row, "paired")
	}
	if !isNoRows(err) {
		return "", nil, err
	}
	now := s.millis()
	for range maxCodeTries {
		accountID = random(accountIDLen)
		row := pairingKey(accountID)
		n, err := t.change(`INSERT INTO pairings (id, account_id, app, user, common_name, paired, changed)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			row, accountID, r.App.Row, user, r.CommonName, now, now)
		if err != nil {
			return "", nil, err
		}
		if n == 1 {
			return accountID, nil, s.recordPaired(t, r, user, row, "-")
		}
	}
	return "", nil, fmt.Errorf("no free account id after %d tries", maxCodeTries)
}

// ContextName is what an entry about a pairing tells: how the host calls it.
const ContextName = "name"

// recordPaired notes a host that got an account, be it new or the one that other hosts have. An import that finds what is there
// is no host.
func (s *Store) recordPaired(t *tx, r PairRequest, user, row int64, was string) error {
	if r.Attempt.IP == "" && was != "-" {
		return nil
	}
	if r.CommonName != "" {
		context := map[string]string{ContextName: r.CommonName}
		maps.Copy(context, r.Attempt.Context)
		r.Attempt.Context = context
	}
	return s.record(t, event{
		pairing: pairing{row: row, user: user, app: r.App.Row},
		action:  ActionDeveloper, what: "pairing", value: "paired", was: was, name: r.App.Name, node: r.App.ID, attempt: r.Attempt,
	})
}

// Unpair forgets an account. A blocked person's account is only marked: it goes on reading closed.
func (s *Store) Unpair(ctx context.Context, app Application, accountID string, a Attempt) error {
	return s.write(ctx, func(t *tx) error {
		p, err := findPairing(t, app.Row, accountID)
		if err != nil {
			return err
		}
		if p.unpaired {
			return ErrNotPaired
		}
		return s.unpair(t, p, app, ActionDeveloper, a)
	})
}

// LastPaired is what a person was paired with last since an instant (milliseconds), by code or link; ok is false for nothing.
func (s *Store) LastPaired(user string, since int64) (e Entry, ok bool, err error) {
	u, err := findUser(s.reads, user)
	if err != nil {
		return Entry{}, false, err
	}
	list, err := s.newest(`WHERE h.user = ? AND h.t >= ? AND h.what = 'pairing' AND h.value = 'paired' ORDER BY h.t DESC, h.id DESC LIMIT 1`, u.Row, since)
	if err != nil || len(list) == 0 {
		return Entry{}, false, err
	}
	return list[0], true, nil
}

// RenamePairing gives the person's own name to a service, by the application's id or name; "" gives back the application's.
func (s *Store) RenamePairing(ctx context.Context, user, app, name string) error {
	return s.write(ctx, func(t *tx) error {
		if name != "" {
			if err := checkName("service", name); err != nil {
				return err
			}
		}
		owned, err := pairingsOf(t, user, app)
		if err != nil {
			return err
		}
		for _, o := range owned {
			err := errors.Join(t.exec(`UPDATE pairings SET own_name = ? WHERE id = ?`, name, o.pairing.row), touch(t, o.pairing.user))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// UnpairUser does the same for the person, as the phone would.
func (s *Store) UnpairUser(ctx context.Context, user, app string) error {
	return s.write(ctx, func(t *tx) error {
		owned, err := pairingsOf(t, user, app)
		if err != nil {
			return err
		}
		for _, o := range owned {
			if err := s.unpair(t, o.pairing, o.app, ActionUser, Attempt{}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) unpair(t *tx, p pairing, app Application, action string, a Attempt) error {
	err := s.record(t, event{
		pairing: p, action: action, what: "pairing", value: "unpaired", was: "paired", name: app.Name, node: app.ID, attempt: a,
	})
	if err != nil {
		return err
	}
	if p.blocked {
		return t.exec(`UPDATE pairings SET unpaired = ? WHERE id = ?`, s.millis(), p.row)
	}
	return deletePairing(t, p.row)
}

func deletePairing(t *tx, row int64) error {
	for _, statement := range []string{
		`DELETE FROM latches WHERE pairing = ?`,
		`DELETE FROM instances WHERE pairing = ?`,
		`DELETE FROM tokens WHERE pairing = ?`,
		`DELETE FROM notice_rules WHERE pairing = ?`,
		`DELETE FROM pairings WHERE id = ?`,
	} {
		if err := t.exec(statement, row); err != nil {
			return err
		}
	}
	return nil
}

// Import adds the people that are not there yet, pairs each with an application without a code, and
// returns their account ids in the order of names. Who is paired already keeps the account. All
// names go into one transaction.
func (s *Store) Import(ctx context.Context, app Application, names []string) ([]string, error) {
	var ids []string
	err := s.write(ctx, func(t *tx) error {
		ids = make([]string, 0, len(names))
		for _, name := range names {
			id, err := s.importOne(t, app, name)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return s.audit(ctx, t, "people.import", app.Name, map[string]string{"people": strconv.Itoa(len(names))})
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (s *Store) importOne(t *tx, app Application, name string) (string, error) {
	u, err := findUser(t, name)
	if errors.Is(err, ErrNoUser) {
		if err := checkName("user", name); err != nil {
			return "", err
		}
		u.Row, err = t.insert(`INSERT INTO users (name, created) VALUES (?, ?)`, name, s.millis())
	}
	if err != nil {
		return "", err
	}
	if u.Disabled {
		return "", fmt.Errorf("%q: %w", name, ErrUserDisabled)
	}
	id, _, err := s.pairUser(t, PairRequest{App: app}, u.Row)
	return id, err
}
