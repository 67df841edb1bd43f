package store

import "context"

// MaxVault bounds a vault in bytes: some thousand codes.
const MaxVault = 512 << 10

// Vault returns what a person's browser encrypted, and its version; version 0 means none.
func (s *Store) Vault(user int64) (version int64, sealed []byte, err error) {
	err = s.reads.get([]any{&version, &sealed}, `SELECT version, sealed FROM vaults WHERE user = ?`, user)
	if isNoRows(err) {
		return 0, nil, nil
	}
	return version, sealed, err
}

// SetVault keeps a vault that was made of version from (0 for a first one) and returns the new version. Where another browser was
// faster it is ErrVaultChanged; a vault beyond MaxVault is ErrTooMany.
func (s *Store) SetVault(ctx context.Context, user, from int64, sealed []byte) (version int64, err error) {
	if len(sealed) > MaxVault {
		return 0, ErrTooMany
	}
	err = s.write(ctx, func(t *tx) error {
		var now int64
		err := t.get([]any{&now}, `SELECT version FROM vaults WHERE user = ?`, user)
		if err != nil && !isNoRows(err) {
			return err
		}
		if now != from {
			return ErrVaultChanged
		}
		version = from + 1
		return t.exec(`INSERT INTO vaults (user, version, sealed, changed) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET version = excluded.version, sealed = excluded.sealed, changed = excluded.changed`,
			user, version, sealed, s.millis())
	})
	return version, err
}

// RemoveVault throws a person's vault away, as who forgot its passphrase has to.
func (s *Store) RemoveVault(ctx context.Context, user int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.exec(`DELETE FROM vaults WHERE user = ?`, user); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "vault.remove", user, nil)
	})
}
