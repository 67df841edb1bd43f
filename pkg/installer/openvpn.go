package installer

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
		unit, tight, err := planUnit(path)
		if err != nil {
			return nil, err
		}
		if unit == nil && tight != "" {
			c.Notes = append(c.Notes, tight)
		}
		plans = append(plans, c)
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
	c.After, c.Notes, err = openvpn.Install(text, openvpn.Wanted{Plugin: vpnPlugin(), OTP: o.Codes})
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

// vpnPlugin finds the plugin, "" for nowhere. Where Debian has it for several architectures, it is that of this program.
func vpnPlugin() string {
	var found []string
	for _, dir := range pluginDirs {
		for _, name := range openvpn.PluginFiles {
			paths, _ := filepath.Glob(filepath.Join(dir, name)) // patterns without errors
			found = append(found, paths...)
		}
	}
	own := machine("/proc/self/exe")
	if i := slices.IndexFunc(found, func(path string) bool { return machine(path) == own }); i >= 0 {
		return found[i]
	}
	return ""
}

// machine is the architecture that a program is for, EM_NONE where that cannot be told.
func machine(path string) elf.Machine {
	f, err := elf.Open(path)
	if err != nil {
		return elf.EM_NONE
	}
	defer f.Close()
	return f.Machine
}

// planUnit plans the drop-in for the unit that runs a configuration, where the unit allows too few tasks, and tells so.
// Where a drop-in of somebody else's counts more than ours would, there is nothing to plan.
func planUnit(path string) (c *Change, tight string, err error) {
	i := slices.IndexFunc(vpnUnits, func(at vpnUnit) bool { return filepath.Dir(path) == at.dir })
	if i < 0 {
		return nil, "", nil
	}
	unit := vpnUnits[i].unit
	limit, err := unitTasks(unit, UnitOf(path))
	if err != nil || limit.tasks < 0 || limit.tasks >= enoughTasks {
		return nil, "", err
	}
	tight = fmt.Sprintf("%s has TasksMax=%d, which is too little for a few people who log in at the same moment", limit.path, limit.tasks)
	c = &Change{Service: openvpn.Service, Kind: Unit, Path: dropInPath(unit), Mode: 0o644, After: []byte(dropIn), Notes: []string{tight}}
	if filepath.Base(limit.path) != unit && filepath.Base(limit.path) > filepath.Base(c.Path) {
		return nil, fmt.Sprintf("%s: raise it there to %d", tight, enoughTasks), nil
	}
	text, err := readLinked(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, tight, nil
	}
	if err != nil {
		return nil, "", err
	}
	return c, tight, c.existing(text)
}

// TightUnit tells in what way the unit that runs a server's configuration leaves too little room for logins, "" for none.
func TightUnit(path string) (string, error) {
	c, tight, err := planUnit(path)
	if err != nil || c != nil && c.None() {
		return "", err
	}
	return tight, nil
}

// tasksLimit is how many tasks a unit allows, -1 for no limit that is a number, and the file that says so.
type tasksLimit struct {
	tasks int
	path  string
}

// unitTasks reads a unit and the drop-ins of others for it and its instance. As systemd.unit(5) has it, drop-ins are read
// in the order of their names, whatever directory they lie in, and one hides those of its name in later directories.
func unitTasks(unit, instance string) (tasksLimit, error) {
	var paths []string
	drops := map[string]string{}
	for _, name := range []string{unit, instance} {
		for _, dir := range slices.Backward(unitDirs) {
			if found, _ := filepath.Glob(filepath.Join(dir, name)); name == unit && found != nil {
				paths = found
			}
			found, _ := filepath.Glob(filepath.Join(dir, name+".d", "*.conf"))
			for _, path := range found {
				drops[filepath.Base(path)] = path
			}
		}
	}
	delete(drops, filepath.Base(dropInPath(unit)))
	for _, name := range slices.Sorted(maps.Keys(drops)) {
		paths = append(paths, drops[name])
	}
	limit := tasksLimit{tasks: -1}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return limit, err
		}
		limit = limit.under(path, text)
	}
	return limit, nil
}

// tasksMax is the setting of systemd.resource-control(5): a number, a share, or infinity.
var tasksMax = regexp.MustCompile(`(?m)^\s*TasksMax\s*=[ \t]*(\S*)\s*$`)

// under is the limit after one more file was read.
func (l tasksLimit) under(path string, text []byte) tasksLimit {
	all := tasksMax.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return l
	}
	n, err := strconv.Atoi(string(all[len(all)-1][1]))
	if err != nil {
		n = -1
	}
	return tasksLimit{n, path}
}
