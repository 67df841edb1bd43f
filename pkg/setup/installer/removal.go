package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/latch-linux/latch/pkg/setup/openvpn"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// Touched lists the services that were installed here or have a line of ours in their own file, sorted. A file that has
// one and is not to be trusted is an error: the module must not be removed while it is there.
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
		if !serviceName.MatchString(e.Name()) || leftover(e.Name()) {
			continue
		}
		path := filepath.Join(s.PamDirs[0], e.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a directory, or a link to nowhere
		}
		if _, lines := pamconf.Parse(e.Name(), text).Without(); lines > 0 {
			if _, err := readLinked(path); err != nil {
				return nil, err
			}
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// StillAsking tells of the services that ask though our lines are out of every file that PlanRemoval looks at, and where
// their lines stand: in /usr/lib/pam.d, or in a file elsewhere that somebody included.
func (s System) StillAsking() ([]string, error) {
	names, err := s.Services()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, name := range names {
		text, err := s.Read(name)
		if err != nil {
			continue // nobody comes in by it, and it cannot be told what it asks
		}
		for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
			stack, err := pamconf.Load(pamconf.Parse(name, text), phase, s)
			if at := stack.Asks(); err == nil && at >= 0 {
				all = append(all, fmt.Sprintf("%s (%s)", name, stack.Steps[at].Where()))
				break
			}
		}
	}
	return all, nil
}

// PlanRemoval works out how to make a service forget us: back to the bytes of before where nobody changed them since,
// else without our lines. The service's own file comes first.
func (s System) PlanRemoval(service string) ([]Change, error) {
	if !serviceName.MatchString(service) {
		return nil, fmt.Errorf("%q is no name of a PAM service", service)
	}
	files, err := s.files(service)
	if err != nil {
		return nil, err
	}
	var plans []Change
	for _, c := range files {
		if err := s.planRemoval(&c); err != nil {
			return nil, err
		}
		plans = append(plans, c)
	}
	return plans, nil
}

func (s System) planRemoval(c *Change) error {
	text, err := readLinked(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		c.Before, c.After = []byte{}, []byte{}
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.existing(text); err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(c.Path); err != nil {
		return err
	} else if real != c.Path && c.Kind == PAM {
		c.Notes = append(c.Notes, fmt.Sprintf("%s is a symbolic link: the lines go from %s", c.Path, real))
		c.Path = real
	}
	if c.Kind == VPN {
		c.Notes = append(c.Notes, "a server that runs asks PAM until it is restarted: "+restart(c.Path))
	}
	kept, err := s.loadRecord(c.key())
	if err != nil {
		return err
	}
	if kept != nil && kept.after(text) {
		c.After = kept.before
		return nil
	}
	c.After, _ = c.Kind.without(c.Service, text)
	if c.Kind == Unit && c.After != nil {
		c.Notes = append(c.Notes, c.Path+" was changed since latch install and stays")
	}
	return nil
}

// files lists what a service's change may be about: its own file, and what was installed with it.
func (s System) files(service string) ([]Change, error) {
	all := []Change{{Service: service, Path: filepath.Join(s.PamDirs[0], service)}}
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Service == service && r.Kind != PAM {
			all = append(all, Change{Service: service, Kind: r.Kind, Path: r.Path})
		}
	}
	left := s.unitsLeft(service)
	if service == openvpn.Service {
		left = append(left, vpnLeft()...)
	}
	for _, c := range left {
		if !slices.ContainsFunc(all, func(known Change) bool { return known.Path == c.Path }) {
			all = append(all, c)
		}
	}
	return all, nil
}
