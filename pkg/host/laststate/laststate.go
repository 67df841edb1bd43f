// Package laststate keeps, on this machine, the last known state of each latch (for action = last), and which users were
// denied within the last minute (so that the phone is notified once). Only root can write there, and no record opens a
// latch that the server did not report as open.
//
// A state has two records. The one in StateDir survives a reboot and is written only when the state changes. The one in
// RunDir is written after every query, with its time, so that the answer of an older query never replaces a newer one.
package laststate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// silentFor is how long after a refused login further queries are silent.
const silentFor = time.Minute

// lockPatience bounds the wait for another login that stores the same latch's state.
const lockPatience = 200 * time.Millisecond

// sizeLimit bounds a record.
const sizeLimit = 128

// Memory keeps its records under two directories, one file each, named after a hash, since names come from
// users.
type Memory struct {
	StateDir string // survives a reboot
	RunDir   string // does not have to
	Now      func() time.Time
	Warn     func(error) // gets what could not be stored; a verdict does not wait for it
}

// Last returns the last known state of a latch. "Open" needs records that could still be replaced: where a newer "closed" could
// not have been stored, the state is unknown.
func (m Memory) Last(accountID, operationID string) policy.Seen {
	r := m.records(accountID, operationID)
	state, err := r.last()
	if err != nil {
		m.Warn(err)
	}
	return state
}

// Remember stores the server's answer to a query that was sent and answered at these times since boot.
func (m Memory) Remember(accountID, operationID string, open bool, sent, answered time.Duration) {
	a := answer{state: policy.SeenClosed, at: answered}
	if open {
		a = answer{state: policy.SeenOpen, at: sent}
	}
	r := m.records(accountID, operationID)
	if err := r.store(a); err != nil {
		m.Warn(err)
		if !open {
			r.forgetOpen()
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
func (m Memory) Forget(user, service string) {
	if err := os.Remove(m.markFile(user, service)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Warn(err)
	}
}

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

func (m Memory) markFile(user, service string) string {
	return filepath.Join(m.RunDir, "closed", name(user, service))
}

func (m Memory) records(accountID, operationID string) records {
	base := name(accountID, operationID)
	return records{durable: filepath.Join(m.StateDir, "last", base), recent: filepath.Join(m.RunDir, "last", base)}
}

func name(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func touch(path string) error {
	if err := makeParent(path); err != nil {
		return err
	}
	return securefile.Touch(path, 0o600)
}

func makeParent(path string) error { return os.MkdirAll(filepath.Dir(path), 0o700) }

// records are the two files of one latch.
type records struct{ durable, recent string }

func (r records) last() (policy.Seen, error) {
	recent, failed := r.readRecent()
	durable, err := r.readDurable()
	switch err = errors.Join(failed, err); {
	case recent.state == policy.SeenClosed || durable == policy.SeenClosed:
		return policy.SeenClosed, err
	case err != nil || durable != policy.SeenOpen:
		return policy.Never, err
	}
	for _, path := range []string{r.durable, r.recent} {
		if err := errors.Join(makeParent(path), securefile.CheckReplaceable(path)); err != nil {
			return policy.Never, fmt.Errorf("the last known state does not count, because a newer one could not be stored: %w", err)
		}
	}
	return policy.SeenOpen, nil
}

// store replaces both records, unless the answer of a newer query is there. The lock of the recent one is that of both.
func (r records) store(a answer) error {
	if err := makeParent(r.recent); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	return securefile.WithLock(ctx, r.recent, func() error {
		old, err := r.readRecent()
		if err != nil {
			return err
		}
		a.boot = old.boot
		if old.state != policy.Never && !a.supersedes(old) {
			return nil
		}
		if err := securefile.Write(r.recent, []byte(a.text()), 0o600); err != nil {
			return err
		}
		if durable, err := r.readDurable(); err == nil && durable == a.state {
			return nil
		}
		if err := makeParent(r.durable); err != nil {
			return err
		}
		if err := securefile.Sweep(r.durable); err != nil {
			return err
		}
		return securefile.Write(r.durable, []byte(stateWords[a.state]+"\n"), 0o600)
	})
}

// forgetOpen removes what a "closed" that could not be stored must not leave standing. On a full disk this still works.
func (r records) forgetOpen() {
	if recent, _ := r.readRecent(); recent.state != policy.SeenClosed {
		_ = os.Remove(r.recent)
	}
	_ = os.Remove(r.durable)
}

// readRecent returns the newest answer since boot, Never if there is none; its boot is this one in any case.
func (r records) readRecent() (answer, error) {
	boot, err := bootID()
	if err != nil {
		return answer{}, err
	}
	none := answer{boot: boot}
	text, err := read(r.recent)
	if err != nil {
		return none, err
	}
	if a, ok := parse(text); ok && a.boot == boot {
		return a, nil
	}
	return none, nil
}

func (r records) readDurable() (policy.Seen, error) {
	text, err := read(r.durable)
	word, whole := strings.CutSuffix(text, "\n")
	if !whole {
		return policy.Never, err
	}
	return stateOf(word), err
}

// read returns the text of a record, "" where there is none.
func read(path string) (string, error) {
	data, err := securefile.Read(path, sizeLimit)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return string(data), err
}
