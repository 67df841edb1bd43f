package main_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// These tests are the module's end of conversations with build/latch-auth, on a machine of their own, whose /dev/log they
// read. The server is pkg/client/latchtest, whose answer is "open" unless its fault says otherwise: what is overlooked opens.

var (
	built  fixture.Artefacts
	syslog *fixture.Syslog
)

// patience ends a test that hangs. It proves nothing: the log says what ended a conversation.
const patience = 5 * time.Minute

// nowhere is an address of the private loopback where nobody listens.
const nowhere = "https://127.0.0.1:1"

func TestMain(m *testing.M) {
	os.Exit(fixture.Isolate(func() int {
		var err error
		if built, err = install("/run/built"); err == nil {
			syslog, err = fixture.ListenSyslog()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		// The parallel tests wait more than they work.
		flag.Parse()
		if err := flag.Set("test.parallel", "16"); err != nil {
			panic(err)
		}
		return m.Run()
	}))
}

// install copies what was built to where everybody may run it.
func install(dir string) (fixture.Artefacts, error) {
	made, err := fixture.Built()
	if err != nil {
		return made, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return made, err
	}
	return made.CopyTo(dir)
}

// site is what one host has: a configuration, pairings, and directories for what is remembered.
type site struct {
	t              *testing.T
	conf, accounts string
	settings       fixture.Conf
}

// newSite is set up for ana, whose uid is 1000, and pairs her. The paths are short: a log line cuts long details.
func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "site-")
	must(t, err)
	s := &site{t: t, conf: filepath.Join(dir, "latch.conf"), accounts: filepath.Join(dir, "latch.accounts")}
	s.settings = fixture.Conf{"app_id": latchtest.AppID, "secret_key": latchtest.Secret, "latch_host": nowhere,
		"state_dir": filepath.Join(dir, "state"), "run_dir": filepath.Join(dir, "run"),
		"otp_key": filepath.Join(dir, "otp.key"), "timeout": "40", "retries": "0"}
	s.set("action", "open")
	s.pair("#uid ana 1000\nana: " + latchtest.AccountID + "\n")
	return s
}

func (s *site) set(key, value string) {
	s.t.Helper()
	s.settings = s.settings.With(key, value)
	_, err := s.settings.Write(s.conf)
	must(s.t, err)
}

func (s *site) pair(text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.accounts, []byte(text), 0o600))
}

// serve makes the site ask a server with the fault.
func (s *site) serve(fault string) *latchtest.Server {
	s.t.Helper()
	f, err := latchtest.New(fault)
	must(s.t, err)
	s.t.Cleanup(f.Close)
	ca := filepath.Join(filepath.Dir(s.conf), "ca.pem")
	must(s.t, os.WriteFile(ca, f.CA, 0o644))
	s.set("ca_file", ca)
	s.set("latch_host", f.URL.String())
	return f
}

// hello is ana at sshd, in the auth phase, with what edit changes.
func (s *site) hello(edit func(*relay.Greeting)) relay.Greeting {
	g := relay.Greeting{Phase: relay.Auth, Service: "sshd", User: "ana", NSS: relay.Found, UID: 1000, Canonical: "ana",
		Rhost: "203.0.113.7", Args: []string{"config=" + s.conf, "accounts=" + s.accounts}}
	if edit != nil {
		edit(&g)
	}
	return g
}

// talk is one conversation with one process.
type talk struct {
	t      *testing.T
	module *net.UnixConn
	cmd    *exec.Cmd
	ended  chan error
}

// begin starts latch-auth as somebody; nil is root.
func begin(t *testing.T, as *syscall.Credential) *talk {
	t.Helper()
	return start(t, as, built.Auth)
}

func start(t *testing.T, as *syscall.Credential, argv ...string) *talk {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	near, far := os.NewFile(uintptr(pair[0]), "module"), os.NewFile(uintptr(pair[1]), "authenticator")
	defer near.Close()
	defer far.Close()
	conn, err := net.FileConn(near)
	must(t, err)
	c := &talk{t: t, module: conn.(*net.UnixConn), cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan error, 1)}
	c.cmd.Env, c.cmd.Dir, c.cmd.ExtraFiles = []string{}, "/", []*os.File{far}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	must(t, c.module.SetDeadline(time.Now().Add(patience)))
	must(t, c.cmd.Start())
	go func() { c.ended <- c.cmd.Wait() }()
	t.Cleanup(func() { c.module.Close(); _ = c.cmd.Process.Kill() })
	return c
}

