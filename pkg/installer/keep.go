package installer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/latch-linux/latch/pkg/pamconf"
	"github.com/latch-linux/latch/pkg/securefile"
)

// record is what is kept about a change, as JSON in StateDir, beside the bytes that it replaced.
type record struct {
	Service string    `json:"service"`
	Path    string    `json:"path"`
	At      time.Time `json:"at"`
	Existed bool      `json:"existed"`
	SHA256  string    `json:"sha256"` // of what was written
	Options Options   `json:"options"`

	before []byte // nil where there was no file
}

func (r record) after(text []byte) bool { return r.SHA256 == digest(text) }

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (s System) recordPath(service string) string { return filepath.Join(s.StateDir, service+".json") }
func (s System) beforePath(service string) string {
	return filepath.Join(s.StateDir, service+".before")
}

// kept reads what is kept about a service, nil for nothing.
func (s System) kept(service string) (*record, error) {
	data, err := securefile.Read(s.recordPath(service), limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", s.recordPath(service), err)
	}
	if !r.Existed {
		return &r, nil
	}
	if r.before, err = securefile.Read(s.beforePath(service), limit); err != nil {
		return nil, err
	}
	if r.before == nil {
		r.before = []byte{}
	}
	return &r, nil
}

// Installed lists the services that were installed here and not uninstalled, with the options of each.
func (s System) Installed() (map[string]Options, error) {
	paths, err := filepath.Glob(filepath.Join(s.StateDir, "*.json"))
	if err != nil {
		return nil, err
	}
	all := map[string]Options{}
	for _, path := range paths {
		service := filepath.Base(path[:len(path)-len(".json")])
		if !serviceName.MatchString(service) {
			continue
		}
		r, err := s.kept(service)
		if err != nil {
			return nil, err
		}
		all[service] = r.Options
	}
	return all, nil
}

// Touched lists the services that were installed here or have a line of ours in their own file, sorted.
func (s System) Touched() ([]string, error) {
	installed, err := s.Installed()
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(installed))
	entries, err := os.ReadDir(s.PamDirs[0])
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		text, err := readLinked(filepath.Join(s.PamDirs[0], e.Name()))
		if err != nil || leftover(e.Name()) {
			continue // what cannot be read cannot be changed, and may be a directory
		}
		if _, lines := pamconf.Parse(e.Name(), text).Without(); lines > 0 {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Apply makes a change. What it replaces is on disk before the new file is. It refuses where the file is not what the
// plan was made for.
func (s System) Apply(c Change, o Options, now time.Time) error {
	if c.None() {
		return nil
	}
	if err := c.current(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return err
	}
	// A second change keeps what the first one replaced, as long as nobody came in between.
	old, err := s.kept(c.Service)
	if err != nil {
		return err
	}
	r := record{Service: c.Service, Path: c.Path, At: now.UTC(), Existed: c.Before != nil, SHA256: digest(c.After), Options: o, before: c.Before}
	if old != nil && old.after(c.Before) {
		r.Existed, r.before = old.Existed, old.before
	}
	if err := s.keep(r); err != nil {
		return err
	}
	return securefile.Write(c.Path, c.After, c.Mode)
}

func (s System) keep(r record) error {
	if r.Existed {
		if err := securefile.Write(s.beforePath(r.Service), r.before, 0o600); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return securefile.Write(s.recordPath(r.Service), append(data, '\n'), 0o600)
}

// Undo makes the change that PlanRemoval planned and forgets the service.
func (s System) Undo(c Change) error {
	if !c.None() {
		if err := c.current(); err != nil {
			return err
		}
		if err := c.write(); err != nil {
			return err
		}
	}
	for _, path := range []string{s.recordPath(c.Service), s.beforePath(c.Service)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (c Change) write() error {
	if c.After == nil {
		return os.Remove(c.Path)
	}
	return securefile.Write(c.Path, c.After, c.Mode)
}

// current checks that the file still is what the plan was made for.
func (c Change) current() error {
	text, err := readLinked(c.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Before == nil:
		return nil
	case err != nil:
		return err
	case c.Before == nil || !bytes.Equal(text, c.Before):
		return fmt.Errorf("%s was changed by somebody else meanwhile; nothing was written", c.Path)
	}
	return nil
}
