// Package faults states what a login comes to when the server, or the way to it, fails: build/latch-auth is driven
// through every fault of pkg/client/latchtest and of a network of the tests' own, under each policy of latch.conf.
// testdata/table.txt is the outcome. Everything here needs root.
package faults

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// memoryLimit holds for every cell, whatever the server does: KiB.
const memoryLimit = 64 << 10

var (
	auth   string // the latch-auth that is driven
	syslog *fixture.Syslog
	update = flag.Bool("update", false, "write testdata/table.txt anew")
)

func TestMain(m *testing.M) {
	os.Exit(fixture.Main(m, nil, setUp, manyAtOnce))
}

// manyAtOnce is for rows that wait more than they work.
func manyAtOnce() error {
	flag.Parse()
	return flag.Set("test.parallel", "16")
}

func setUp() error {
	built, err := fixture.Built()
	if err != nil {
		return err
	}
	if err := os.Mkdir("/run/built", 0o755); err != nil {
		return err
	}
	if built, err = built.CopyTo("/run/built"); err != nil {
		return err
	}
	auth = built.Auth
	if syslog, err = fixture.ListenSyslog(); err != nil {
		return err
	}
	return layNetwork()
}

// policies are one column of the table.
type policies struct{ action, onError string }

var columns = []policies{{"open", "open"}, {"open", "close"}, {"close", "open"}, {"close", "close"}, {"otp", "otp"}}

// place is where a login asks: an address and, where it has one, its CA.
type place struct {
	url     string
	ca      []byte
	instead map[string]string // files that lie in the place of the machine's, by those
	held    string            // one of them, or caFile, which cannot be opened
	delay   string            // a system call that takes longer than the query may
}

// caFile is the place of ca_file.
const caFile = "ca_file"

// command starts the authenticator, in a mount namespace of its own where that is needed.
func (p place) command(timeout time.Duration) *exec.Cmd {
	program := []string{auth}
	if p.delay != "" {
		program = []string{"/usr/bin/strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=" + p.delay,
			"-e", fmt.Sprintf("inject=%s:delay_enter=%d", p.delay, (timeout + timeout/4).Microseconds()), auth}
	}
	if p.instead == nil {
		return exec.Command(program[0], program[1:]...)
	}
	script := `auth=$1; shift; while [ $# -gt 0 ]; do mount --bind "$2" "$1" || exit; shift 2; done; exec "$auth"`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", auth)
	for path, file := range p.instead {
		cmd.Args = append(cmd.Args, path, file)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	return cmd
}

// cell is what came of one login.
type cell struct {
	verdict string // success, ignore or refuse; asks is a success after the right code
	reason  string // as in the log
	line    string // of the log
	took    time.Duration
	peak    int64 // KiB, ru_maxrss: what this process had when it forked counts too
	own     int64 // KiB, of the authenticator's own memory alone, at its verdict; 0 if it was gone by then
}

var reasonField = regexp.MustCompile(` reason="([^"]*)"`)

// login drives one authentication of a paired user at sshd, for whose query latch.conf has a timeout.
func login(t *testing.T, p policies, at place, timeout time.Duration) cell {
	t.Helper()
	greeting := site(t, p, at, timeout)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	module, far := os.NewFile(uintptr(pair[0]), "module"), os.NewFile(uintptr(pair[1]), "authenticator")
	defer module.Close()
	cmd := at.command(timeout)
	cmd.Dir, cmd.ExtraFiles = "/", []*os.File{far}
	// The module leaves no environment. Here there is one that must not matter.
	cmd.Env = []string{"HTTPS_PROXY=http://127.0.0.1:1", "ALL_PROXY=http://127.0.0.1:1", "SSL_CERT_FILE=/nonexistent", "NO_PROXY="}
	begin := time.Now()
	must(t, cmd.Start())
	far.Close()
	var c cell
	kill := time.AfterFunc(fixture.Patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	must(t, relay.WriteFrame(module, relay.Hello, greeting))
	c.verdict = converse(t, module)
	c.took, c.own = time.Since(begin), highWater(cmd.Process.Pid)
	must(t, cmd.Wait())
	c.peak = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	lines := syslog.Await(fmt.Sprintf("latch-auth[%d]: ", cmd.Process.Pid), " reason=")
	if len(lines) != 1 {
		t.Fatalf("%d lines in the log: %q", len(lines), lines)
	}
	c.line, c.reason = lines[0], reasonField.FindStringSubmatch(lines[0])[1]
	return c
}

// site writes the files of one host, on which nothing was ever seen, and returns HELLO's payload.
func site(t *testing.T, p policies, at place, timeout time.Duration) []byte {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "site-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	conf := fixture.Conf{"app_id": latchtest.AppID, "secret_key": latchtest.Secret, "latch_host": at.url, "action": p.action,
		"on_error": p.onError, "timeout": fmt.Sprint(timeout.Seconds()), "state_dir": dir + "/state", "run_dir": dir + "/run",
		"otp_key": dir + "/otp.key"}
	if at.ca != nil {
		conf["ca_file"] = dir + "/ca.pem"
		must(t, os.WriteFile(conf["ca_file"], at.ca, 0o644))
	}
	if at.held != "" {
		conf["timeout"] = map[bool]string{false: "98", true: "93"}[p.action == "otp"] // which leaves 1 s for files
		hold(t, cmp.Or(at.instead[at.held], conf[at.held]))
	}
	path, err := conf.Write(filepath.Join(dir, "latch.conf"))
	must(t, err)
	if p.action == "otp" {
		must(t, fixture.Enrol(otpstore.At(conf["state_dir"], conf["otp_key"]), "ana", 1000))
	}
	accounts := dir + "/latch.accounts"
	must(t, os.WriteFile(accounts, []byte("ana: "+latchtest.AccountID+"\n"), 0o600))
	greeting, err := relay.Greeting{Phase: relay.Auth, Service: "sshd", User: "ana", NSS: relay.Found, UID: 1000, Canonical: "ana",
		Args: []string{"config=" + path, "accounts=" + accounts}}.Marshal()
	must(t, err)
	return greeting
}

// hold keeps a file from being opened until the test ends.
func hold(t *testing.T, path string) {
	t.Helper()
	held, err := fixture.HoldFile(path)
	must(t, err)
	t.Cleanup(held.Release)
}

// converse reads HOLD and VERDICT, and answers a PROMPT with the right code.
func converse(t *testing.T, module io.ReadWriter) string {
	t.Helper()
	hold, err := relay.ReadFrame(module)
	if err != nil || hold.Type != relay.Hold {
		t.Fatalf("frame %+v, error %v; want HOLD", hold, err)
	}
	asked := false
	verdict, err := relay.ReadFrame(module)
	if err == nil && verdict.Type == relay.Prompt {
		asked = true
		code, failed := fixture.CodeOf(fixture.Seed)
		must(t, failed)
		must(t, relay.WriteFrame(module, relay.Answer, []byte("\x00"+code)))
		verdict, err = relay.ReadFrame(module)
	}
	if err != nil || verdict.Type != relay.Verdict {
		t.Fatalf("frame %+v, error %v; want VERDICT", verdict, err)
	}
	switch verdict.Payload[0] {
	case relay.Success:
		if asked {
			return "asks"
		}
		return "success"
	case relay.Ignore:
		return "ignore"
	}
	return "refuse"
}

var highWaterField = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// highWater returns the most memory that a process had so far, 0 for one that is gone.
func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	found := highWaterField.FindSubmatch(status)
	if err != nil || found == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(found[1]), 10, 64)
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}
