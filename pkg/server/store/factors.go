package store

import (
	"context"
	"strconv"
)

func secondStepAD(user int64) []byte { return []byte("second_steps:" + strconv.FormatInt(user, 10)) }

// SetAuthenticator keeps the seed (Base32) of the authenticator app that is a person's second step, in place of an earlier one.
// step is the time step of the code that proved it: it is used up. The first second factor is a reset: every session but keep
// (its row) ends.
func (s *Store) SetAuthenticator(ctx context.Context, user int64, secret string, step, keep int64) error {
	return s.write(ctx, func(t *tx) error {
		now := s.millis()
		if err := resetAtFirstFactor(t, user, keep, now); err != nil {
			return err
		}
		err := t.exec(`INSERT INTO second_steps (user, sealed, last_step, created) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET sealed = excluded.sealed, last_step = excluded.last_step, created = excluded.created`,
			user, s.box.Seal([]byte(secret), secondStepAD(user)), step, now)
		if err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "authenticator.set", user, nil)
	})
}

// RemoveAuthenticator takes the authenticator app away from signing in.
func (s *Store) RemoveAuthenticator(ctx context.Context, user int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.exec(`DELETE FROM second_steps WHERE user = ?`, user); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "authenticator.remove", user, nil)
	})
}

// UseAuthenticator asks match which time step a code stands for (ok false: none after last) and burns that step. A wrong code,
// a used one and a person without an authenticator are ErrWrongCode. Counting wrong ones is for the caller, by BeginGuess.
func (s *Store) UseAuthenticator(ctx context.Context, user int64, match func(secret string, last int64) (step int64, ok bool)) error {
	return s.write(ctx, func(t *tx) error {
		var sealed []byte
		var last int64
		err := t.get([]any{&sealed, &last}, `SELECT sealed, last_step FROM second_steps WHERE user = ?`, user)
		if isNoRows(err) {
			return ErrWrongCode
		}
		if err != nil {
			return err
		}
		secret, err := s.box.Open(sealed, secondStepAD(user))
		if err != nil {
			return err
		}
		step, ok := match(string(secret), last)
		if !ok || step <= last {
			return ErrWrongCode
		}
		return t.exec(`UPDATE second_steps SET last_step = ? WHERE user = ?`, step, user)
	})
}

func (s *Store) recoveryDigest(user int64, normal string) []byte {
	return s.box.Digest([]byte("recovery code:" + strconv.FormatInt(user, 10) + ":" + normal))
}

// SetRecovery replaces a person's recovery codes, which come as otp.NormalRecovery has them.
func (s *Store) SetRecovery(ctx context.Context, user int64, codes []string) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.exec(`DELETE FROM recovery_codes WHERE user = ?`, user); err != nil {
			return err
		}
		for _, c := range codes {
			if err := t.exec(`INSERT INTO recovery_codes (user, digest, created) VALUES (?, ?, ?)`, user, s.recoveryDigest(user, c), s.millis()); err != nil {
				return err
			}
		}
		if err := t.exec(`UPDATE users SET codes_due = 0 WHERE id = ?`, user); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "recovery.renew", user, nil)
	})
}

// UseRecovery uses a recovery code up. A wrong or used one is ErrWrongCode.
func (s *Store) UseRecovery(ctx context.Context, user int64, normal string) error {
	return s.write(ctx, func(t *tx) error {
		digest := s.recoveryDigest(user, normal)
		var unused bool
		err := t.get([]any{&unused}, `SELECT used IS NULL FROM recovery_codes WHERE user = ? AND digest = ?`, user, digest)
		if isNoRows(err) || err == nil && !unused {
			return ErrWrongCode
		}
		if err != nil {
			return err
		}
		if err := t.exec(`UPDATE recovery_codes SET used = ? WHERE user = ? AND digest = ?`, s.millis(), user, digest); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "recovery.use", user, nil)
	})
}

