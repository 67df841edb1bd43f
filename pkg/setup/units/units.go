// Package units reads units of systemd with their drop-ins, as systemd.unit(5) has it, and finds what keeps latch-auth from
// working in one.
package units

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// dirs are where units lie, first come first served.
var dirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// Files is where units lie: below Root in tests, "" on a real machine.
type Files struct{ Root string }

// Value is one assignment of a setting, with the file that makes it.
type Value struct{ Text, Path string }

// Unit is what a unit and its drop-ins set in their section [Service].
type Unit struct {
	Name   string
	values map[string][]Value
}

// DropIn is the file that latch install writes for a unit.
func DropIn(unit string) string { return path.Join(dirs[0], unit+".d", "latch.conf") }

// Load reads a unit and the drop-ins of others for it and its instance, "" for none, with ours as it would be, nil for
// without. It returns nil where there is no such unit.
func (f Files) Load(unit, instance string, ours []byte) (*Unit, error) {
	paths := f.paths(unit, instance)
	if len(paths) == 0 {
		return nil, nil
	}
	own := DropIn(unit)
	if ours != nil && !slices.Contains(paths, own) {
		paths = append(paths, own)
		slices.SortStableFunc(paths[1:], func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	}
	u := &Unit{Name: unit, values: map[string][]Value{}}
	for _, name := range paths {
		text, err := ours, error(nil)
		if name != own {
			text, err = os.ReadFile(f.Root + name)
		}
		if err != nil {
			return nil, err
		}
		u.read(name, string(text))
	}
	return u, nil
}

// paths lists the files of a unit in the order in which systemd reads them: the unit, then the drop-ins in the order of their
// names, whatever directory they lie in. One hides those of its name in later directories and of less exact units.
func (f Files) paths(unit, instance string) []string {
	var main string
	drops := map[string]string{}
	names := slices.Compact([]string{"service", unit, instance})
	for _, name := range names {
		for _, dir := range slices.Backward(dirs) {
			if _, err := os.Stat(f.Root + path.Join(dir, name)); err == nil && name == unit {
				main = path.Join(dir, name)
			}
			found, _ := filepath.Glob(f.Root + path.Join(dir, name+".d", "*.conf")) // a pattern without errors
			for _, drop := range found {
				drops[path.Base(drop)] = strings.TrimPrefix(drop, f.Root)
			}
		}
	}
	if main == "" {
		return nil
	}
	all := []string{main}
	for _, name := range slices.Sorted(maps.Keys(drops)) {
		all = append(all, drops[name])
	}
	return all
}

// read takes the settings of one file: an empty value takes back what was said before.
func (u *Unit) read(name, text string) {
	section := ""
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.ContainsRune("#;", rune(line[0])) {
			continue
		}
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found || section != "[Service]" {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if value == "" {
			delete(u.values, key)
			continue
		}
		u.values[key] = append(u.values[key], Value{value, name})
	}
}

// Last returns the value of a setting that has one.
func (u *Unit) Last(key string) Value {
	if all := u.values[key]; len(all) > 0 {
		return all[len(all)-1]
	}
	return Value{}
}

// On reports whether a boolean is set.
func (u *Unit) On(key string) bool {
	return slices.Contains([]string{"yes", "true", "on", "1"}, strings.ToLower(u.Last(key).Text))
}

// words lists the words of a setting that is a list.
func (u *Unit) words(key string) (words []string) {
	for _, v := range u.values[key] {
		words = append(words, strings.Fields(v.Text)...)
	}
	return words
}
