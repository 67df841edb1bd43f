// Package pam_test drives the built pam_latch.so through libpam, from Go and from small hosts in C, with a scripted
// program in the authenticator's place.
package pam_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/msteinert/pam/v2"

	"github.com/latch-linux/latch/e2e/fixture"
)

var (
	module string // build/pam_latch.so
	fake   string // testdata/fake.c, compiled
	host   string // testdata/host.c, compiled
)

// patience ends a test that hangs.
const patience = 5 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if module, err = filepath.Abs("../build/pam_latch.so"); err == nil {
		_, err = os.Stat(module)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests drive build/pam_latch.so, which is missing: run make build first")
		return 1
	}
	if err := fixture.Prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "pam-latch-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// A host that is not root runs from there, too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// The parallel tests wait more than they work.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	fake, host = filepath.Join(dir, "fake"), filepath.Join(dir, "host")
	for program, source := range map[string]string{fake: "testdata/fake.c", host: "testdata/host.c"} {
		if out, err := compile("cc", "-O1", "-g", "-Wall", "-rdynamic", "-o", program, source, "-lpam", "-lpthread"); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", source, err, out)
			return 1
		}
	}
	return m.Run()
}

func compile(compiler string, args ...string) ([]byte, error) {
	return exec.Command(compiler, append([]string{"-std=gnu11", "-D_GNU_SOURCE"}, args...)...).CombinedOutput()
}

// Frames of the authenticator, in hexadecimal.
var (
	success = frame(0x86, "\x01")
	ignore  = frame(0x86, "\x02")
	refuse  = frame(0x86, "\x03")
)

func frame(kind byte, payload string) string {
	n := len(payload) + 1
	return hex.EncodeToString([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), kind}) + hex.EncodeToString([]byte(payload))
}

func hold(seconds byte) string { return frame(0x81, string([]byte{seconds})) }

func send(frames ...string) string { return "send " + strings.Join(frames, "") }

// bed is a directory with a scripted authenticator and a PAM service "latch" that asks it.
type bed struct {
	t    *testing.T
	dir  string
	auth string // path of the authenticator
}

func newBed(t *testing.T, script ...string) *bed {
	t.Helper()
	b := &bed{t: t, dir: t.TempDir()}
	b.auth = filepath.Join(b.dir, "latch-auth")
	// Not written here: a test beside this one may fork meanwhile, and what a process has open for writing cannot be run.
	if out, err := exec.Command("cp", fake, b.auth).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b.script(script...)
	b.service("latch", module, b.auth)
	return b
}

func (b *bed) script(lines ...string) {
	b.t.Helper()
	must(b.t, os.WriteFile(b.auth+".script", []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

func (b *bed) service(name, so, auth string) {
	b.t.Helper()
	args := so + " authenticator=" + auth + " otp=no\n"
	must(b.t, os.WriteFile(filepath.Join(b.dir, name), []byte("auth required "+args+"account required "+args), 0o644))
}

// got returns the frames that the authenticator read, each as type and payload.
func (b *bed) got() []string {
	b.t.Helper()
	text, err := os.ReadFile(b.auth + ".got")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	must(b.t, err)
	var frames []string
	for _, line := range strings.Fields(string(text)) {
		raw, err := hex.DecodeString(line)
		must(b.t, err)
		frames = append(frames, string(raw))
	}
	return frames
}

// begin starts a transaction of root's whose conversation is answer.
func (b *bed) begin(answer func(pam.Style, string) (string, error)) *pam.Transaction {
	b.t.Helper()
	if answer == nil {
		answer = func(pam.Style, string) (string, error) { return "", errors.New("nobody is there") }
	}
	tx, err := pam.StartConfDir("latch", "root", pam.ConversationFunc(answer), b.dir)
	must(b.t, err)
	b.t.Cleanup(func() { _ = tx.End() })
	return tx
}

// inHost runs the C host in a mode and returns what it printed, by line.
func (b *bed) inHost(mode string, more ...string) []string {
	b.t.Helper()
	return b.underHost(nil, mode, more...)
}

func (b *bed) underHost(wrapper []string, mode string, more ...string) []string {
	b.t.Helper()
	argv := append(append(append([]string{}, wrapper...), host, b.dir, "latch", mode), more...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.WaitDelay = patience
	stop := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	out, err := cmd.Output()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		b.t.Fatalf("host in mode %q: %v\n%s%s", mode, err, out, ended.Stderr)
	}
	must(b.t, err)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
