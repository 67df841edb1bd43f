package installer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/latch-linux/latch/pkg/securefile"
)

// Pending is a set of changes that undoes itself at a time unless it is confirmed before.
type Pending struct {
	At    time.Time `json:"at"`  // of the change
	Due   time.Time `json:"due"` // of the undoing
	Items []Item    `json:"items"`
}

// Item is one changed file and the way back.
type Item struct {
	Service string      `json:"service"`
	Kind    Kind        `json:"kind,omitempty"`
	Path    string      `json:"path"`
	Existed bool        `json:"existed"`
	Before  []byte      `json:"before"` // JSON has it in base64
	Mode    fs.FileMode `json:"mode"`
	Group   int         `json:"group"`
	SHA256  string      `json:"sha256"` // of what was written
}

func (s System) pendingPath() string { return filepath.Join(s.StateDir, "pending") }

// Locked runs fn while nobody else on this machine changes service files through this package.
func (s System) Locked(ctx context.Context, fn func() error) error {
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return err
	}
	return securefile.WithLock(ctx, s.pendingPath(), fn)
}

// ItemOf is the way back from a change.
func ItemOf(c Change) Item {
	return Item{Service: c.Service, Kind: c.Kind, Path: c.Path, Existed: c.Before != nil, Before: c.Before, Mode: c.Mode, Group: c.Group,
		SHA256: digest(c.After)}
}

// SetPending keeps the way back. It is written before the first change is made.
func (s System) SetPending(p Pending) error {
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
	text, err := readLinked(item.Path)
	if errors.Is(err, fs.ErrNotExist) && !item.Existed {
		return s.settle(item, nil)
	}
	if err != nil {
		return err
	}
	c := Change{Service: item.Service, Kind: item.Kind, Path: item.Path, Before: text, Mode: item.Mode, Group: item.Group}
	switch {
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
	return s.settle(item, c.After)
}

// settle makes the record agree with what stands there again: gone with our lines, or that of an earlier install.
func (s System) settle(item Item, now []byte) error {
	c := Change{Service: item.Service, Kind: item.Kind, Path: item.Path, Before: []byte{}, After: []byte{}}
	if _, ours := item.Kind.without(item.Service, now); ours {
		r, err := s.kept(c.key())
		if err != nil || r == nil {
			return err
		}
		r.SHA256 = digest(now)
		return s.keep(*r)
	}
	return s.Undo(c)
}