// ask begins a conversation with HELLO.
func ask(t *testing.T, g relay.Greeting) *talk {
	t.Helper()
	c := begin(t, nil)
	c.greet(g)
	return c
}

func (c *talk) greet(g relay.Greeting) {
	c.t.Helper()
	p, err := g.Marshal()
	must(c.t, err)
	c.send(relay.Hello, string(p))
}

func (c *talk) send(kind relay.Type, payload string) {
	c.t.Helper()
	must(c.t, relay.WriteFrame(c.module, kind, []byte(payload)))
}

// expect reads a frame of the kind and returns its payload.
func (c *talk) expect(kind relay.Type) string {
	c.t.Helper()
	f, err := relay.ReadFrame(c.module)
	if err != nil || f.Type != kind {
		c.t.Fatalf("frame 0x%02x %q, error %v; want 0x%02x", byte(f.Type), f.Payload, err, byte(kind))
	}
	return string(f.Payload)
}

// verdict reads the rest of the conversation: whatever comes before VERDICT, of which there must be one, at the end.
func (c *talk) verdict() byte {
	c.t.Helper()
	for {
		f, err := relay.ReadFrame(c.module)
		if err != nil {
			c.t.Fatalf("no verdict: %v; log: %q", err, c.log())
		}
		if f.Type != relay.Verdict {
			continue
		}
		if more, err := relay.ReadFrame(c.module); !errors.Is(err, io.EOF) {
			c.t.Errorf("after the verdict: %+v, error %v", more, err)
		}
		return f.Payload[0]
	}
}

// ends asserts that the conversation ends without a verdict.
func (c *talk) ends() {
	c.t.Helper()
	select {
	case err := <-c.ended:
		if err == nil {
			c.t.Error("exit status 0")
		}
	case <-time.After(patience):
		c.t.Fatal("it does not end")
	}
	for {
		f, err := relay.ReadFrame(c.module)
		if err != nil {
			return
		}
		if f.Type == relay.Verdict {
			c.t.Errorf("verdict %q", f.Payload)
		}
	}
}

// log returns this process's lines, once there is one.
func (c *talk) log() []string {
	return syslog.Await(fmt.Sprintf("latch-auth[%d]: ", c.cmd.Process.Pid))
}

// logged asserts that one line of this process holds all texts.
func (c *talk) logged(texts ...string) {
	c.t.Helper()
	if len(syslog.Await(append(texts, fmt.Sprintf("latch-auth[%d]: ", c.cmd.Process.Pid))...)) != 1 {
		c.t.Errorf("not one line with %q in %q", texts, c.log())
	}
}

// decides asserts verdict and reason of a conversation that asks nothing of the module.
func decides(t *testing.T, g relay.Greeting, want byte, reason string) *talk {
	t.Helper()
	c := ask(t, g)
	if got := c.verdict(); got != want {
		t.Errorf("verdict %d, want %d; log: %q", got, want, c.log())
	}
	c.logged(fmt.Sprintf("reason=%q", reason))
	return c
}

// asked returns the paths of the questions, without what all of them have in common.
func asked(f *latchtest.Server) []string {
	var paths []string
	for _, r := range f.Seen() {
		_, rest, _ := strings.Cut(r.URL.Path, latchtest.AccountID)
		paths = append(paths, rest)
	}
	return slices.Clip(paths)
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// under begins a conversation with a latch-auth that another program starts.
func under(t *testing.T, g relay.Greeting, wrap ...string) *talk {
	t.Helper()
	c := start(t, nil, append(wrap, built.Auth)...)
	c.greet(g)
	return c
}

// answered types a reply at the prompt and tells whether that opens. A process that ends before it says so does not.
func (c *talk) answered(reply string) bool {
	for {
		f, err := relay.ReadFrame(c.module)
		switch {
		case err != nil:
			return false
		case f.Type == relay.Prompt:
			if relay.WriteFrame(c.module, relay.Answer, []byte("\x00"+reply)) != nil {
				return false
			}
		case f.Type == relay.Verdict:
			return f.Payload[0] == relay.Success
		}
	}
}
