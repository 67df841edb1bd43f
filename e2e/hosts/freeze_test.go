package hosts

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

// queryLimit is latch.conf's timeout in these tests: more than a query takes on a slow machine, as a query without an
// answer would let in.
const queryLimit = 5 * time.Second

// pauses lie past the deadline, above what counts as lost time, and below it. The longest come first, so that no one of
// them is waited for alone.
var pauses = []time.Duration{queryLimit + 500*time.Millisecond, queryLimit / 2, queryLimit / 16}

func impatient() fixture.Conf { return mostOpen().With("timeout", fmt.Sprint(queryLimit.Seconds())) }

// moments are when the pause begins after su has got the password, spread over the time that a query takes.
func moments() []time.Duration {
	var m []time.Duration
	for at := time.Duration(0); at < 50*time.Millisecond; at += 3 * time.Millisecond {
		m = append(m, at)
	}
	return m
}

// held is a su that waits for a line before it starts, so that an attacker can get ready.
type held struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout bytes.Buffer
}

func holdSu(t *testing.T, caller, user string) *held {
	t.Helper()
	a := su(caller, user)
	a.prologue = "read go"
	h := &held{cmd: a.cmd()}
	h.cmd.Stdin = nil
	h.cmd.Stdout = &h.stdout
	var err error
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return h
}

// release lets su go ahead with the right password.
func (h *held) release() { io.WriteString(h.stdin, "go\n"+fixture.Password+"\n") }

func (h *held) in(user string) bool {
	h.stdin.Close()
	h.cmd.Wait()
	return result{stdout: h.stdout.String()}.in(user)
}

// attack becomes victim by su from caller, who pauses it for a while after a moment, and reports whether su let in.
type attack struct {
	name string
	run  func(t *testing.T, caller, victim string, at, pause time.Duration) bool
}

// TestPauses has the caller of su stop it, or freeze its cgroup, which stops the authenticator too. A sample tries every
// attack and every pause at every fourth moment.
func TestPauses(t *testing.T) {
	attacks := append([]attack{{"kill -STOP", stopped}, {"one frozen thread", frozenThread}}, freezers(t)...)
	configure(t, mostOpen())
	for _, a := range attacks {
		// A pause far below what counts as lost changes nothing.
		if !a.run(t, crowd()[0], opened, time.Millisecond, time.Millisecond) {
			t.Errorf("control: %s: with the latch open and a pause of 1 ms, not in", a.name)
		}
	}
	configure(t, impatient())
	// An attacker stops everything of the same user, so each attack has a caller of its own.
	callers := make(chan string, len(crowd()))
	for _, name := range crowd() {
		callers <- name
	}
	var wg sync.WaitGroup
	for _, pause := range pauses {
		for _, at := range fixture.Sample(moments(), 4) {
			for _, a := range attacks {
				caller := <-callers
				wg.Go(func() {
					defer func() { callers <- caller }()
					if a.run(t, caller, closed, at, pause) {
						t.Errorf("%s for %v after %v: the closed latch let in", a.name, pause, at)
					}
				})
			}
		}
	}
	wg.Wait()
}

// stopped sends signals as the caller. kill(-1) reaches everything that the caller may signal: su itself, and nothing that
// the module started.
func stopped(t *testing.T, caller, victim string, at, pause time.Duration) bool {
	h := holdSu(t, caller, victim)
	stop := attempt{as: caller, command: fmt.Sprintf(
		`sh -c 'read go; sleep %f; kill -STOP -1; sleep %f; kill -CONT -1'`, at.Seconds(), pause.Seconds())}
	cmd := stop.cmd()
	cmd.Stdin = nil
	trigger, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return false
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return false
	}
	h.release()
	io.WriteString(trigger, "go\n")
	cmd.Wait()
	return h.in(victim)
}

// freezer is a cgroup that can be frozen, of the first or the second version.
type freezer struct {
	dir, file    string
	freeze, thaw string
}

var freezerKinds = []struct {
	name, parent string
	freezer
}{
	{"cgroup v1", "/sys/fs/cgroup/freezer", freezer{file: "freezer.state", freeze: "FROZEN", thaw: "THAWED"}},
	{"cgroup v2", "/sys/fs/cgroup/unified", freezer{file: "cgroup.freeze", freeze: "1", thaw: "0"}},
	{"cgroup v2 alone", "/sys/fs/cgroup", freezer{file: "cgroup.freeze", freeze: "1", thaw: "0"}},
}

func (f freezer) under(parent string) (freezer, error) {
	dir, err := fixture.NewCgroup(parent)
	if err != nil {
		return f, err
	}
	f.dir = dir
	if _, err := os.Stat(filepath.Join(dir, f.file)); err != nil {
		os.Remove(dir)
		return f, err
	}
	return f, nil
}

