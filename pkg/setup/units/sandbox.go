package units

import (
	"path"
	"slices"
	"strings"
)

// Obstacle is a setting of a unit that keeps latch-auth from working in it.
type Obstacle struct {
	Text string // the setting, and what it does
	Line string // of a drop-in that lifts it, "" where only the administrator can
}

// Head is the first line of the drop-ins that latch install writes.
const Head = "# Written by latch install, taken away by latch uninstall: what latch-auth needs in this unit.\n"

// Lines that lift a setting.
const (
	network  = "PrivateNetwork=no"
	families = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"
	writable = "ReadWritePaths="
)

// Places are the directories that latch-auth needs.
type Places struct {
	Write []string // where it keeps its state
	Read  []string // its configuration and its program
}

// Obstacles finds what keeps latch-auth, which the unit's PAM host runs as a child, from the network and from its files.
func (u *Unit) Obstacles(p Places) (found []Obstacle) {
	if u.On("PrivateNetwork") {
		found = append(found, Obstacle{u.says("PrivateNetwork") + " leaves it no network", network})
	}
	if u.lacksFamilies() {
		found = append(found, Obstacle{u.says("RestrictAddressFamilies") + " keeps it from the network", families})
	}
	if deny := u.Last("IPAddressDeny"); deny.Text != "" && !slices.Contains(u.words("IPAddressAllow"), "any") {
		found = append(found, Obstacle{Text: u.says("IPAddressDeny") + " may keep it from the Latch server: add IPAddressAllow= with the server's addresses and IPAddressAllow=localhost"})
	}
	if dirs := u.readOnly(p.Write); len(dirs) > 0 {
		found = append(found, Obstacle{u.readOnlyBy() + " makes " + strings.Join(dirs, " and ") + " read-only", writable + "-" + strings.Join(dirs, " -")})
	}
	for _, key := range []string{"InaccessiblePaths", "TemporaryFileSystem", "NoExecPaths"} {
		if dirs := covered(u.words(key), append(p.Read, p.Write...)); len(dirs) > 0 && (key != "NoExecPaths" || len(covered(u.words("ExecPaths"), p.Read)) == 0) {
			found = append(found, Obstacle{Text: u.says(key) + " hides " + strings.Join(dirs, " and ") + ": take it away"})
		}
	}
	for _, key := range []string{"RootDirectory", "RootImage"} {
		if u.Last(key).Text != "" && u.Last(key).Text != "/" {
			found = append(found, Obstacle{Text: u.says(key) + " gives it another file system: take it away"})
		}
	}
	return found
}

// says quotes a setting with the file that makes it.
func (u *Unit) says(key string) string {
	v := u.Last(key)
	return key + "=" + v.Text + " (" + v.Path + ")"
}

// lacksFamilies reports whether a socket of one of the families that latch-auth needs is refused. The first value makes it
// a list of what is allowed, or with "~" of what is not; later ones add to it or take from it.
func (u *Unit) lacksFamilies() bool {
	values := u.values["RestrictAddressFamilies"]
	if len(values) == 0 {
		return false
	}
	allow := !strings.HasPrefix(values[0].Text, "~")
	listed := map[string]bool{}
	for _, v := range values {
		rest, inverted := strings.CutPrefix(v.Text, "~")
		for _, family := range strings.Fields(rest) {
			if family != "none" {
				listed[family] = inverted != allow
			}
		}
	}
	return slices.ContainsFunc([]string{"AF_UNIX", "AF_INET", "AF_INET6"}, func(family string) bool { return listed[family] != allow })
}

// readOnly lists the directories that the unit may not write to.
func (u *Unit) readOnly(places []string) (dirs []string) {
	for _, place := range places {
		strict := u.Last("ProtectSystem").Text == "strict"
		shut := len(covered(u.words("ReadOnlyPaths"), []string{place})) > 0
		if (strict || shut) && len(covered(u.words("ReadWritePaths"), []string{place})) == 0 {
			dirs = append(dirs, place)
		}
	}
	return dirs
}

func (u *Unit) readOnlyBy() string {
	if u.Last("ProtectSystem").Text == "strict" {
		return u.says("ProtectSystem")
	}
	return u.says("ReadOnlyPaths")
}

// covered lists the places that lie in one of some paths, which may have the marks and options of systemd.exec(5).
func covered(paths, places []string) (in []string) {
	for _, place := range places {
		if slices.ContainsFunc(paths, func(p string) bool {
			p, _, _ = strings.Cut(strings.TrimLeft(p, "-+"), ":")
			p = path.Clean(p)
			return p == "/" || place == p || strings.HasPrefix(place, p+"/")
		}) {
			in = append(in, place)
		}
	}
	return in
}

// Text is a drop-in with some lines, nil for none.
func Text(lines []string) []byte {
	if len(lines) == 0 {
		return nil
	}
	return []byte(Head + "[Service]\n" + strings.Join(lines, "\n") + "\n")
}

// IsOurs reports whether nothing but lines of latch install stands in a drop-in.
func IsOurs(text []byte, more ...string) bool {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if !strings.HasPrefix(lines[0], "# Written by latch install") {
		return false
	}
	known := append([]string{"[Service]", network, families}, more...)
	return !slices.ContainsFunc(lines[1:], func(line string) bool {
		return !slices.Contains(known, line) && !strings.HasPrefix(line, writable+"-")
	})
}

// Writable lists the directories that one of our drop-ins lets the unit write to.
func Writable(text []byte) (dirs []string) {
	if !strings.HasPrefix(string(text), Head) {
		return nil
	}
	for _, line := range strings.Split(string(text), "\n") {
		if list, found := strings.CutPrefix(line, writable); found {
			for _, dir := range strings.Fields(list) {
				dirs = append(dirs, strings.TrimPrefix(dir, "-"))
			}
		}
	}
	return dirs
}
