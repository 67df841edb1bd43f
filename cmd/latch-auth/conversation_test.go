package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// TestLineOfAVerdict: HOLD, VERDICT, one line, and the secrets in none.
func TestLineOfAVerdict(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set("timeout", "7")
	s.serve("none")
	c := ask(t, s.hello(nil))
	if hold := c.expect(relay.Hold); hold != "\x1c" {
		t.Errorf("HOLD %q, want 20 s for files, the query's 7 s and one more", hold)
	}
	if v := c.verdict(); v != relay.Success {
		t.Errorf("verdict %d", v)
	}
	c.logged(`opened user="ana" service="sshd" phase="auth" rhost="203.0.113.7" reason="open" ms=`)
	for _, secret := range []string{latchtest.Secret, latchtest.AccountID} {
		if lines := syslog.Lines(secret); len(lines) > 0 {
			t.Errorf("a secret in the log: %q", lines)
		}
	}
}

// TestEndOfFile: the host is gone in the middle of something that would otherwise end in a verdict.
func TestEndOfFile(t *testing.T) {
	const gone = `reason="host-gone"`
	t.Run("in mid-question", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.set("timeout", "60")
		server := s.serve("wire: never answers")
		c := ask(t, s.hello(nil))
		await(t, "the question", func() bool { return server.Requests() == 1 })
		must(t, c.module.Close())
		c.ends()
		c.logged(gone)
	})
	t.Run("while it connects", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.set("timeout", "60")
		server := s.serve("connect: silent")
		c := ask(t, s.hello(nil))
		await(t, "the connection", func() bool { return server.Connections() == 1 })
		must(t, c.module.Close())
		c.ends()
		c.logged(gone)
	})
	t.Run("in mid-prompt", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.set("otp", "yes")
		s.serve("two_factor: good")
		c := ask(t, s.hello(nil))
		c.expect(relay.Hold)
		c.expect(relay.Prompt)
		must(t, c.module.Close())
		c.ends()
		c.logged(gone)
	})
	t.Run("before HELLO", func(t *testing.T) {
		t.Parallel()
		c := begin(t, nil)
		must(t, c.module.Close())
		c.ends()
	})
	t.Run("in HELLO", func(t *testing.T) {
		t.Parallel()
		c := begin(t, nil)
		_, err := c.module.Write([]byte{0, 0, 0, 9, 1, 1})
		must(t, err)
		must(t, c.module.CloseWrite())
		c.ends()
	})
}

// TestBrokenProtocol: everything that docs/relay.md does not allow ends the conversation, also where the server is about
// to say "open", and the log says why.
func TestBrokenProtocol(t *testing.T) {
	s := newSite(t)
	s.serve("none")
	good, err := s.hello(nil).Marshal()
	must(t, err)
	frame := func(kind relay.Type, payload []byte) []byte {
		var b bytes.Buffer
		must(t, relay.WriteFrame(&b, kind, payload))
		return b.Bytes()
	}
	hello := frame(relay.Hello, good)
	for name, sent := range map[string][]byte{
		"garbage":               []byte("GET / HTTP/1.1\r\n\r\n"),
		"zeros":                 make([]byte, 64),
		"a length of 0":         {0, 0, 0, 0},
		"a frame of 65537":      append([]byte{0, 1, 0, 1}, make([]byte, 65537)...),
		"a frame of 4 GiB":      {255, 255, 255, 255, 1},
		"HELLO of version 0":    frame(relay.Hello, append([]byte{0}, good[1:]...)),
		"HELLO of version 2":    frame(relay.Hello, append([]byte{2}, good[1:]...)),
		"an empty HELLO":        frame(relay.Hello, nil),
		"a short HELLO":         frame(relay.Hello, good[:len(good)-1]),
		"a HELLO with more":     frame(relay.Hello, append(bytes.Clone(good), 99, 0, 0)),
		"another first frame":   frame(relay.Answer, []byte("\x00123456")),
		"a frame of ours":       frame(relay.Verdict, []byte{relay.Success}),
		"a second HELLO":        append(bytes.Clone(hello), hello...),
		"an ANSWER not asked":   append(bytes.Clone(hello), frame(relay.Answer, []byte("\x00123456"))...),
		"a MEMBER not asked":    append(bytes.Clone(hello), frame(relay.Member, []byte{1})...),
		"garbage after HELLO":   append(bytes.Clone(hello), "garbage"...),
		"a flood behind HELLO":  append(bytes.Clone(hello), bytes.Repeat(frame(relay.Member, []byte{1}), 1000)...),
		"zeros behind a HELLO":  append(bytes.Clone(hello), 0, 0, 0, 0),
		"an unknown type after": append(bytes.Clone(hello), frame(0x04, nil)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := begin(t, nil)
			// The other end may be gone before the last byte.
			_, _ = c.module.Write(sent)
			c.ends()
			c.logged("relay protocol")
		})
	}
}

func TestStartedByHand(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(built.Auth)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(stderr.String(), "pam_latch.so starts this program") {
		t.Errorf("%v: %q", err, stderr.String())
	}
}

