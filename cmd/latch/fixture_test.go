package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/server/httpapi"
	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// playVariable makes the test binary the program itself, in a process of its own.
const playVariable = "LATCH_TEST_PLAY"

// patience ends a test that hangs.
const patience = 5 * time.Minute

// eventually waits for what another process or goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// nowhere is an address on loopback where nobody listens.
const nowhere = "https://127.0.0.1:1"

// Local users of the machine that the tests run on, each of whom has a phone.
var locals = map[string]int{"ana": 7001, "bob": 7002, "eva": 7003}

// latchServer is a real Latch server: pkg/server/httpapi and pkg/server/store, over TLS.
type latchServer struct {
	store *store.Store
	url   string
	ca    string // file
}

var shared latchServer

func TestMain(m *testing.M) {
	if os.Getenv(playVariable) != "" {
		main()
	}
	os.Exit(fixture.Isolate(func() int {
		if err := setUp(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer shared.store.Close()
		return m.Run()
	}))
}

// logged is what every test's commands told the system's log.
var logged *fixture.Syslog

// setUp makes the machine and its server. Everything lies in memory.
func setUp() error {
	const scratch = "/run/scratch"
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return err
	}
	for _, variable := range []string{"SUDO_USER", "SUDO_EDITOR", "VISUAL", "EDITOR"} {
		os.Unsetenv(variable)
	}
	os.Setenv("TMPDIR", scratch)
	for name, id := range locals {
		if _, err := fixture.AddUser(name, id); err != nil {
			return err
		}
	}
	if err := install(); err != nil {
		return err
	}
	var err error
	if logged, err = fixture.ListenSyslog(); err != nil {
		return err
	}
	return shared.start(filepath.Join(scratch, "server"))
}

// start runs the server on a free port for as long as the tests run.
func (s *latchServer) start(dir string) (err error) {
	if err := store.Create(dir); err != nil {
		return err
	}
	if s.store, err = store.Open(dir, store.Options{}); err != nil {
		return err
	}
	for name := range locals {
		if _, err := s.store.AddUser(context.Background(), name); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	conf, err := httpapi.SelfSigned(dir, httpapi.LeafNames(l.Addr(), ""), time.Now)
	if err != nil {
		return err
	}
	s.url, s.ca = "https://"+l.Addr().String(), filepath.Join(dir, httpapi.CAFile)
	go httpapi.New(httpapi.Options{Store: s.store}).Serve(context.Background(), l, conf)
	return nil
}

// world is one application of the shared server and one host that asks as it.
type world struct {
	t        testing.TB
	app      store.Application
	secret   string
	conf     string // files
	accounts string
	env      map[string]string
	uid      int
	login    string
	input    string // standard input
	terminal string // path, "" for none
	pam      installer.System
}

// worlds counts, so that no two applications have one name.
var worlds atomic.Int64

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, env: map[string]string{}, terminal: filepath.Join(t.TempDir(), "none")}
	dir := t.TempDir()
	w.conf, w.accounts = filepath.Join(dir, "latch.conf"), filepath.Join(dir, "latch.accounts")
	var err error
	w.app, w.secret, err = shared.store.AddApplication(context.Background(), store.Application{Name: fmt.Sprint(t.Name(), " ", worlds.Add(1))})
	w.must(err)
	w.configure()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// configure writes a configuration for the server and the application, with further lines, or other values.
func (w *world) configure(lines ...string) {
	w.t.Helper()
	text := strings.Join(append(lines, ""), "\n")
	for key, value := range map[string]string{"app_id": w.app.ID, "secret_key": w.secret, "latch_host": shared.url, "ca_file": shared.ca, "retries": "0"} {
		if !strings.Contains("\n"+text, "\n"+key+" = ") {
			text = key + " = " + value + "\n" + text
		}
	}
	w.write(w.conf, text)
}

func (w *world) write(path, text string) {
	w.t.Helper()
	w.must(os.WriteFile(path, []byte(text), 0o600))
}

func (w *world) read(path string) string {
	w.t.Helper()
	data, err := os.ReadFile(path)
	w.must(err)
	return string(data)
}

// code is a fresh pairing code, as the person's phone would show it.
func (w *world) code(person string) string {
	w.t.Helper()
	code, _, err := shared.store.NewCode(context.Background(), person)
	w.must(err)
	return code
}

