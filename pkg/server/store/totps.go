package store

import (
	"context"
	"fmt"
	"strconv"
)

// TOTP is a time-based one-time password that the server checks for an application.
type TOTP struct {
	ID         string
	UserID     string
	CommonName string
	Secret     string // the seed in Base32; sealed at rest
	Created    int64
}

func totpAD(row int64) []byte { return []byte("totps:" + strconv.FormatInt(row, 10)) }

// AddTOTP keeps a new seed.
func (s *Store) AddTOTP(ctx context.Context, app Application, k TOTP) (TOTP, error) {
	k.ID, k.Created = random(idLen), s.millis()
	return k, s.write(ctx, func(t *tx) error {
		if err := checkName("totp user", k.UserID); err != nil {
			return err
		}
		row, err := t.insert(`INSERT INTO totps (totp_id, app, user_id, common_name, sealed, created) VALUES (?, ?, ?, ?, x'', ?)`,
			k.ID, app.Row, k.UserID, k.CommonName, k.Created)
		if err != nil {
			return err
		}
		return t.exec(`UPDATE totps SET sealed = ? WHERE id = ?`, s.box.Seal([]byte(k.Secret), totpAD(row)), row)
	})
}

// TOTP returns a TOTP of an application.
func (s *Store) TOTP(app Application, id string) (TOTP, error) {
	k, _, _, err := s.loadTOTP(s.reads, app.Row, id)
	return k, err
}

func (s *Store) loadTOTP(q source, app int64, id string) (k TOTP, row, lastStep int64, err error) {
	k.ID = id
	var sealed []byte
	err = q.get([]any{&row, &k.UserID, &k.CommonName, &sealed, &lastStep, &k.Created},
		`SELECT id, user_id, common_name, sealed, last_step, created FROM totps WHERE totp_id = ? AND app = ?`, id, app)
	if isNoRows(err) {
		return TOTP{}, 0, 0, fmt.Errorf("%w: %q", ErrNoTOTP, id)
	}
	if err != nil {
		return TOTP{}, 0, 0, err
	}
	plain, err := s.box.Open(sealed, totpAD(row))
	if err != nil {
		return TOTP{}, 0, 0, fmt.Errorf("totp %q: %w", id, err)
	}
	k.Secret = string(plain)
	return k, row, lastStep, nil
}

// CheckTOTP asks match which time step a code stands for (ok false: none after last) and burns that
// step, so that a code passes once, whoever asks. A wrong or used code is ErrTOTPWrong; after too
// many of them nothing is looked at for a while (*TooManyError).
func (s *Store) CheckTOTP(ctx context.Context, app Application, id string, match func(secret string, last int64) (step int64, ok bool)) error {
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		k, row, last, err := s.loadTOTP(t, app.Row, id)
		if err != nil {
			return err
		}
		subject := "totp:" + strconv.FormatInt(row, 10)
		if err := s.mayGuess(t, codePace, subject); err != nil {
			return err
		}
		step, ok := match(k.Secret, last)
		if !ok || step <= last {
			answer = ErrTOTPWrong
			return s.countGuess(t, codePace, subject)
		}
		return t.exec(`UPDATE totps SET last_step = ? WHERE id = ?`, step, row)
	})
	if err != nil {
		return err
	}
	return answer
}

// RemoveTOTP removes a TOTP.
func (s *Store) RemoveTOTP(ctx context.Context, app Application, id string) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.change(`DELETE FROM totps WHERE totp_id = ? AND app = ?`, id, app.Row)
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: %q", ErrNoTOTP, id)
		}
		return err
	})
}
