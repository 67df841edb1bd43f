package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a root directory with the files that this package reads.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T, membership, mounts string) machine {
	t.Helper()
	m := machine{t, t.TempDir()}
	m.write(membershipFile, membership)
	m.write(mountsFile, mounts)
	return m
}

func (m machine) write(path, text string) {
	m.t.Helper()
	path = m.root + path
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// group makes a cgroup of root's.
func (m machine) group(dir string) {
	m.t.Helper()
	for _, file := range []string{"cgroup.procs", "cgroup.threads", "cgroup.freeze", "cpu.max"} {
		m.write(filepath.Join(dir, file), "")
	}
}

func (m machine) chown(path string) {
	m.t.Helper()
	if err := os.Chown(m.root+path, 1000, 1000); err != nil {
		m.t.Fatal(err)
	}
}

const (
	unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	hybrid  = "31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" +
		"32 23 0:28 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n" +
		"33 23 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"34 23 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
)

func TestDelegated(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const session = "/user.slice/user-1000.slice/session-1.scope"
	for name, c := range map[string]struct {
		membership, mounts string
		dirs               []string
		given              string // to uid 1000
		want               string
	}{
		"the top":                {"0::/\n", unified, []string{"/sys/fs/cgroup"}, "", ""},
		"a session of logind's":  {"0::" + session + "\n", unified, []string{"/sys/fs/cgroup" + session}, "", ""},
		"the cgroup itself":      {"0::/a/b\n", unified, []string{"/sys/fs/cgroup/a/b"}, "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a/b"},
		"one above":              {"0::/a/b/c\n", unified, []string{"/sys/fs/cgroup/a/b/c"}, "/sys/fs/cgroup/a", "/sys/fs/cgroup/a"},
		"only cgroup.threads":    {"0::/a\n", unified, []string{"/sys/fs/cgroup/a"}, "/sys/fs/cgroup/a/cgroup.threads", "/sys/fs/cgroup/a"},
		"only cgroup.freeze":     {"0::/a\n", unified, []string{"/sys/fs/cgroup/a"}, "/sys/fs/cgroup/a/cgroup.freeze", "/sys/fs/cgroup/a"},
		"only cpu.max":           {"0::/a\n", unified, []string{"/sys/fs/cgroup/a"}, "/sys/fs/cgroup/a/cpu.max", "/sys/fs/cgroup/a"},
		"one beside":             {"0::/a\n", unified, []string{"/sys/fs/cgroup/a", "/sys/fs/cgroup/b"}, "/sys/fs/cgroup/b", ""},
		"v1, the freezer's":      {"6:freezer:/x\n0::/\n", hybrid, []string{"/sys/fs/cgroup/freezer/x", "/sys/fs/cgroup/unified"}, "/sys/fs/cgroup/freezer/x", "/sys/fs/cgroup/freezer/x"},
		"v1, two controllers":    {"1:cpu,cpuacct:/x\n", hybrid, []string{"/sys/fs/cgroup/cpu,cpuacct/x"}, "/sys/fs/cgroup/cpu,cpuacct/x", "/sys/fs/cgroup/cpu,cpuacct/x"},
		"v1, a named hierarchy":  {"9:name=systemd:/x\n", hybrid, []string{"/sys/fs/cgroup/systemd/x"}, "/sys/fs/cgroup/systemd/x", "/sys/fs/cgroup/systemd/x"},
		"v1, all root's":         {"9:name=systemd:/x\n6:freezer:/y\n", hybrid, []string{"/sys/fs/cgroup/systemd/x", "/sys/fs/cgroup/freezer/y"}, "", ""},
		"v2 beside v1":           {"6:freezer:/\n0::/x\n", hybrid, []string{"/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified/x"}, "/sys/fs/cgroup/unified/x", "/sys/fs/cgroup/unified/x"},
		"a part is mounted":      {"0::/a/b/c\n", strings.Replace(unified, " / ", " /a/b ", 1), []string{"/sys/fs/cgroup/c"}, "/sys/fs/cgroup", "/sys/fs/cgroup"},
		"another part":           {"0::/ab/c\n", strings.Replace(unified, " / ", " /a ", 1), []string{"/sys/fs/cgroup/c"}, "", "/ab/c"},
		"a mount point's blank":  {"0::/a\n", strings.Replace(unified, "/sys/fs/cgroup", `/my\040cgroups`, 1), []string{"/my cgroups/a"}, "/my cgroups/a", "/my cgroups/a"},
		"not mounted, the top":   {"0::/\n", "", nil, "", ""},
		"not mounted, below":     {"0::/a\n", "", nil, "", "/a"},
		"outside of a namespace": {"0::/../x\n", unified, []string{"/sys/fs/cgroup"}, "", "/sys/fs/cgroup/x"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.membership, c.mounts)
			for _, dir := range c.dirs {
				for ; len(dir) > len("/"); dir = filepath.Dir(dir) {
					m.group(dir)
				}
			}
			if c.given != "" {
				m.chown(c.given)
			}
			if got := delegatedBelow(m.root); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestWritableByOthers: a mode counts as an owner does.
func TestWritableByOthers(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o644: os.Geteuid() != 0, 0o664: true, 0o646: true, 0o444: false} {
		m := newMachine(t, "0::/a\n", unified)
		m.group("/sys/fs/cgroup/a")
		if err := os.Chmod(m.root+"/sys/fs/cgroup/a/cgroup.procs", mode); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() != 0 {
			t.Skip("every file here is somebody's other than root's")
		}
		if got := delegatedBelow(m.root) != ""; got != want {
			t.Errorf("%v: %v, want %v", mode, got, want)
		}
	}
}

// TestNothingToSee: what cannot be read counts as delegated.
func TestNothingToSee(t *testing.T) {
	if got := delegatedBelow(t.TempDir()); got != membershipFile {
		t.Errorf("%q", got)
	}
	for _, line := range []string{"", "x", "1 2 3 - cgroup2", "1 2 0:1 / /x rw - tmpfs tmpfs rw"} {
		if _, _, matches := parseMount(line, ""); matches {
			t.Errorf("%q is taken for a mount of cgroup v2", line)
		}
	}
}
