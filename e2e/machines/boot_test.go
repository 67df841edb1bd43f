package machines

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/latch-linux/latch/e2e/fixture"
)

// booted is a machine that systemd runs.
type booted struct {
	fixture.Debian
	init int // its first process, as others see it
}

// boot starts the system of a folder in a container that shares the loopback, and waits until it is up.
func boot(t *testing.T, d fixture.Debian) booted {
	t.Helper()
	var console bytes.Buffer
	// Units with PrivateNetwork= go without where the container has no right to networks.
	cmd := exec.Command("systemd-nspawn", "--quiet", "-D", d.Root, "--boot", "--register=no", "--keep-unit", "--console=pipe", "--capability=CAP_NET_ADMIN")
	cmd.Stdout, cmd.Stderr = &console, &console
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := booted{Debian: d}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	gone := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := m.run("journalctl", "--no-pager", "-b", "-o", "short-monotonic", "-n", "400")
			t.Logf("the journal:\n%s\nthe console:\n%s", log, console.String())
		}
		for _, pid := range []int{m.init, cmd.Process.Pid} {
			if pid > 0 && !gone() {
				_ = syscall.Kill(pid, syscall.SIGKILL) // all of the container goes with its first process
			}
		}
		<-ended
	})
	up := fixture.Await(func() bool {
		m.init = firstChild(cmd.Process.Pid) // another one until the container is made
		state, _ := m.run("systemctl", "is-system-running")
		return gone() || strings.HasPrefix(state, "running") || strings.HasPrefix(state, "degraded")
	})
	if !up || gone() {
		t.Fatal("the machine did not boot")
	}
	return m
}

// firstChild is a process that another one started, 0 for none.
func firstChild(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	child, _ := strconv.Atoi(first)
	return child
}

// command runs as root in the machine, outside of its units.
func (m booted) command(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(m.init), "-m", "-u", "-i", "-n", "-p", "--"}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TERM=dumb"}
	return cmd
}

func (m booted) run(args ...string) (string, error) {
	out, err := m.command(args...).CombinedOutput()
	return string(out), err
}

func (m booted) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.run(args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// asRoot has ana run a command in a session of her own on a terminal, by a program that makes her root, and types her
// password wherever it is asked for. It reports whether the command ran as root.
func (m booted) asRoot(t *testing.T, program string) bool {
	t.Helper()
	const script = `%s sh -c 'echo uid-$(id -u)'; echo done`
	cmd := m.command("systemd-run", "--pty", "--quiet", "--wait", "-p", "User="+ana, "-p", "PAMName=login", "-E", "TERM=dumb",
		"sh", "-c", fmt.Sprintf(script, program))
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	seen, answered, echoed := "", 0, 0
	buffer := make([]byte, 4096)
	for {
		n, err := terminal.Read(buffer)
		seen += string(buffer[:n])
		prompts, echoes := strings.Count(seen, "assword:"), strings.Count(seen, fixture.Password)
		if prompts > answered || echoes > echoed { // what was typed too early shows, and is discarded when the echo goes
			answered, echoed = prompts, echoes
			if _, err := terminal.WriteString(fixture.Password + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil { // EIO when the last process on it has ended
			break
		}
	}
	_ = cmd.Wait()
	if !strings.Contains(seen, "AUTHENTICATION COMPLETE") && !strings.Contains(seen, "AUTHENTICATION FAILED") {
		t.Errorf("%s did not come to an end:\n%s", program, seen)
	}
	return strings.Contains(seen, "uid-0")
}
