package store

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/latch-linux/latch/pkg/seal"
)

// createKey writes a fresh sealing key: one line of Base64, mode 0600, on disk before it is used.
func createKey(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create key file: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, base64.StdEncoding.EncodeToString(seal.NewKey())); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return nil
}

func readKey(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key file %q is missing: %w", path, ErrKey)
	}
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, fmt.Errorf("key file %q is not one line of base64: %w", path, ErrKey)
	}
	return key, nil
}

const keyCheck = "key_check"

// checkKey makes sure that secret.key is the key this database was made with, so that a backup
// restored beside another key says so at once and not at the first login.
func (s *Store) checkKey() error {
	var text string
	err := s.tx.get([]any{&text}, `SELECT value FROM settings WHERE name = ?`, keyCheck)
	if isNoRows(err) {
		sealed := base64.StdEncoding.EncodeToString(s.box.Seal([]byte(keyCheck), []byte(keyCheck)))
		return s.tx.exec(`INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, keyCheck, sealed)
	}
	if err != nil {
		return err
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("setting %q is damaged", keyCheck)
	}
	if _, err := s.box.Open(sealed, []byte(keyCheck)); err != nil { // seal.ErrBroken alone
		return fmt.Errorf("%s belongs to another database: %w", KeyFile, ErrKey)
	}
	return nil
}
