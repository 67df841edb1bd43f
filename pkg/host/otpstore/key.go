package otpstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/seal"
)

// keyLimit bounds a key file, in bytes.
const keyLimit = 256

// nextKey is what the new key is called until every record is sealed with it.
const nextKey = ".next"

// keys are the key and, during a change of keys, the one that follows it. Either may be nil.
type keys struct{ current, next *seal.Box }

// readKeys reads the next key first: when it is not there, either no change has begun or the current one, read
// afterwards, is what was the next one.
func (s Store) readKeys() (k keys, err error) {
	if k.next, err = readKey(s.KeyFile + nextKey); err == nil {
		k.current, err = readKey(s.KeyFile)
	}
	return k, err
}

// readKey returns nil where there is no file.
func readKey(path string) (*seal.Box, error) {
	data, err := securefile.Read(path, keyLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseKey(path, data)
}

// parseKey reads what stands in a key file; path is for the error.
func parseKey(path string, data []byte) (*seal.Box, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err == nil {
		var box *seal.Box
		if box, err = seal.New(key); err == nil {
			return box, nil
		}
	}
	return nil, fmt.Errorf("%q is not one line of Base64 of %d bytes", path, seal.KeySize)
}

func (k keys) newest() *seal.Box {
	if k.next != nil {
		return k.next
	}
	return k.current
}

func (k keys) seal(plain, context []byte) ([]byte, error) {
	box := k.newest()
	if box == nil {
		return nil, ErrNoKey
	}
	return box.Seal(plain, context), nil
}

func (k keys) open(sealed, context []byte) ([]byte, error) {
	if k.current == nil && k.next == nil {
		return nil, ErrNoKey
	}
	for _, box := range []*seal.Box{k.next, k.current} {
		if box != nil {
			if plain, err := box.Open(sealed, context); err == nil {
				return plain, nil
			}
		}
	}
	return nil, ErrOtherKey
}

// CreateKey draws the key if there is none yet. Where there are sealed records their key is lost, and a new one would hide
// that: ErrNoKey.
func (s Store) CreateKey(ctx context.Context) (created bool, err error) {
	if err := os.MkdirAll(filepath.Dir(s.KeyFile), 0o755); err != nil {
		return false, err
	}
	err = securefile.WithLock(ctx, s.KeyFile, func() error {
		if k, err := s.readKeys(); err != nil || k.newest() != nil {
			return err
		}
		n, err := s.Sealed()
		if err != nil {
			return err
		}
		if n > 0 {
			return ErrNoKey
		}
		if err := s.makeDirectory(); err != nil {
			return err
		}
		created = true
		return writeNewKey(s.KeyFile)
	})
	return created && err == nil, err
}

// Sealed counts the records that need the key. One that cannot be read is taken for such.
func (s Store) Sealed() (n int, err error) {
	users, err := s.Users()
	if err != nil {
		return 0, err
	}
	s.RefuseClear = false
	for _, user := range users {
		if r, _, err := s.load(user); err != nil || !r.clear {
			n++
		}
	}
	return n, nil
}

func writeNewKey(path string) error {
	return securefile.Write(path, []byte(base64.StdEncoding.EncodeToString(seal.NewKey())+"\n"), 0o600)
}
