package installer

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/setup/openvpn"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// Where distributions put OpenVPN's plugins: Debian, Fedora, Arch and openSUSE.
var pluginDirs = []string{"/usr/lib/*/openvpn/plugins", "/usr/lib64/openvpn/plugins", "/usr/lib/openvpn/plugins", "/usr/lib64/openvpn", "/usr/lib/openvpn"}

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
func (s System) vpnStack(o wanted) ([]byte, error) {
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

// atIncludes reports whether this machine's libpam knows Debian's "@include".
func (s System) atIncludes() bool {
	text, err := s.Read("other")
	return err == nil && slices.ContainsFunc(pamconf.Parse("other", text).Rules, func(r pamconf.Rule) bool { return r.Inclusion == pamconf.IncludeAll })
}

// planVPN plans what an OpenVPN server needs beside its service file.
func (s System) planVPN(server string, codes bool) ([]Change, error) {
	paths, err := s.vpnServers(server)
	if err != nil {
		return nil, err
	}
	var plans []Change
	for _, path := range paths {
		c, err := planServer(path, codes)
		if err != nil {
			return nil, err
		}
		unit, err := s.planVPNUnit(path)
		if err != nil {
			return nil, err
		}
		if unit == nil {
			plans = append(plans, c)
			continue
		}
		if len(unit.left) > 0 {
			return nil, refuse("%s", strings.Join(unit.left, "; "))
		}
		c.Notes = append(c.Notes, unit.tight...)
		plans = append(plans, c)
		if drop := unit.change; drop != nil && !slices.ContainsFunc(plans, func(p Change) bool { return p.Path == drop.Path }) {
			plans = append(plans, *drop)
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
	return all
}

func planServer(path string, codes bool) (Change, error) {
	text, err := readLinked(path)
	if err != nil {
		return Change{}, err
	}
	c := Change{Service: openvpn.Service, Kind: VPN, Path: path}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return Change{}, refuse("%s is a symbolic link, which somebody else manages", path)
	}
	if openvpn.IsClient(text) {
		return Change{}, refuse("%s makes a client of OpenVPN, which asks nobody for a password: name a server's configuration", path)
	}
	if err := c.existing(text); err != nil {
		return Change{}, err
	}
	c.After, c.Notes, err = openvpn.Install(text, openvpn.Wanted{Plugin: vpnPlugin(), OTP: codes})
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
