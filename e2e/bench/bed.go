package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

// bundle is where Debian keeps the CAs that the machine trusts.
const bundle = "/etc/ssl/certs/ca-certificates.crt"

// The people of the logins. Both exist on every Debian machine.
const (
	paired   = "root"
	unpaired = "daemon"
)

// bed is what all parts share: the built programs, a server with one paired person, the compiled host.
type bed struct {
	dir    string
	out    io.Writer
	files  fixture.Artefacts
	host   string // testdata/host.c, compiled
	server *fixture.Server
	conf   fixture.Conf
	cas    int // certificates in the system's bundle
	goals  []goal
}

func (b *bed) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bed) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

func newBed(dir string, out io.Writer) (*bed, error) {
	b := &bed{dir: dir, out: out, host: filepath.Join(dir, "host")}
	built, err := fixture.Built()
	if err != nil {
		return nil, err
	}
	if b.files, err = built.CopyTo(dir); err != nil {
		return nil, err
	}
	for _, step := range []func() error{b.compileHost, b.listenToLogs, b.startServer, b.trustServer} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *bed) compileHost() error {
	root, err := fixture.Root()
	if err != nil {
		return err
	}
	source := filepath.Join(root, "pam", "bench", "testdata", "host.c")
	return command("cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-o", b.host, source, "-lpam")
}

// listenToLogs gives every module a log to write to, as on a machine in use.
func (b *bed) listenToLogs() error {
	_, err := fixture.ListenSyslog()
	return err
}

func (b *bed) startServer() (err error) {
	if b.server, err = fixture.StartServer(b.files.Server, b.path("data")); err != nil {
		return err
	}
	app, err := b.server.AddApp("bench")
	if err != nil {
		return err
	}
	if err := b.server.AddUser(paired); err != nil {
		return err
	}
	b.conf = fixture.NewConf(b.server, app).With("timeout", "").With("action", "close").With("state_dir", b.path("state")).With("run_dir", b.path("run"))
	conf, err := b.conf.Write(b.path("pairing.conf"))
	if err != nil {
		return err
	}
	return fixture.Pair(b.server, b.files.CLI, conf, b.accounts(), paired)
}

func (b *bed) accounts() string { return b.path("latch.accounts") }

// trustServer adds the server's CA to this machine's own copy of the system's bundle.
func (b *bed) trustServer() error {
	ca, err := os.ReadFile(b.server.CA)
	if err != nil {
		return err
	}
	all, err := os.ReadFile(bundle)
	if err != nil {
		return err
	}
	all = append(all, ca...)
	b.cas = bytes.Count(all, []byte("BEGIN CERTIFICATE"))
	return os.WriteFile(bundle, all, 0o644)
}

// describe prints what was measured on.
func (b *bed) describe() {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	b.say("%s, %d cores (%s), Linux %s, %s; load before the run %s.", time.Now().Format(time.DateOnly),
		runtime.NumCPU(), processor(), strings.TrimSpace(string(release)), runtime.Version(), load())
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func command(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