// Passkey is one WebAuthn credential of a person.
type Passkey struct {
	Row          int64
	CredentialID []byte
	User         int64
	Name         string
	Credential   string // as the WebAuthn library writes it, JSON
	Created      int64
	LastUse      int64 // 0 = never
}

// maxPasskeys bounds what one person enrols.
const maxPasskeys = 30

const passkeyColumns = `k.id, k.credential_id, k.user, k.name, k.credential, k.created, k.last_use`

func (k *Passkey) fields() []any {
	return []any{&k.Row, &k.CredentialID, &k.User, &k.Name, &k.Credential, &k.Created, &k.LastUse}
}

// UserHandle is what passkeys keep of a person: it tells a stranger nothing and stays the same.
func (s *Store) UserHandle(user int64) []byte {
	return s.box.Digest([]byte("passkey user:" + strconv.FormatInt(user, 10)))
}

// AddPasskey keeps a new passkey. The first second factor is a reset: every session but keep (its row) ends.
func (s *Store) AddPasskey(ctx context.Context, k Passkey, keep int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := checkName("passkey", k.Name); err != nil {
			return err
		}
		var count int
		if err := t.get([]any{&count}, `SELECT count(*) FROM passkeys WHERE user = ?`, k.User); err != nil {
			return err
		}
		if count >= maxPasskeys {
			return ErrTooMany
		}
		now := s.millis()
		if err := resetAtFirstFactor(t, k.User, keep, now); err != nil {
			return err
		}
		n, err := t.change(`INSERT INTO passkeys (credential_id, user, name, credential, created) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (credential_id) DO NOTHING`, k.CredentialID, k.User, k.Name, k.Credential, now)
		if err == nil && n == 0 {
			err = ErrExists
		}
		if err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "passkey.add", k.User, map[string]string{"name": k.Name})
	})
}

// Passkeys lists a person's passkeys, the oldest first.
func (s *Store) Passkeys(user int64) ([]Passkey, error) {
	var list []Passkey
	err := s.reads.each(func(scan func(...any) error) error {
		var k Passkey
		err := scan(k.fields()...)
		list = append(list, k)
		return err
	}, `SELECT `+passkeyColumns+` FROM passkeys k WHERE k.user = ? ORDER BY k.id`, user)
	return list, err
}

// Passkey finds a passkey by its credential id.
func (s *Store) Passkey(credentialID []byte) (Passkey, error) {
	var k Passkey
	err := s.reads.get(k.fields(), `SELECT `+passkeyColumns+` FROM passkeys k WHERE k.credential_id = ?`, credentialID)
	if isNoRows(err) {
		err = ErrNoPasskey
	}
	return k, err
}

// PasskeyUsed keeps what the library says after a use: the counter by which a copied passkey shows.
func (s *Store) PasskeyUsed(ctx context.Context, passkey int64, credential string) error {
	return s.write(ctx, func(t *tx) error {
		return t.exec(`UPDATE passkeys SET credential = ?, last_use = ? WHERE id = ?`, credential, s.millis(), passkey)
	})
}

// RenamePasskey gives a person's passkey another name.
func (s *Store) RenamePasskey(ctx context.Context, user, passkey int64, name string) error {
	return s.write(ctx, func(t *tx) error {
		if err := checkName("passkey", name); err != nil {
			return err
		}
		n, err := t.change(`UPDATE passkeys SET name = ? WHERE id = ? AND user = ?`, name, passkey, user)
		if err == nil && n == 0 {
			err = ErrNoPasskey
		}
		return err
	})
}

// RemovePasskey makes a person's passkey useless.
func (s *Store) RemovePasskey(ctx context.Context, user, passkey int64) error {
	return s.write(ctx, func(t *tx) error {
		var name string
		if err := t.get([]any{&name}, `SELECT name FROM passkeys WHERE id = ? AND user = ?`, passkey, user); isNoRows(err) {
			return ErrNoPasskey
		} else if err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM passkeys WHERE id = ?`, passkey); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "passkey.remove", user, map[string]string{"name": name})
	})
}
