package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/openvpn"
	"github.com/latch-linux/latch/pkg/pamconf"
)

// Where distributions put OpenVPN's plugins: Debian, Fedora, Arch and openSUSE.
var pluginDirs = []string{"/usr/lib/*/openvpn/plugins", "/usr/lib64/openvpn/plugins", "/usr/lib/openvpn/plugins", "/usr/lib64/openvpn", "/usr/lib/openvpn"}

// vpnUnit is a unit of systemd's that runs the configurations of one directory.
type vpnUnit struct{ dir, unit string }

var vpnUnits = []vpnUnit{{"/etc/openvpn/server", "openvpn-server@.service"}, {"/etc/openvpn", "openvpn@.service"}}

// unitDirs are where units lie, first come first served (systemd.unit(5)).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// enoughTasks lets about sixty people log in at the same time: each is a process of the plugin's and an authenticator of
// a few threads.
const enoughTasks = 512

const dropIn = "# Written by latch install: every login needs a process of the plugin's and the threads of latch-auth.\n[Service]\nTasksMax=512\n"

// stacks are what a service file of ours can be made of, best first. A substack comes last: behind one that failed,
// libpam goes on to the next rule.
var stacks = []struct{ auth, account, needs string }{
	{"@include common-auth", "@include common-account", "common-auth"},
	{"auth       include      common-auth", "account    include      common-account", "common-auth"},
	{"auth       include      system-auth", "account    include      system-auth", "system-auth"},
	{"auth       substack     system-auth", "account    include      system-auth", "system-auth"},
}

// vpnStack makes a service file for OpenVPN out of the system's common stacks: the first form in which a line of ours
// finds a place in both phases, or the last form that libpam can read.
func (s System) vpnStack(o Options) ([]byte, error) {
	var last []byte
	for n, form := range stacks {
		if _, _, err := s.find(form.needs); errors.Is(err, ErrNoService) || n == 0 && !s.atIncludes() {
			continue
		} else if err != nil {
			return nil, err
		}
		last = fmt.Appendf(nil, "# PAM service of OpenVPN's plugin openvpn-plugin-auth-pam, written by latch install.\n%s\n%s\n", form.auth, form.account)
		var c Change
		if after, err := s.edit(pamconf.Parse(openvpn.Service, last), o, &c); err == nil && strings.Count(string(after.Bytes()), pamconf.ModuleFile) == 2 {
			return last, nil
		}
	}
	if last == nil {
		return nil, fmt.Errorf("%q: %w, and neither common-auth nor system-auth to make one of", openvpn.Service, ErrNoService)
	}
	return last, nil
}

// atIncludes tells whether this machine's libpam knows Debian's "@include".
func (s System) atIncludes() bool {
	text, err := s.Read("other")
	return err == nil && slices.ContainsFunc(pamconf.Parse("other", text).Rules, func(r pamconf.Rule) bool { return r.Inclusion == pamconf.IncludeAll })
}

// planVPN plans what an OpenVPN server needs beside its service file.
func (s System) planVPN(o Options) ([]Change, error) {
	paths, err := s.vpnServers(o.Server)
	if err != nil {
		return nil, err
	}
	var plans []Change
	for _, path := range paths {
		c, err := planServer(path, o)
		if err != nil {
			return nil, err
		}
		plans = append(plans, c)
		unit, err := planUnit(path)
		if err != nil {
			return nil, err
		}
		if unit != nil && !slices.ContainsFunc(plans, func(p Change) bool { return p.Path == unit.Path }) {
			plans = append(plans, *unit)
		}
	}
	return plans, nil
}

