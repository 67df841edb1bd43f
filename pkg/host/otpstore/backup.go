package otpstore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"

	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/seal"
)

// backedUp is what the note about a backup of the key is called, behind the key's own name.
const backedUp = ".backed-up"

// Backup is what somebody said of a copy of the key.
type Backup struct {
	Fingerprint string `json:"fingerprint"` // of the key that was copied
	At          int64  `json:"at"`          // Unix seconds
	By          string `json:"by"`
}

// fingerprint tells keys apart and tells nothing of them: 16 hexadecimal digits.
func fingerprint(box *seal.Box) string {
	return hex.EncodeToString(box.Digest([]byte("latch otp key"))[:8])
}

// Fingerprint names the key that new records are sealed with. ErrNoKey if there is none.
func (s Store) Fingerprint() (string, error) {
	k, err := s.readKeys()
	if err != nil {
		return "", err
	}
	if k.newest() == nil {
		return "", ErrNoKey
	}
	return fingerprint(k.newest()), nil
}

// FingerprintOf names the key in a copy of a key file. name is for the error.
func FingerprintOf(name string, copied []byte) (string, error) {
	box, err := parseKey(name, copied)
	if err != nil {
		return "", err
	}
	return fingerprint(box), nil
}

// Confirm notes that the key as it is now is in a backup, as somebody says.
func (s Store) Confirm(ctx context.Context, by string) error {
	now, err := s.Fingerprint()
	if err != nil {
		return err
	}
	data, err := json.Marshal(Backup{Fingerprint: now, At: s.Now().Unix(), By: by})
	if err != nil {
		return err
	}
	path := s.KeyFile + backedUp
	return securefile.WithLock(ctx, path, func() error { return securefile.Write(path, append(data, '\n'), 0o600) })
}

// Backup returns what was said of the key as it is now, nil for nothing.
func (s Store) Backup() (*Backup, error) {
	data, err := securefile.Read(s.KeyFile+backedUp, 4*keyLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := new(Backup)
	if strict(data, b) != nil {
		return nil, nil // as if nobody had said it
	}
	now, err := s.Fingerprint()
	if err != nil || b.Fingerprint != now {
		return nil, err
	}
	return b, nil
}
