package otpstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/otp"
)

// tokenLimit bounds what is kept of a token, in bytes.
const tokenLimit = 512

// Tokens keeps one-time tokens of the Latch server for a person's next login, where codes are typed before the server is asked. A
// token is kept as a keyed hash, one file for each latch, and ends by the clock that counts from this start of the machine, which
// nobody can set.
type Tokens struct {
	Dir  string        // mode 0700, made when a token is kept
	Life time.Duration // of a token, from the moment that the server made it
}

// TokensAt is the store below a run directory.
func TokensAt(runDir string, life time.Duration) Tokens {
	return Tokens{Dir: filepath.Join(runDir, "token"), Life: life}
}

// kept is a token as it lies on the disk.
type kept struct {
	Key    []byte  `json:"key"`
	Hash   []byte  `json:"hash"`
	BootID string  `json:"boot_id"`
	Until  float64 `json:"until"` // seconds of /proc/uptime
}

// Keep implements login.Tokens.
func (s Tokens) Keep(ctx context.Context, accountID, operationID, token string, age time.Duration) error {
	lasts := min(s.Life-age, s.Life) // a server whose clock is ahead makes nothing last longer
	if token == "" || lasts <= 0 {
		return nil
	}
	boot, up, err := uptime()
	if err != nil {
		return err
	}
	k := kept{Key: make([]byte, sha256.Size), BootID: boot, Until: up + lasts.Seconds()}
	rand.Read(k.Key) // never fails: crypto/rand ends the program rather than return
	k.Hash = otp.RecoveryHash(k.Key, token)
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	path := s.path(accountID, operationID)
	return securefile.WithLock(ctx, path, func() error { return securefile.Write(path, data, 0o600) })
}

// Take implements login.Tokens. What cannot be taken away is not right.
func (s Tokens) Take(ctx context.Context, accountID, operationID, reply string) (bool, error) {
	path, right := s.path(accountID, operationID), false
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil // and there may be no directory to lock in
	}
	err := securefile.WithLock(ctx, path, func() error {
		data, err := securefile.Read(path, tokenLimit)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another login was quicker
		}
		if err := errors.Join(err, os.Remove(path)); err != nil {
			return err
		}
		right, err = s.matches(data, reply)
		return err
	})
	return right && err == nil, err
}

func (s Tokens) matches(data []byte, reply string) (bool, error) {
	var k kept
	if strict(data, &k) != nil || len(k.Key) != sha256.Size {
		return false, fmt.Errorf("the token that was kept in %q is damaged", s.Dir)
	}
	boot, up, err := uptime()
	if err != nil {
		return false, err
	}
	const rounding = 0.001 // of sums; /proc/uptime has hundredths
	lives := boot == k.BootID && up < k.Until && k.Until-up <= s.Life.Seconds()+rounding
	return subtle.ConstantTimeCompare(otp.RecoveryHash(k.Key, reply), k.Hash) == 1 && lives, nil
}

// path is named after a hash, since an operation may have any name at the server.
func (s Tokens) path(accountID, operationID string) string {
	h := sha256.Sum256([]byte(accountID + "\x00" + operationID))
	return filepath.Join(s.Dir, hex.EncodeToString(h[:16]))
}