// vpnServers are the configurations to change: the named one, those that were changed before, or the only one.
func (s System) vpnServers(named string) ([]string, error) {
	if named != "" {
		if !filepath.IsAbs(named) {
			return nil, fmt.Errorf("%q is no absolute path", named)
		}
		return []string{named}, nil
	}
	files, err := s.files(openvpn.Service)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, c := range files {
		if c.Kind == VPN {
			found = append(found, c.Path)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if found = vpnConfigs(openvpn.IsServer); len(found) > 1 {
		return nil, fmt.Errorf("there is more than one OpenVPN server: name one with --server-config: %s", strings.Join(found, ", "))
	}
	return found, nil
}

// vpnConfigs lists the configurations of OpenVPN that are as wanted.
func vpnConfigs(wanted func(text []byte) bool) []string {
	var found []string
	for _, at := range vpnUnits {
		paths, _ := filepath.Glob(at.dir + "/*.conf") // a pattern without errors
		for _, path := range paths {
			if text, err := readLinked(path); err == nil && wanted(text) {
				found = append(found, path)
			}
		}
	}
	return found
}

// vpnLeft lists the files with a part of ours of which no record may tell any more.
func vpnLeft() []Change {
	var all []Change
	for _, path := range vpnConfigs(func(text []byte) bool { _, lines := openvpn.Uninstall(text); return lines > 0 }) {
		all = append(all, Change{Service: openvpn.Service, Kind: VPN, Path: path})
	}
	for _, at := range vpnUnits {
		path := dropInPath(at.unit)
		if text, err := readLinked(path); err == nil && string(text) == dropIn {
			all = append(all, Change{Service: openvpn.Service, Kind: Unit, Path: path})
		}
	}
	return all
}

func dropInPath(unit string) string { return filepath.Join(unitDirs[0], unit+".d", "latch.conf") }

func planServer(path string, o Options) (Change, error) {
	text, err := readLinked(path)
	if err != nil {
		return Change{}, err
	}
	c := Change{Service: openvpn.Service, Kind: VPN, Path: path}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return Change{}, refuse("%s is a symbolic link, which somebody else manages", path)
	}
	if err := c.existing(text); err != nil {
		return Change{}, err
	}
	c.After, c.Notes, err = openvpn.Install(text, openvpn.Wanted{Plugin: vpnPlugin(), OTP: o.OTP != "" && o.OTP != "no"})
	if err != nil {
		return Change{}, fmt.Errorf("%s: %w: %w", path, ErrRefused, err)
	}
	if !c.None() {
		c.Notes = append(c.Notes, "a server that runs takes this in when it is restarted, which ends its tunnels for a moment: "+restart(path))
	}
	return c, nil
}

// restart is the command that restarts the server of a configuration.
func restart(path string) string {
	if unit := UnitOf(path); unit != "" {
		return "systemctl restart " + unit
	}
	return "restart OpenVPN"
}

// UnitOf names the unit that runs a configuration, "" for none.
func UnitOf(path string) string {
	name, isConf := strings.CutSuffix(filepath.Base(path), ".conf")
	for _, at := range vpnUnits {
		if isConf && filepath.Dir(path) == at.dir {
			return strings.Replace(at.unit, "@", "@"+name, 1)
		}
	}
	return ""
}

// vpnPlugin finds the plugin, "" for nowhere.
func vpnPlugin() string {
	for _, dir := range pluginDirs {
		for _, name := range openvpn.PluginFiles {
			if paths, _ := filepath.Glob(filepath.Join(dir, name)); len(paths) > 0 {
				return paths[0]
			}
		}
	}
	return ""
}

// tasksMax is a limit of systemd.resource-control(5) that is a number.
var tasksMax = regexp.MustCompile(`(?m)^\s*TasksMax\s*=\s*([0-9]+)\s*$`)

// planUnit plans the drop-in for the unit that runs a configuration, where the unit allows too few tasks; else nil.
func planUnit(path string) (*Change, error) {
	for _, at := range vpnUnits {
		if filepath.Dir(path) != at.dir {
			continue
		}
		limit, err := unitTasks(at.unit)
		if err != nil || limit < 0 || limit >= enoughTasks {
			return nil, err
		}
		c := &Change{Service: openvpn.Service, Kind: Unit, Path: dropInPath(at.unit), Mode: 0o644}
		text, err := readLinked(c.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			if err := c.existing(text); err != nil {
				return nil, err
			}
		}
		c.After = []byte(dropIn)
		c.Notes = []string{fmt.Sprintf("%s has TasksMax=%d, which is too little for a few people who log in at the same moment", at.unit, limit)}
		return c, nil
	}
	return nil, nil
}

// unitTasks reads how many tasks a unit allows: the last drop-in of somebody else's counts, or the unit; -1 for no limit
// that is a number.
func unitTasks(unit string) (int, error) {
	limit := -1
	for _, dir := range unitDirs {
		text, err := os.ReadFile(filepath.Join(dir, unit))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return -1, err
		}
		limit = lastTasks(text, limit)
		break
	}
	drops, _ := filepath.Glob(filepath.Join(unitDirs[0], unit+".d", "*.conf"))
	for _, path := range drops {
		if filepath.Base(path) == "latch.conf" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return -1, err
		}
		limit = lastTasks(text, limit)
	}
	return limit, nil
}

func lastTasks(text []byte, before int) int {
	all := tasksMax.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return before
	}
	n, err := strconv.Atoi(string(all[len(all)-1][1]))
	if err != nil {
		return before
	}
	return n
}
