package installer

import (
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

	"github.com/latch-linux/latch/pkg/setup/openvpn"
)

// vpnUnit is a unit of systemd's that runs the configurations of one directory.
type vpnUnit struct{ dir, unit string }

var vpnUnits = []vpnUnit{{"/etc/openvpn/server", "openvpn-server@.service"}, {"/etc/openvpn", "openvpn@.service"}}

// unitDirs are where units lie, first come first served (systemd.unit(5)).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// enoughTasks lets about sixty people log in at the same time: each is a process of the plugin's and an authenticator of
// a few threads.
const enoughTasks = 512

// The settings that limit tasks: of the whole unit, and of everything that runs as its user. The latter never holds root.
const (
	tasksMax   = "TasksMax"
	limitNPROC = "LimitNPROC"
)

// dropIns are what latch install writes, by the limits of the unit that are too low.
var dropIns = []string{dropIn(tasksMax), dropIn(limitNPROC), dropIn(tasksMax, limitNPROC)}

func dropIn(limits ...string) string {
	text := "# Written by latch install: every login needs a process of the plugin's and the threads of latch-auth.\n[Service]\n"
	for _, limit := range limits {
		text += fmt.Sprintf("%s=%d\n", limit, enoughTasks)
	}
	return text
}

func dropInPath(unit string) string { return filepath.Join(unitDirs[0], unit+".d", "latch.conf") }

// planUnit plans the drop-in for the unit that runs a configuration, where the unit allows too few tasks, and tells so.
// Where a drop-in of somebody else's counts more than ours would, there is nothing to plan.
func planUnit(path string) (c *Change, tight string, err error) {
	i := slices.IndexFunc(vpnUnits, func(at vpnUnit) bool { return filepath.Dir(path) == at.dir })
	if i < 0 {
		return nil, "", nil
	}
	unit := vpnUnits[i].unit
	set, err := unitSettings(unit, UnitOf(path))
	if err != nil {
		return nil, "", err
	}
	var raised, notes []string
	for _, limit := range set.tooLow() {
		note := fmt.Sprintf("%s has %s=%s, which is too little for a few people who log in at the same moment", set[limit].path, limit, set[limit].value)
		if by := filepath.Base(set[limit].path); by != unit && by > filepath.Base(dropInPath(unit)) {
			note += fmt.Sprintf(": raise it there to %d", enoughTasks)
		} else {
			raised = append(raised, limit)
		}
		notes = append(notes, note)
	}
	tight = strings.Join(notes, "; ")
	if len(raised) == 0 {
		return nil, tight, nil
	}
	c = &Change{Service: openvpn.Service, Kind: Unit, Path: dropInPath(unit), Mode: 0o644, After: []byte(dropIn(raised...)), Notes: []string{tight}}
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

// settings are what a unit and the drop-ins of others say, by name, with the file that says it.
type settings map[string]struct{ value, path string }

// tooLow lists the limits that are numbers and too low. A share, infinity and nothing are none.
func (s settings) tooLow() (limits []string) {
	for _, limit := range []string{tasksMax, limitNPROC} {
		soft, _, _ := strings.Cut(s[limit].value, ":")
		n, err := strconv.Atoi(soft)
		if root := slices.Contains([]string{"", "root", "0"}, s["User"].value); err == nil && n < enoughTasks && !(limit == limitNPROC && root) {
			limits = append(limits, limit)
		}
	}
	return limits
}

var setting = regexp.MustCompile(`(?m)^[ \t]*(TasksMax|LimitNPROC|User)[ \t]*=[ \t]*(\S*)[ \t]*\r?$`)

// unitSettings reads a unit and the drop-ins of others for it and its instance. As systemd.unit(5) has it, drop-ins are
// read in the order of their names, whatever directory they lie in, and one hides those of its name in later directories.
func unitSettings(unit, instance string) (settings, error) {
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
	all := settings{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, found := range setting.FindAllStringSubmatch(string(text), -1) {
			all[found[1]] = struct{ value, path string }{found[2], path}
		}
	}
	return all, nil
}