// move opens or closes a person's latch on the phone.
func (w *world) move(person string, open bool) {
	w.t.Helper()
	_, err := shared.store.SetByUser(context.Background(), person, w.app.ID, "", open)
	w.must(err)
}

// outcome is what a command came to.
type outcome struct {
	status cli.Exit
	out    string
	err    string
}

func (o outcome) String() string {
	return fmt.Sprintf("%v, stdout %q, stderr %q", o.status, o.out, o.err)
}

// run runs one command line on the world's files, in this process.
func (w *world) run(args ...string) outcome {
	w.t.Helper()
	return w.bare(append(args, "--config", w.conf, "--accounts", w.accounts)...)
}

// bare runs a command line as it is.
func (w *world) bare(args ...string) outcome {
	w.t.Helper()
	var out, errOut bytes.Buffer
	a := &app{
		Printer: cli.Printer{Program: "latch", Out: &out, Err: &errOut}, in: strings.NewReader(w.input),
		terminal: cli.Terminal{Path: w.terminal}, getenv: func(name string) string { return w.env[name] }, now: time.Now,
		uid: w.uid, find: findPerson, login: func() string { return w.login }, pam: w.pam,
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status := a.run(ctx, append([]string{"latch"}, args...))
	o := outcome{status, out.String(), errOut.String()}
	if strings.Contains(strings.ToLower(o.out+o.err), strings.ToLower(w.secret)) {
		w.t.Errorf("%q shows the secret: %v", args, o)
	}
	return o
}

// ok runs a command that must succeed and returns its standard output.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	o := w.run(args...)
	if o.status != cli.ExitOK {
		w.t.Fatalf("latch %q: %v", args, o)
	}
	return o.out
}

// fails runs a command that must fail with nothing on standard output and every text on standard error, and fail in
// the same way with --json.
func (w *world) fails(status cli.Exit, texts []string, args ...string) {
	w.t.Helper()
	o := w.run(args...)
	if o.status != status || o.out != "" {
		w.t.Errorf("latch %q: %v, want %v", args, o, status)
	}
	for _, text := range texts {
		if !strings.Contains(o.err, text) {
			w.t.Errorf("latch %q: stderr %q lacks %q", args, o.err, text)
		}
	}
	told := w.object(status, append(args, "--json")...)
	fields, _ := told["error"].(map[string]any)
	if fields["kind"] != status.String() || fields["message"] == "" {
		w.t.Errorf("latch %q --json: %v", args, told)
	}
}

// object runs a command with --json and returns the one object that it must print.
func (w *world) object(status cli.Exit, args ...string) map[string]any {
	w.t.Helper()
	o := w.run(append(args, "--json")...)
	dec := json.NewDecoder(strings.NewReader(o.out))
	var object map[string]any
	err := dec.Decode(&object)
	_, end := dec.Token()
	if err != nil || end != io.EOF || object["version"] != 1.0 || o.status != status {
		w.t.Fatalf("latch %q --json: %v, want %v and one object (%v)", args, o, status, err)
	}
	return object
}

// pair pairs a local user with the person of that name.
func (w *world) pair(user string) {
	w.t.Helper()
	w.ok("pair", w.code(user), "--user", user)
}

// pairing is what the pairing file has for a user.
func (w *world) pairing(user string) (pairings.Pairing, bool) {
	w.t.Helper()
	f, err := pairings.Load(w.accounts)
	w.must(err)
	return f.Find(user)
}

// installed is where the program lies for processes of its own, with the links beside it, as make install leaves them.
const installed = "/run/bin"

func install() error {
	if err := os.Mkdir(installed, 0o755); err != nil {
		return err
	}
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(installed, "latch"), data, 0o755); err != nil {
		return err
	}
	for link := range links {
		if err := os.Symlink("latch", filepath.Join(installed, link)); err != nil {
			return err
		}
	}
	return nil
}

// command is the program in a process of its own, called by a name.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(installed, name), args...)
	cmd.Env = append(os.Environ(), playVariable+"=yes")
	return cmd
}

// process runs a program to its end.
func process(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cli.Exit(cmd.ProcessState.ExitCode()), out.String(), errOut.String()}
}

// matches tells whether a text is what a pattern says, as a whole.
func matches(pattern, text string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(text)
}
