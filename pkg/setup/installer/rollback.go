package installer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// Pending is a set of changes that undoes itself at a time unless it is confirmed before.
type Pending struct {
	At    time.Time     `json:"at"`   // of the change
	Due   time.Time     `json:"due"`  // of the undoing; zero while a change is made that needs no confirmation
	Made  Moment        `json:"made"` // At, as no setting of the clock moves it
	Wait  time.Duration `json:"wait"` // from At to Due
	Items []Item        `json:"items"`
}

// Left is how long the change still waits, at most zero when it is to be undone. Setting the clock does not move it, but
// after a reboot there is only the clock to go by.
func (p Pending) Left(now time.Time, moment Moment) time.Duration {
	switch {
	case p.Made.Boot == moment.Boot:
		return p.Made.Since + p.Wait - moment.Since
	case now.Before(p.At):
		return 0 // the clock has lost the time
	}
	return p.Due.Sub(now)
}

// Interrupted reports whether the process that made the change ended in the middle of it. The caller holds the lock.
func (p Pending) Interrupted() bool { return p.Due.IsZero() }

// Item is one changed file and the way back.
type Item struct {
	Service string      `json:"service"`
	Kind    Kind        `json:"kind,omitempty"`
	Path    string      `json:"path"`
	Existed bool        `json:"existed"`
	Before  []byte      `json:"before"` // JSON has it in base64
	Mode    fs.FileMode `json:"mode"`
	SHA256  string      `json:"sha256"`            // of what was written
	Earlier *record     `json:"earlier,omitempty"` // what was kept of an installation before this one
}

func (s System) pendingPath() string { return filepath.Join(s.StateDir, "pending") }

// Locked runs fn while nobody else on this machine changes service files through this package.
func (s System) Locked(ctx context.Context, fn func() error) error {
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return err
	}
	return securefile.WithLock(ctx, s.pendingPath(), fn)
}

// Prepare keeps the way back from changes that are about to be made. It refuses where a file is not what its plan was made
// for, so that the way back leads to nothing older than that, and where one cannot be written. The caller holds the lock.
func (s System) Prepare(p Pending, changes []Change) error {
	for _, c := range changes {
		if c.None() {
			continue
		}
		if err := c.current(); err != nil {
			return err
		}
		if err := c.writable(); err != nil {
			return err
		}
		earlier, err := s.loadRecord(c.key())
		if err != nil {
			return err
		}
		p.Items = append(p.Items, Item{Service: c.Service, Kind: c.Kind, Path: c.Path, Existed: c.Before != nil, Before: c.Before,
			Mode: c.Mode, SHA256: digest(c.After), Earlier: earlier})
	}
	return s.setPending(p)
}

func (s System) setPending(p Pending) error {
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return err
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return securefile.Write(s.pendingPath(), append(data, '\n'), 0o600)
}

// Pending returns the changes that wait to be confirmed, nil for none.
func (s System) Pending() (*Pending, error) {
	data, err := securefile.Read(s.pendingPath(), 16*limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := new(Pending)
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("%s: %w", s.pendingPath(), err)
	}
	return p, nil
}

// Confirm keeps the changes for good.
func (s System) Confirm() error { return os.Remove(s.pendingPath()) }

// Rollback undoes the changes that wait, and tells which services it put back. A file that somebody changed meanwhile
// only loses our lines.
func (s System) Rollback() ([]string, error) {
	p, err := s.Pending()
	if err != nil || p == nil {
		return nil, err
	}
	var done []string
	var failures []error
	for _, item := range p.Items {
		if err := s.rollback(item); err != nil {
			failures = append(failures, err)
			continue
		}
		if !slices.Contains(done, item.Service) {
			done = append(done, item.Service)
		}
	}
	if len(failures) > 0 {
		return done, errors.Join(failures...)
	}
	return done, s.Confirm()
}

func (s System) rollback(item Item) error {
	key := Change{Service: item.Service, Kind: item.Kind, Path: item.Path}.key()
	for _, path := range []string{item.Path, s.recordPath(key), s.beforePath(key)} {
		if err := securefile.Sweep(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	text, err := readLinked(item.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.settle(item) // it was not written yet, or somebody removed it
	}
	if err != nil {
		return err
	}
	c := Change{Service: item.Service, Kind: item.Kind, Path: item.Path, Before: text, Mode: item.Mode}
	switch {
	case item.Existed && bytes.Equal(text, item.Before): // it was not written yet
		c.After = text
	case digest(text) != item.SHA256:
		c.After, _ = item.Kind.without(item.Service, text)
	case item.Existed:
		if c.After = item.Before; c.After == nil {
			c.After = []byte{}
		}
	}
	if !c.None() {
		if err := c.write(); err != nil {
			return err
		}
	}
	return s.settle(item)
}

// settle makes the record what it was. Where a file that asked before asks no more, since somebody changed it, the record
// lets Installed name it still.
func (s System) settle(item Item) error {
	c := Change{Service: item.Service, Kind: item.Kind, Path: item.Path, Before: []byte{}, After: []byte{}}
	if item.Earlier == nil {
		return s.Undo(c)
	}
	now, err := s.loadRecord(c.key())
	if err != nil {
		return err
	}
	earlier := *item.Earlier
	if now != nil && now.Existed {
		earlier.before = now.before
	}
	return s.saveRecord(earlier)
}