func (f freezer) write(file, text string) error {
	return os.WriteFile(filepath.Join(f.dir, file), []byte(text), 0o644)
}

// remove waits until the last process is gone.
func (f freezer) remove() { fixture.Await(func() bool { return os.Remove(f.dir) == nil }) }

// freezers are the attacks of a caller with a delegated cgroup, who can freeze the authenticator too, which signals cannot.
func freezers(t *testing.T) (attacks []attack) {
	t.Helper()
	for _, kind := range freezerKinds {
		probe, err := kind.under(kind.parent)
		if err != nil {
			t.Logf("%s: not on this machine: %v", kind.name, err)
			continue
		}
		probe.remove()
		attacks = append(attacks, attack{kind.name, func(t *testing.T, caller, victim string, at, pause time.Duration) bool {
			return frozen(t, kind.freezer, kind.parent, caller, victim, at, pause)
		}})
	}
	if len(attacks) == 0 {
		t.Error("this machine has no cgroup freezer that root may use; none was tested")
	}
	return attacks
}

func frozen(t *testing.T, kind freezer, parent, caller, victim string, at, pause time.Duration) bool {
	f, err := kind.under(parent)
	if err != nil {
		t.Error(err)
		return false
	}
	defer f.remove()
	h := holdSu(t, caller, victim)
	if err := f.write("cgroup.procs", fmt.Sprint(h.cmd.Process.Pid)); err != nil {
		t.Error(err)
	}
	h.release()
	time.Sleep(at)
	if err := f.write(f.file, f.freeze); err != nil {
		t.Error(err)
	}
	time.Sleep(pause)
	if err := f.write(f.file, f.thaw); err != nil {
		t.Error(err)
	}
	return h.in(victim)
}

// frozenThread freezes one thread of what su has started, each time another one, with no privilege but a cgroup that belongs to
// the caller, as in a session of systemd's user manager.
func frozenThread(t *testing.T, caller, victim string, at, pause time.Duration) bool {
	dir, err := fixture.DelegateCgroup(bed.users[caller].ID)
	if err != nil {
		t.Error(err)
		return false
	}
	defer freezer{dir: dir}.remove()
	defer freezer{dir: dir + "/ice"}.remove()
	h := holdSu(t, caller, victim)
	if err := (freezer{dir: dir}).write("cgroup.procs", fmt.Sprint(h.cmd.Process.Pid)); err != nil {
		t.Error(err)
	}
	// A thread that is gone by the time that its turn comes is none.
	raid := attempt{as: caller, prologue: "cd " + dir, command: fmt.Sprintf(`sh -c '
		mkdir ice && echo threaded >ice/cgroup.type && echo ready && read go && sleep %f
		set -- $(grep -vx %d cgroup.threads); [ $# = 0 ] || shift $((%d %% $#))
		echo $1 >ice/cgroup.threads; echo 1 >ice/cgroup.freeze; sleep %f; echo 0 >ice/cgroup.freeze'`,
		at.Seconds(), h.cmd.Process.Pid, nextThread.Add(1), pause.Seconds())}
	cmd := raid.cmd()
	cmd.Stdin = nil
	trigger, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return false
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return false
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return false
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Errorf("the attacker cannot begin: %v", err)
	}
	h.release()
	io.WriteString(trigger, "go\n")
	cmd.Wait()
	return h.in(victim)
}

// nextThread numbers the attacks of frozenThread.
var nextThread atomic.Int32

// SCHED_IDLE beside a busy loop is a pause that the kernel makes: the caller gives itself the lowest class, on a processor
// that it keeps busy. The authenticator takes the class and the processor of its choice back.
func TestIdleClassBesideBusyLoop(t *testing.T) {
	configure(t, mostOpen())
	idle := func(a attempt, seconds float64) attempt {
		a.command = fmt.Sprintf("taskset -c 0 chrt -i 0 timeout %f %s", seconds, a.command)
		return a
	}
	if r := idle(su(closed, opened), fixture.Patience.Seconds()).run(); !r.in(opened) {
		t.Errorf("control: without the busy loop and with the latch open, not in: %s", r.stderr)
	}
	configure(t, impatient())
	busy := exec.Command("taskset", "-c", "0", "sh", "-c", "while :; do :; done")
	busy.SysProcAttr = bed.users[unpaired].Process()
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { busy.Process.Kill(); busy.Wait() }()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if r := idle(su(opened, closed), 4*queryLimit.Seconds()).run(); r.in(closed) {
				t.Error("the closed latch let in")
			}
		})
	}
	wg.Wait()
}
