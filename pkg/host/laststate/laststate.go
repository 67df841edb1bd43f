// Package laststate keeps, on this machine, the last known state of each latch (for action = last), and which users were
// denied within the last minute (so that the phone is notified once). Only root can write there, and no record opens a
// latch that the server did not report as open.
package laststate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// silentFor is how long after a question that let nobody in further ones are silent.
const silentFor = time.Minute

// lockPatience bounds what a login waits for another that remembers the same latch.
const lockPatience = 200 * time.Millisecond

// sizeLimit bounds a record.
const sizeLimit = 16

// State is what a latch was last.
type State int8

// States.
const (
	Never State = iota
	Open
	Closed
)

// Memory keeps its records under two directories, one file each, named after a hash, since names come from
// users.
type Memory struct {
	StateDir string // survives a reboot
	RunDir   string // does not have to
	Now      func() time.Time
	Warn     func(error) // told what could not be written; a verdict does not wait for it
}

// Last returns how the latch was seen last. What cannot be read was never seen.
func (m Memory) Last(accountID, operationID string) State {
	data, err := securefile.Read(m.latchFile(accountID, operationID), sizeLimit)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			m.Warn(err)
		}
		return Never
	}
	switch string(data) {
	case "open\n":
		return Open
	case "closed\n":
		return Closed
	}
	return Never
}

// Remember notes an answer of the server. It writes only what changed.
func (m Memory) Remember(accountID, operationID string, open bool) {
	state, text := Closed, "closed\n"
	if open {
		state, text = Open, "open\n"
	}
	if m.Last(accountID, operationID) == state {
		return
	}
	file := m.latchFile(accountID, operationID)
	if err := replace(file, text); err != nil {
		m.Warn(err)
		if !open {
			m.remove(file) // on a full disk "open" must not outlive what was seen since; never seen is closed
		}
	}
}

// Asking notes that this user is being asked about at this service.
func (m Memory) Asking(user, service string) {
	if err := touch(m.markFile(user, service)); err != nil {
		m.Warn(err)
	}
}

// Forget takes back what Asking noted.
func (m Memory) Forget(user, service string) { m.remove(m.markFile(user, service)) }

// RecentlyDenied reports whether this user was asked about at this service, and not let in, within the last minute.
func (m Memory) RecentlyDenied(user, service string) bool {
	f, err := securefile.Open(m.markFile(user, service))
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	age := m.Now().Sub(info.ModTime())
	return age >= 0 && age < silentFor
}

func (m Memory) latchFile(accountID, operationID string) string {
	return filepath.Join(m.StateDir, "last", name(accountID, operationID))
}

func (m Memory) markFile(user, service string) string {
	return filepath.Join(m.RunDir, "closed", name(user, service))
}

func name(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// replace waits a moment for another login that writes the same record.
func replace(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	return securefile.WithLock(ctx, path, func() error { return securefile.Write(path, []byte(text), 0o600) })
}

func touch(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return securefile.Touch(path, 0o600)
}

func (m Memory) remove(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Warn(err)
	}
}