// TestThreads counts while the module waits for a server that says nothing. Debian's openvpn@.service allows ten threads
// (TasksMax=10), of which OpenVPN takes one and its auth-pam process two while it asks.
func TestThreads(t *testing.T) {
	t.Parallel()
	const most = 10 - 3
	s := newSite(t)
	s.set("timeout", "60")
	server := s.serve("wire: never answers")
	dir := filepath.Dir(s.conf)
	authenticator := filepath.Join(dir, "latch-auth")
	must(t, os.Link(built.Auth, authenticator)) // the same program under a name of its own
	s.pair("root: " + latchtest.AccountID + "\n")
	must(t, fixture.WriteService(dir, "threads", "auth required "+built.Module+" authenticator="+authenticator+" config="+s.conf+" accounts="+s.accounts))
	answered := make(chan fixture.Outcome)
	go func() {
		outcome, err := fixture.Transaction{Dir: dir, Service: "threads", User: "root"}.Run()
		if err != nil {
			t.Error(err)
		}
		answered <- outcome
	}()
	await(t, "the question", func() bool { return server.Requests() == 1 })
	pid := running(t, authenticator)
	between := status(t, pid, "PPid")
	ours := status(t, pid, "Threads") + status(t, between, "Threads")
	if t.Logf("%d threads, the process in between included", ours); ours > most {
		t.Errorf("%d threads, the others leave %d", ours, most)
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	if outcome := <-answered; outcome.In() {
		t.Error("killed, and let in")
	}
}

// running returns the process that runs the program.
func running(t *testing.T, program string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	must(t, err)
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == program {
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			must(t, err)
			return pid
		}
	}
	t.Fatalf("nobody runs %s", program)
	return 0
}

// status returns a number from /proc/PID/status.
func status(t *testing.T, pid int, key string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "\n"+key+":")
	value, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(value))
	must(t, err)
	return n
}

// TestFrozen: a server that gives no answer opens under this policy. A pause of this process is no server's silence where most of the
// time is gone, or where a caller may have made it: the caller of a set-uid host may own the cgroup.
func TestFrozen(t *testing.T) {
	const timeout = 6 * time.Second
	for name, c := range map[string]struct {
		delegated bool
		stop      time.Duration
		want      byte
		reason    string
		detail    string
	}{
		"not at all":                  {false, 0, relay.Success, "no-answer-open", "no answer before the deadline"},
		"half of the time":            {false, timeout / 2, relay.Success, "no-answer-open", "no answer before the deadline"},
		"half of the time, delegated": {true, timeout / 2, relay.Refuse, "local-failure", "its caller may control the cgroup"},
		"past the end":                {false, timeout + time.Second, relay.Refuse, "local-failure", ""},
		"past the end, delegated":     {true, timeout + time.Second, relay.Refuse, "local-failure", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.set("timeout", strconv.Itoa(int(timeout/time.Second)))
			server := s.serve("connect: silent")
			a := begin(t, nil)
			if c.delegated {
				dir, err := fixture.DelegateCgroup(4242)
				must(t, err)
				t.Cleanup(func() { removeCgroup(t, dir) })
				must(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(a.cmd.Process.Pid)), 0o644))
			}
			begun := time.Now()
			a.greet(s.hello(nil))
			await(t, "the connection", func() bool { return server.Connections() == 1 })
			if c.stop > 0 {
				must(t, a.cmd.Process.Signal(syscall.SIGSTOP))
				if c.stop > timeout { // however long it may have waited for the server before
					c.stop = max(c.stop, 20*time.Since(begun))
				}
				time.Sleep(c.stop)
				must(t, a.cmd.Process.Signal(syscall.SIGCONT))
			}
			if v := a.verdict(); v != c.want {
				t.Errorf("verdict %d, want %d", v, c.want)
			}
			a.logged("reason="+strconv.Quote(c.reason), c.detail)
		})
	}
}

// TestSlowMachine: where a twentieth of a processor is all there is, a server's silence is silence still.
func TestSlowMachine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.set("timeout", "10")
	s.serve("connect: silent")
	a := begin(t, nil)
	must(t, a.module.SetDeadline(time.Now().Add(5*patience)))
	dir, err := fixture.SlowCgroup(5)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(a.cmd.Process.Pid)), 0o644))
	a.greet(s.hello(nil))
	if v := a.verdict(); v != relay.Success {
		t.Errorf("verdict %d", v)
	}
	a.logged(`reason="no-answer-open"`)
	removeCgroup(t, dir)
}

// TestFrozenBeforeTheQuery: the query's time has not begun yet, so a pause takes nothing from it.
func TestFrozenBeforeTheQuery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("none")
	s.set("timeout", "5")
	s.set("exempt_groups", "ops")
	a := ask(t, s.hello(nil))
	a.expect(relay.Hold)
	a.expect(relay.Group)
	must(t, a.cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(6 * time.Second) // longer than the timeout
	must(t, a.cmd.Process.Signal(syscall.SIGCONT))
	a.send(relay.Member, "\x00")
	if v := a.verdict(); v != relay.Success {
		t.Errorf("verdict %d", v)
	}
	a.logged(`reason="open"`)
}

// TestNoCoreDump: the kernel makes none of a process whose files it gives to root. A host that is not root shows it.
func TestNoCoreDump(t *testing.T) {
	t.Parallel()
	a := begin(t, &syscall.Credential{Uid: 4242, Gid: 4242})
	await(t, "the program", func() bool {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", a.cmd.Process.Pid))
		return err == nil && exe == built.Auth
	})
	await(t, "not to be dumpable", func() bool {
		info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", a.cmd.Process.Pid))
		return err == nil && info.Sys().(*syscall.Stat_t).Uid == 0
	})
}
