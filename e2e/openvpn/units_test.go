package openvpn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// Debian's units, and the drop-in that latch install writes for the first one.
const (
	plainUnit  = "/lib/systemd/system/openvpn@.service"
	serverUnit = "/lib/systemd/system/openvpn-server@.service"
	dropIn     = "/etc/systemd/system/openvpn@.service.d/latch.conf"
)

// fromUnit reads a setting of a unit.
func fromUnit(t *testing.T, file, name string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no %s", file, name)
	}
	return string(found[1])
}

// Where the pids controller is: version 1 of control groups has a hierarchy of its own for it, version 2 one for all.
const (
	pidsV1 = "/sys/fs/cgroup/pids"
	allV2  = "/sys/fs/cgroup"
)

// pidsGroup returns the control group below which groups with a limit of tasks can be made.
func pidsGroup() (string, error) {
	if _, err := os.Stat(pidsV1 + "/cgroup.procs"); err == nil {
		return pidsV1, nil
	}
	return allV2, handDown(allV2, "pids")
}

// handDown has a group of version 2 hand a controller down to its children. Of the groups with processes only the
// machine's first one may: in a container's first group, they move into a child before. Those of other process
// namespaces cannot be named, so TestMain does this outside of the machine of the tests' own.
func handDown(group, controller string) error {
	put := func(file, text string) error {
		f, err := os.OpenFile(filepath.Join(group, file), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(text)
		return err
	}
	const rest = "latch-test-rest"
	err := put("cgroup.subtree_control", "+"+controller)
	for tries := 0; errors.Is(err, syscall.EBUSY) && tries < 10; tries++ { // processes fork meanwhile
		if err := os.MkdirAll(filepath.Join(group, rest), 0o755); err != nil {
			return err
		}
		pids, failed := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if failed != nil {
			return failed
		}
		for _, pid := range strings.Fields(string(pids)) {
			_ = put(rest+"/cgroup.procs", pid) // it may have ended
		}
		err = put("cgroup.subtree_control", "+"+controller)
	}
	return err
}

// cgroup makes a control group with room for so many tasks, as systemd does for TasksMax, and returns a wrapper that
// enters it.
func cgroup(t *testing.T, tasks string) []string {
	t.Helper()
	parent, err := pidsGroup()
	if err != nil {
		t.Fatalf("no cgroup with a pids controller can be had here: %v", err)
	}
	dir, err := fixture.NewCgroup(parent)
	if err != nil {
		t.Fatalf("no cgroup with a pids controller can be had here: %v", err)
	}
	t.Cleanup(func() {
		if !fixture.Await(func() bool { return os.Remove(dir) == nil }) { // the last processes end a little later than the server
			t.Errorf("%s has processes still", dir)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "pids.max"), []byte(tasks), 0); err != nil {
		t.Fatalf("no cgroup with a pids controller can be had here: %v", err)
	}
	return []string{"sh", "-c", "echo 0 >" + dir + "/cgroup.procs && exec \"$@\"", "sh"}
}

// noFork is what the plugin writes where it may have no process: it forks twice for a login, and whichever fails, nobody
// answers that login any more.
var noFork = regexp.MustCompile(`fork\([12]\) failed`)

// inAtOnce tells how many of five logins get in that ask the Latch server at the same time.
func inAtOnce(t *testing.T, tasks string) int {
	t.Helper()
	s := startSlow(t)
	v := startVPN(t, setting{wrap: cgroup(t, tasks)})
	v.expect(t, map[string]bool{ana: true})
	configure(t, bed.conf.With("latch_host", s.url).With("timeout", "90").With("action", "close"))
	var clients []*peer
	for range 5 {
		clients = append(clients, v.dial(t, ana, fixture.Password))
	}
	lost := func() int { return having(clients, authFailed) + len(noFork.FindAllString(v.text(), -1)) }
	await := func(what string, done func() bool) {
		t.Helper()
		if !fixture.Await(done) {
			t.Fatalf("%s: %d are at the Latch server, %d are lost, %d are in:\n%s", what, len(s.asked), lost(), having(clients, clientIn), v.text())
		}
	}
	await("asking", func() bool { return len(s.asked)+lost() >= len(clients) })
	s.release()
	await("answered", func() bool { return having(clients, clientIn)+lost() >= len(clients) })
	return having(clients, clientIn)
}

// having counts the peers that wrote a text.
func having(peers []*peer, text string) (n int) {
	for _, p := range peers {
		if strings.Contains(p.text(), text) {
			n++
		}
	}
	return n
}

// TestTasks has one login and then five at once under the limit of Debian's openvpn@.service, and under the one that
// latch install puts in its place.
func TestTasks(t *testing.T) {
	if in := inAtOnce(t, fromUnit(t, plainUnit, "TasksMax")); in == 5 {
		t.Error("five at once are in under Debian's limit, so the drop-in has no use")
	}
	raised := fromUnit(t, writtenDropIn(t), "TasksMax")
	if in := inAtOnce(t, raised); in != 5 {
		t.Errorf("%d of five are in under TasksMax=%s", in, raised)
	}
}

// writtenDropIn has latch install write its drop-in and returns a copy.
func writtenDropIn(t *testing.T) string {
	t.Helper()
	const conf = "/etc/openvpn/office.conf"
	if err := os.WriteFile(conf, []byte(serverText("127.0.0.1", freePort(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(conf)
	out := must(t, "install", "openvpn", "--server-config", conf, "--yes")
	text, err := os.ReadFile(dropIn)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "+++ "+dropIn) {
		t.Errorf("the drop-in was not shown:\n%s", out)
	}
	must(t, "uninstall", "openvpn", "--yes")
	if _, err := os.Stat(filepath.Dir(dropIn)); !os.IsNotExist(err) {
		t.Errorf("the drop-in's directory is there still: %v", err)
	}
	copied := filepath.Join(t.TempDir(), "drop-in")
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// TestUnderTheServerUnit gives a server what Debian's openvpn-server@.service gives it: its capabilities, its limit of
// processes, and a /usr that cannot be written.
func TestUnderTheServerUnit(t *testing.T) {
	capabilities := strings.Fields(strings.ToLower(strings.ReplaceAll(fromUnit(t, serverUnit, "CapabilityBoundingSet"), "CAP_", "")))
	if system := fromUnit(t, serverUnit, "ProtectSystem"); system != "true" {
		t.Fatalf("ProtectSystem=%s is not what this test imitates", system)
	}
	script := fmt.Sprintf(`mount --bind /usr /usr && mount -o remount,bind,ro /usr && ! touch /usr/probe 2>/dev/null &&
		exec prlimit --nproc=%s setpriv --bounding-set -all,+%s "$@"`, fromUnit(t, serverUnit, "LimitNPROC"), strings.Join(capabilities, ",+"))
	v := startVPN(t, setting{wrap: []string{"unshare", "--mount", "sh", "-c", script, "sh"}})
	closeLatch(t, ana)
	v.expect(t, map[string]bool{ana: false, bob: true})
}
