// Package cgroup finds out who controls the cgroups of this process. Their owner can freeze it, or a single thread of it, and
// ration its processor time.
package cgroup

import (
	"bufio"
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Files of this process, in proc(5).
const (
	membershipFile = "/proc/self/cgroup"
	mountsFile     = "/proc/self/mountinfo"
)

// Delegated returns a cgroup of this process, or above one, that somebody other than root can change; "" where there is none. What
// it cannot see counts as such a one.
func Delegated() string { return delegatedBelow("") }

// delegatedBelow finds the files below a directory, for tests.
func delegatedBelow(root string) string {
	membership, err := os.ReadFile(root + membershipFile)
	if err != nil {
		return membershipFile
	}
	mounts, err := os.ReadFile(root + mountsFile)
	if err != nil {
		return mountsFile
	}
	for line := range strings.Lines(string(membership)) {
		// hierarchy:controllers:path, the second one empty for cgroup v2
		fields := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if dir := inHierarchy(root, mounts, fields[1], fields[2]); dir != "" {
			return dir
		}
	}
	return ""
}

// inHierarchy looks at one cgroup and those above it, wherever they are mounted.
func inHierarchy(root string, mounts []byte, controllers, group string) string {
	seen := false
	for in := bufio.NewScanner(bytes.NewReader(mounts)); in.Scan(); {
		point, top, matches := parseMount(in.Text(), controllers)
		rest, below := strings.CutPrefix(group+"/", strings.TrimSuffix(top, "/")+"/")
		if !matches || !below {
			continue
		}
		seen = true
		for rest = path.Clean("/" + rest); ; rest = path.Dir(rest) {
			dir := filepath.Join(point, rest)
			if writable(root + dir) {
				return dir
			}
			if rest == "/" {
				break
			}
		}
	}
	// The top of a hierarchy has no owner but root, and what lies above a namespace's is out of reach from inside.
	if !seen && group != "/" {
		return group
	}
	return ""
}

// parseMount reads a line of mountinfo. controllers name the hierarchy, "" is cgroup v2.
func parseMount(line, controllers string) (point, top string, matches bool) {
	// id parent major:minor root mountpoint options [tag]... - type source superoptions
	left, right, found := strings.Cut(line, " - ")
	fields, kind := strings.Fields(left), strings.Fields(right)
	if !found || len(fields) < 5 || len(kind) < 3 {
		return "", "", false
	}
	switch kind[0] {
	case "cgroup2":
		matches = controllers == ""
	case "cgroup":
		options := strings.Split(kind[2], ",")
		matches = controllers != "" && !slices.ContainsFunc(strings.Split(controllers, ","), func(c string) bool { return !slices.Contains(options, c) })
	}
	return unescape(fields[4]), unescape(fields[3]), matches
}

// unescape undoes what mountinfo does to blanks.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// writable reports whether somebody other than root can make, move or change anything in a cgroup.
func writable(dir string) bool {
	if othersCanWrite(dir) {
		return true
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	return slices.ContainsFunc(files, func(f os.DirEntry) bool { return !f.IsDir() && othersCanWrite(filepath.Join(dir, f.Name())) })
}

// othersCanWrite takes the group for others: who belongs to it is NSS's to say.
func othersCanWrite(name string) bool {
	info, err := os.Lstat(name)
	if os.IsNotExist(err) {
		return false // a controller was switched off meanwhile
	}
	if err != nil {
		return true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	return !ok || mode&0o022 != 0 || stat.Uid != 0 && mode&0o200 != 0
}
