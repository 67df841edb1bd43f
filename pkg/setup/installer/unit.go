package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/openvpn"
	"github.com/latch-linux/latch/pkg/setup/sshd"
	"github.com/latch-linux/latch/pkg/setup/units"
)

// pamHosts are the units of systemd's that run the PAM host of a service. Those that a machine does not have are passed over.
var pamHosts = map[string][]string{
	"cockpit":     {"cockpit-session@.service", "cockpit-wsinstance-http.service", "cockpit-wsinstance-https@.service", "cockpit.service"},
	"cups":        {"cups.service"},
	"dovecot":     {"dovecot.service"},
	"login":       {"getty@.service", "serial-getty@.service", "console-getty.service"},
	"polkit-1":    {"polkit-agent-helper@.service"},
	"proftpd":     {"proftpd.service"},
	"sshd":        {"ssh.service", "ssh@.service", "sshd.service", "sshd@.service"},
	"vsftpd":      {"vsftpd.service"},
	"xrdp-sesman": {"xrdp-sesman.service"},
}

// vpnUnit is a unit of systemd's that runs the configurations of one directory.
type vpnUnit struct{ dir, unit string }

var vpnUnits = []vpnUnit{{"/etc/openvpn/server", "openvpn-server@.service"}, {"/etc/openvpn", "openvpn@.service"}}

// enoughTasks lets about sixty people log in at the same time: each is a process of the plugin's and an authenticator of
// a few threads.
const enoughTasks = 512

// The settings that limit tasks: of the whole unit, and of everything that runs as its user. The latter never holds root.
const (
	tasksMax   = "TasksMax"
	limitNPROC = "LimitNPROC"
)

func raised(limit string) string { return fmt.Sprintf("%s=%d", limit, enoughTasks) }

// oursAlone reports whether a drop-in holds nothing but what latch install writes.
func oursAlone(text []byte) bool { return units.IsOurs(text, raised(tasksMax), raised(limitNPROC)) }

// units are the units of this machine.
func (s System) units() units.Files { return units.Files{Root: s.Root} }

// unitPlan is what a unit needs before a PAM host in it can run latch-auth.
type unitPlan struct {
	change *Change  // the drop-in, nil for none
	does   []string // what it lifts
	left   []string // what keeps latch-auth from working all the same
	tight  []string // limits of tasks that are too low all the same
}

// planUnit plans the drop-in of one unit, nil where there is no such unit. busy is for a host of many logins at once.
func (s System) planUnit(service, unit, instance string, busy bool) (*unitPlan, error) {
	bare, err := s.units().Load(unit, instance, nil)
	if bare == nil || err != nil {
		return nil, err
	}
	places := s.places(service)
	p := &unitPlan{}
	var lines []string
	for _, o := range bare.Obstacles(places) {
		if o.Line == "" {
			p.left = append(p.left, unit+": "+o.Text)
			continue
		}
		lines, p.does = append(lines, o.Line), append(p.does, unit+": "+o.Text)
	}
	low := []string{}
	if busy {
		low = tooLow(bare)
	}
	with, err := s.units().Load(unit, instance, units.Text(append(lines, raised(tasksMax), raised(limitNPROC))))
	if err != nil {
		return nil, err
	}
	for _, o := range with.Obstacles(places) {
		if o.Line != "" {
			p.left = append(p.left, unit+": "+o.Text+": change it there, since that file comes after "+units.DropIn(unit))
		}
	}
	for _, limit := range low {
		if slices.Contains(tooLow(with), limit) { // by a file that comes after ours
			p.tight = append(p.tight, fmt.Sprintf("%s: raise it there to %d", tight(with, limit), enoughTasks))
			continue
		}
		lines, p.does = append(lines, raised(limit)), append(p.does, tight(bare, limit))
	}
	if len(lines) > 0 {
		p.change, err = s.unitChange(service, unit, units.Text(lines), p.does)
	}
	return p, err
}

