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
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
	"github.com/latch-linux/latch/pkg/setup/units"
)

// record is what is kept about a change, as JSON in StateDir, beside the bytes that it replaced.
type record struct {
	Service string    `json:"service"`
	Kind    Kind      `json:"kind,omitempty"`
	Path    string    `json:"path"`
	At      time.Time `json:"at"`
	Existed bool      `json:"existed"`
	SHA256  string    `json:"sha256"` // of what was written
	Options Options   `json:"options"`

	Phases []pamconf.Phase            `json:"phases,omitempty"` // that asked then, of a service
	Lines  map[pamconf.Phase][]string `json:"lines,omitempty"`  // arguments of its lines, by phase

	before []byte // nil where there was no file
}

func (r record) after(text []byte) bool { return r.SHA256 == digest(text) }

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// key names what is kept about a file: by its service, or by its path where it is no service file.
func (c Change) key() string {
	if c.Kind == PAM {
		return c.Service
	}
	return c.Service + "@" + url.PathEscape(c.Path) // no service has an @ in its name
}

func (r record) key() string { return Change{Service: r.Service, Kind: r.Kind, Path: r.Path}.key() }

func (s System) recordPath(key string) string { return filepath.Join(s.StateDir, key+".json") }
func (s System) beforePath(key string) string { return filepath.Join(s.StateDir, key+".before") }

// loadRecord reads the record of a file; nil without one.
func (s System) loadRecord(key string) (*record, error) {
	data, err := securefile.Read(s.recordPath(key), limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", s.recordPath(key), err)
	}
	if r.Kind == PAM && r.Lines == nil {
		r.Lines = r.Options.lines(r.Service, r.Phases)
	}
	if !r.Existed {
		return &r, nil
	}
	if r.before, err = securefile.Read(s.beforePath(key), limit); err != nil {
		return nil, err
	}
	if r.before == nil {
		r.before = []byte{}
	}
	return &r, nil
}

// records returns everything that is kept, by the names of the files.
func (s System) records() ([]record, error) {
	entries, err := os.ReadDir(s.StateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []record
	for _, e := range entries {
		key, found := strings.CutSuffix(e.Name(), ".json")
		if !found {
			continue
		}
		if service, _, _ := strings.Cut(key, "@"); !serviceName.MatchString(service) {
			continue
		}
		r, err := s.loadRecord(key)
		if err != nil {
			return nil, err
		}
		if r != nil { // another process may have taken it away
			all = append(all, *r)
		}
	}
	return all, nil
}

// Installed lists the services that were installed here and not uninstalled, with the options of each.
func (s System) Installed() (map[string]Options, error) {
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	all := map[string]Options{}
	for _, r := range records {
		if _, own := all[r.Service]; !own || r.Kind == PAM {
			all[r.Service] = r.Options
		}
	}
	return all, nil
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
	old, err := s.loadRecord(c.key())
	if err != nil {
		return err
	}
	o.AllowUnprivileged = o.AllowUnprivileged || s.AllowedUnprivileged(c.Service)
	r := record{Service: c.Service, Kind: c.Kind, Path: c.Path, At: now.UTC(), Existed: c.Before != nil, SHA256: digest(c.After), Options: o, before: c.Before}
	if c.Kind == PAM {
		r.Phases, r.Lines = s.preview(c).phases(), ownArgs(pamconf.Parse(c.Service, c.After))
	}
	if old != nil && old.after(c.Before) {
		r.Existed, r.before = old.Existed, old.before
	} else if rest, ours := c.Kind.without(c.Service, c.Before); ours {
		// What is put back must not ask: the module may be gone then.
		r.Existed, r.before = rest != nil, rest
	}
	if err := s.saveRecord(r); err != nil {
		return err
	}
	return c.write()
}

// preview returns the state of the service after a change.
func (s System) preview(c Change) ServiceState {
	return s.with(c.Service, c.After).serviceState(c.Service)
}

func (a ServiceState) phases() []pamconf.Phase { return slices.Sorted(maps.Keys(a.Phases)) }

// Drifted lists the services that were installed here and ask in fewer phases than they did then, with those phases; all
// of them where none asks.
func (s System) Drifted() (map[string][]pamconf.Phase, error) {
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	gone := map[string][]pamconf.Phase{}
	for _, r := range records {
		if r.Kind != PAM {
			continue
		}
		now := s.serviceState(r.Service).phases()
		missing := slices.DeleteFunc(slices.Clone(r.Phases), func(p pamconf.Phase) bool { return slices.Contains(now, p) })
		if len(missing) > 0 || len(now) == 0 {
			gone[r.Service] = missing
		}
	}
	return gone, nil
}

func (s System) saveRecord(r record) error {
	if r.Existed {
		if err := securefile.Write(s.beforePath(r.key()), r.before, 0o600); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return securefile.Write(s.recordPath(r.key()), append(data, '\n'), 0o600)
}

// Undo makes a change that PlanRemoval planned and forgets the file.
func (s System) Undo(c Change) error {
	if !c.None() {
		if err := c.current(); err != nil {
			return err
		}
		if err := c.write(); err != nil {
			return err
		}
	}
	for _, path := range []string{s.recordPath(c.key()), s.beforePath(c.key())} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (c Change) write() error {
	dir := filepath.Dir(c.Path)
	if c.After == nil {
		if err := os.Remove(c.Path); err != nil || c.Kind != Unit {
			return err
		}
		_ = os.Remove(dir) // it stays where there are others in it
		return nil
	}
	if c.Kind == Unit || c.Kind == SSHD {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, place := range units.Writable(c.After) { // a unit may not make what it may write to
		if err := os.MkdirAll(place, 0o700); err != nil {
			return err
		}
	}
	if err := securefile.Sweep(c.Path); err != nil {
		return err
	}
	return securefile.Write(c.Path, c.After, c.Mode)
}

// writable checks that the file can be replaced, or created.
func (c Change) writable() error {
	if _, err := os.Stat(filepath.Dir(c.Path)); errors.Is(err, fs.ErrNotExist) && (c.Kind == Unit || c.Kind == SSHD) {
		return nil // the directory is made with the file
	}
	return securefile.CheckReplaceable(c.Path)
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