// unitChange is the change that writes a drop-in.
func (s System) unitChange(service, unit string, text []byte, does []string) (*Change, error) {
	c := &Change{Service: service, Kind: Unit, Path: s.Root + units.DropIn(unit), Mode: 0o644, After: text, Notes: slices.Clone(does)}
	if !strings.Contains(unit, "@") {
		c.Notes = append(c.Notes, "it counts once the unit is restarted: systemctl restart "+unit)
	}
	now, err := readLinked(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	return c, c.existing(now)
}

// places are the directories that the lines of a service need.
func (s System) places(service string) units.Places {
	c := config.Defaults()
	for _, line := range s.serviceState(service).Ours() {
		if own, err := line.Load(); err == nil {
			c = own
			break
		}
	}
	return units.Places{Write: []string{c.StateDir, c.RunDir}, Read: []string{"/etc/latch"}}
}

// planUnits plans the drop-ins of the units that run a service's PAM host, and refuses where one cannot run latch-auth.
func (s System) planUnits(service string) ([]Change, error) {
	var plans []Change
	for _, unit := range s.unitsOf(service) {
		p, err := s.planUnit(service, unit, "", false)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		if len(p.left) > 0 {
			return nil, refuse("%s", strings.Join(p.left, "; "))
		}
		if p.change != nil {
			plans = append(plans, *p.change)
		}
	}
	return plans, nil
}

// unitsOf are the units that may run the PAM host of a service.
func (s System) unitsOf(service string) []string {
	if s.UsedBy(service) == sshd.Service {
		service = sshd.Service
	}
	return pamHosts[service]
}

// UnitProblem is what keeps latch-auth from working in a unit.
type UnitProblem struct {
	Text    string
	Install bool // installing the service lifts it
}

// UnitProblems finds what keeps latch-auth from working where systemd runs the PAM host of a service.
func (s System) UnitProblems(service string) (found []UnitProblem, err error) {
	for _, unit := range s.unitsOf(service) {
		p, err := s.planUnit(service, unit, "", false)
		if err != nil {
			return nil, err
		}
		found = append(found, p.problems()...)
	}
	return found, nil
}

func (p *unitPlan) problems() (found []UnitProblem) {
	if p == nil {
		return nil
	}
	for _, text := range slices.Concat(p.left, p.tight) {
		found = append(found, UnitProblem{Text: text})
	}
	if p.change != nil && !p.change.None() {
		for _, text := range p.does {
			found = append(found, UnitProblem{text, true})
		}
	}
	return found
}

// planVPNUnit plans the drop-in for the unit that runs a server's configuration; nil for none.
func (s System) planVPNUnit(path string) (*unitPlan, error) {
	i := slices.IndexFunc(vpnUnits, func(at vpnUnit) bool { return filepath.Dir(path) == at.dir })
	if i < 0 {
		return nil, nil
	}
	return s.planUnit(openvpn.Service, vpnUnits[i].unit, UnitOf(path), true)
}

// VPNUnitProblems finds what leaves too little room for logins in the unit that runs a server's configuration.
func (s System) VPNUnitProblems(path string) ([]UnitProblem, error) {
	p, err := s.planVPNUnit(path)
	return p.problems(), err
}

// tooLow lists the limits that are numbers and too low. A share, infinity and nothing are none.
func tooLow(u *units.Unit) (limits []string) {
	for _, limit := range []string{tasksMax, limitNPROC} {
		soft, _, _ := strings.Cut(u.Last(limit).Text, ":")
		n, err := strconv.Atoi(soft)
		if root := slices.Contains([]string{"", "root", "0"}, u.Last("User").Text); err == nil && n < enoughTasks && !(limit == limitNPROC && root) {
			limits = append(limits, limit)
		}
	}
	return limits
}

func tight(u *units.Unit, limit string) string {
	v := u.Last(limit)
	return fmt.Sprintf("%s has %s=%s, which is too little for a few people who log in at the same moment", v.Path, limit, v.Text)
}

// unitsLeft lists our drop-ins for a service of which no record may tell any more.
func (s System) unitsLeft(service string) (all []Change) {
	names := s.unitsOf(service)
	if service == openvpn.Service {
		for _, at := range vpnUnits {
			names = append(names, at.unit)
		}
	}
	for _, unit := range names {
		path := s.Root + units.DropIn(unit)
		if text, err := readLinked(path); err == nil && oursAlone(text) {
			all = append(all, Change{Service: service, Kind: Unit, Path: path})
		}
	}
	return all
}
