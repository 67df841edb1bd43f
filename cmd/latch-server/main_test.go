package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/api"
)

// TestMain lets the test binary play the program itself, as another process or as another user.
func TestMain(m *testing.M) {
	if os.Getenv("LATCH_SERVER_TEST") == "run" {
		main()
	}
	os.Exit(m.Run())
}

// bed is a data directory and the program called on it.
type bed struct {
	t   *testing.T
	dir string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	b.ok("init")
	return b
}

// call runs one command in this process.
func (b *bed) call(args ...string) (status int, out, errOut string) {
	var o, e bytes.Buffer
	status = run(append(args, "--data", b.dir), &o, &e)
	return status, o.String(), e.String()
}

func (b *bed) ok(args ...string) string {
	b.t.Helper()
	out, said := b.warned(args...)
	if said != "" && !strings.HasPrefix(said, "latch-server: hint: ") {
		b.t.Fatalf("%q: %s", args, said)
	}
	return out
}

// warned runs a command that succeeds and may have something to say.
func (b *bed) warned(args ...string) (out, said string) {
	b.t.Helper()
	status, out, errOut := b.call(args...)
	if status != 0 {
		b.t.Fatalf("%q: exit %d, %s", args, status, errOut)
	}
	return out, errOut
}

// object runs a command with --json and returns what it printed.
func (b *bed) object(args ...string) map[string]any {
	b.t.Helper()
	out := b.ok(append(args, "--json")...)
	var o map[string]any
	if err := json.Unmarshal([]byte(out), &o); err != nil || o["version"] != 1.0 {
		b.t.Fatalf("%q printed %q (%v)", args, out, err)
	}
	return o
}

func (b *bed) fails(status int, text string, args ...string) {
	b.t.Helper()
	got, out, errOut := b.call(args...)
	if got != status || !strings.Contains(errOut, text) || out != "" {
		b.t.Errorf("%q: exit %d, stdout %q, stderr %q; want exit %d and %q", args, got, out, errOut, status, text)
	}
}

// serving is the program serving in another process.
type serving struct {
	b      *bed
	cmd    *exec.Cmd
	url    string
	client *http.Client
	log    *bytes.Buffer
	rest   *bufio.Reader // of stdout, after the first line
}

func (b *bed) serve(args ...string) *serving {
	b.t.Helper()
	if len(args) == 0 {
		args = []string{"--tls-self-signed"}
	}
	s := &serving{b: b, log: &bytes.Buffer{}}
	s.cmd = exec.Command(os.Args[0], append([]string{"serve", "--data", b.dir, "--listen", "127.0.0.1:0"}, args...)...)
	s.cmd.Env = append(os.Environ(), "LATCH_SERVER_TEST=run")
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	s.rest = bufio.NewReader(out)
	line, err := s.rest.ReadString('\n')
	if err != nil {
		s.cmd.Wait()
		b.t.Fatalf("no line on stdout: %v, stderr %s", err, s.log)
	}
	url, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "latch-server: ready at ")
	if !ok || !strings.HasPrefix(url, "https://127.0.0.1:") {
		b.t.Fatalf("first line is %q", line)
	}
	s.url = url
	ca, err := os.ReadFile(filepath.Join(b.dir, "ca.pem"))
	if err != nil {
		b.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	return s
}

func (s *serving) get(c api.Credentials, path string) string {
	s.b.t.Helper()
	path = "/api/1.3/" + path
	r, err := http.NewRequestWithContext(context.Background(), "GET", s.url+path, nil)
	if err != nil {
		s.b.t.Fatal(err)
	}
	date := time.Now().UTC().Format(api.DateLayout)
	r.Header.Set(api.HeaderDate, date)
	r.Header.Set("Authorization", api.Sign(c, "GET", path, nil, nil, date))
	resp, err := s.client.Do(r)
	if err != nil {
		s.b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.b.t.Fatal(err)
	}
	return string(body)
}

// stop ends the server and returns its exit status.
func (s *serving) stop(sig syscall.Signal) int {
	s.b.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.b.t.Fatal(err)
	}
	rest, _ := io.ReadAll(s.rest)
	if len(rest) > 0 {
		s.b.t.Errorf("more than one line on stdout: %q", rest)
	}
	s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

func TestCommandsBesideAServingServer(t *testing.T) {
	b := newBed(t)
	s := b.serve()
	app := b.object("app", "add", "servers")
	c := api.Credentials{ID: app["app_id"].(string), Secret: app["secret_key"].(string)}
	b.ok("user", "add", "ana")
	code := b.object("code", "ana")
	if expires, err := time.Parse(time.RFC3339, code["expires"].(string)); err != nil || time.Until(expires) > 2*time.Minute {
		t.Errorf("code expires at %v, %v", code["expires"], err)
	}
	var paired struct{ Data struct{ AccountID string } }
	if err := json.Unmarshal([]byte(s.get(c, "pair/"+code["code"].(string))), &paired); err != nil {
		t.Fatal(err)
	}
	status := "status/" + paired.Data.AccountID
	reads := func(want string) {
		t.Helper()
		if got := s.get(c, status); !strings.Contains(got, `"status":"`+want+`"`) {
			t.Errorf("host reads %s, want %s", got, want)
		}
	}
	reads("on")
	if out := b.ok("close", "ana"); out != "servers: closed\n" {
		t.Errorf("close printed %q", out)
	}
	reads("off")
	b.ok("open", "ana", "--app", c.ID)
	reads("on")
	op := strings.TrimSpace(b.ok("operation", "add", "servers", "ssh"))
	b.ok("close", "ana", "--app", "servers", "--operation", "ssh")
	if got := s.get(c, status+"/op/"+op); !strings.Contains(got, `"off"`) {
		t.Errorf("the operation reads %s", got)
	}
	reads("on")
	b.ok("user", "disable", "ana")
	reads("off")
	b.fails(1, "hint: run latch-server user enable USER first", "open", "ana")
	b.ok("user", "enable", "ana")
	reads("on")
	secret := b.object("app", "secret", "add", "servers", "web1")["secret_key"].(string)
	web1 := api.Credentials{ID: c.ID, Secret: secret}
	if got := s.get(web1, status); !strings.Contains(got, `"on"`) {
		t.Errorf("with the new secret: %s", got)
	}
	b.ok("app", "secret", "revoke", "servers", "web1")
	if got := s.get(web1, status); !strings.Contains(got, `"code":102`) {
		t.Errorf("with the revoked secret: %s", got)
	}
	b.ok("app", "set", "servers", "--two-factor=mandatory")
	answer := s.get(c, status)
	tokens := b.object("token", "ana")["tokens"].([]any)
	if len(tokens) != 1 || !strings.Contains(answer, tokens[0].(map[string]any)["token"].(string)) {
		t.Errorf("answer %s, phone %v", answer, tokens)
	}
	b.ok("app", "set", "servers", "--two-factor=opt-in")
	token := func() bool { return strings.Contains(s.get(c, status), "token") }
	if token() {
		t.Error("a token was made before the person chose it")
	}
	b.ok("choose", "ana", "--two-factor=yes")
	if !token() {
		t.Error("no token was made though the person chose it")
	}
	if removed := b.object("prune", "--keep-days", "1")["removed"]; removed != 0.0 {
		t.Errorf("%v entries of today were removed", removed)
	}
	b.fails(2, "--keep-days takes", "prune")
	b.fails(2, "--yes", "user", "remove", "ana")
	b.warned("user", "remove", "ana", "--yes")
	reads("off")
	if entries := b.object("history")["history"].([]any); len(entries) < 10 {
		t.Errorf("history has %d entries", len(entries))
	}
	if exit := s.stop(syscall.SIGTERM); exit != 0 {
		t.Errorf("exit status %d after SIGTERM, stderr %s", exit, s.log)
	}
	if again := b.serve(); again.stop(syscall.SIGINT) != 0 {
		t.Error("exit status after SIGINT is not 0")
	}
}

func TestErrors(t *testing.T) {
	b := newBed(t)
	b.ok("user", "add", "ana")
	b.ok("app", "add", "servers")
	b.fails(2, `unknown command "nothing"`, "nothing")
	b.fails(2, "accepts 1 arg(s)", "app", "add")
	b.fails(2, "unknown flag", "user", "list", "--nothing")
	b.fails(2, "tls-self-signed", "serve")
	b.fails(1, `no such user: "eva"`, "code", "eva")
	b.fails(1, `no such user: "eva"`, "open", "eva")
	b.fails(1, `no such application: "x"`, "open", "ana", "--app", "x")
	b.fails(5, `"ana": account is not paired`, "close", "ana")
	b.fails(5, "hint: make a pairing code", "close", "ana")
	b.fails(2, "--operation needs --app", "close", "ana", "--operation", "x")
	b.fails(1, `user "ana": name is taken`, "user", "add", "ana")
	b.fails(2, "yes or no", "app", "set", "servers", "--open-by-api=maybe")
	b.fails(2, "none of DISABLED", "app", "set", "servers", "--two-factor=maybe")
	b.fails(1, "cannot be seen", "user", "add", "a\nb")
	b.fails(1, "is there already", "init")
	b.fails(2, "needs a subcommand", "app")
	b.fails(2, "invalid argument", "completion", "tcsh")
	broken, keyless := newBed(t), newBed(t)
	if err := errors.Join(os.Truncate(filepath.Join(broken.dir, "latch.db"), 1000), os.Remove(filepath.Join(keyless.dir, "secret.key"))); err != nil {
		t.Fatal(err)
	}
	broken.fails(1, "hint: look at the disk", "user", "list")
	keyless.fails(1, "hint: put secret.key back", "user", "list")
	other := &bed{t: t, dir: t.TempDir()}
	other.fails(1, "hint: run latch-server init", "user", "list")
	other.fails(2, "not of the form https://", "init", "--url", "http://x")
	other.fails(2, "no port from 1 to 65535", "init", "--url", "https://x:99999")
	if left, _ := os.ReadDir(other.dir); len(left) != 0 {
		t.Errorf("failed commands left %v", left)
	}
	b.fails(2, "--limit takes a number from 1 up", "history", "--limit", "-1")
	b.fails(1, "hint: see latch-server app list", "app", "set", "nothing", "--name", "x")
	b.fails(1, "hint: see latch-server app secret list", "app", "secret", "revoke", "servers", "nothing")
	b.fails(1, "hint: see latch-server control list", "control", "open", "servers", "nothing")
	b.fails(1, "hint: see latch-server api-user list", "api-user", "remove", "nothing")
	b.fails(2, "not of the form https://", "serve", "--tls-self-signed", "--url", "https://a/b")
	status, out, errOut := b.call("code", "eva", "--json")
	hint := `"hint":"see latch-server user list, or make one with latch-server user add NAME",`
	if status != 1 || out != `{"error":{`+hint+`"kind":"error","message":"no such user: \"eva\""},"version":1}`+"\n" || errOut != "" {
		t.Errorf("exit %d, stdout %q, stderr %q", status, out, errOut)
	}
}

func TestLists(t *testing.T) {
	b := newBed(t)
	status, out, errOut := b.call("app", "list")
	if status != 0 || out != "" || errOut != "latch-server: no applications\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", status, out, errOut)
	}
	if list := b.object("app", "list")["applications"].([]any); len(list) != 0 {
		t.Errorf("applications are %v", list)
	}
	added := b.object("app", "add", "servers", "--two-factor", "opt_in")
	b.ok("app", "set", "servers", "--open-by-api=yes", "--contact-email", "a@b.c")
	out = b.ok("app", "list")
	for _, want := range []string{added["app_id"].(string), "servers", "OPT_IN", "yes", "a@b.c"} {
		if !strings.Contains(out, want) {
			t.Errorf("list lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, added["secret_key"].(string)) {
		t.Error("list shows a secret")
	}
	id := strings.TrimSpace(b.ok("control", "add", "servers", "night"))
	b.ok("control", "close", "servers", id)
	if out := b.ok("control", "list", "servers"); !strings.Contains(out, "closed") {
		t.Errorf("controls are %q", out)
	}
	b.ok("api-user", "add", "terraform")
	if out := b.ok("api-user", "list"); !strings.Contains(out, "terraform") {
		t.Errorf("api users are %q", out)
	}
	if list, ok := b.object("api-user", "list")["api_users"].([]any); !ok || len(list) != 1 {
		t.Errorf("as JSON: %v", list)
	}
	b.ok("api-user", "remove", "terraform")
	if _, _, errOut := b.call("api-user", "list"); !strings.Contains(errOut, "no api users") {
		t.Errorf("without one: %q", errOut)
	}
	b.ok("app", "remove", "servers")
	b.fails(1, "no such application", "operation", "list", "servers")
	if out := b.ok("completion", "bash"); !strings.Contains(out, "complete -o") || !strings.Contains(out, "latch-server") {
		t.Errorf("completion printed %q", out)
	}
	if out := b.ok("version"); !strings.HasPrefix(out, "latch-server ") || b.ok("--version") != out {
		t.Errorf("version printed %q, --version %q", out, b.ok("--version"))
	}
}

func TestBackupAndRestoreWhileServing(t *testing.T) {
	b := newBed(t)
	s := b.serve()
	b.ok("user", "add", "ana")
	file := filepath.Join(t.TempDir(), "backup.tar")
	b.ok("backup", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("backup has mode %v, %v", info.Mode(), err)
	}
	b.fails(1, "exists", "backup", file)
	s.stop(syscall.SIGTERM)
	other := &bed{t: t, dir: filepath.Join(t.TempDir(), "restored")}
	other.ok("restore", file)
	if out := other.ok("user", "list"); !strings.Contains(out, "ana") {
		t.Errorf("restored people are %q", out)
	}
	ca := func(b *bed) string {
		data, err := os.ReadFile(filepath.Join(b.dir, "ca.pem"))
		if err != nil {
			t.Error(err)
		}
		return string(data)
	}
	if ca(b) != ca(other) {
		t.Error("the restored server has another authority: hosts would not trust it")
	}
	other.fails(1, "exists", "restore", file)
}

// TestRestoreNamesOpenLatches: a latch that was closed after the backup is open again, which somebody has to see.
func TestRestoreNamesOpenLatches(t *testing.T) {
	b := paired(t)
	file := filepath.Join(t.TempDir(), "backup.tar")
	b.ok("backup", file)
	for flag, status := range map[string]string{"--keep-open": "open", "--close-all": "closed"} {
		other := &bed{t: t, dir: filepath.Join(t.TempDir(), "restored")}
		out := other.object("restore", file, flag)
		if list, _ := out["open"].([]any); len(list) != 2 || list[1] != "ana: servers / ssh" {
			t.Errorf("restore names %v", out)
		}
		if got := other.ok("status", "ana"); !strings.Contains(got, status) {
			t.Errorf("after %s the latch is %s", flag, got)
		}
	}
}

// programOfRoot copies the program to where other users can run it.
func programOfRoot(t *testing.T) (top string, run func(args ...string) (string, error)) {
	t.Helper()
	top, err := os.MkdirTemp("/tmp", "latch-server-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	program := filepath.Join(top, "latch-server")
	data, err := os.ReadFile(os.Args[0])
	if err := errors.Join(err, os.Chmod(top, 0o711), os.WriteFile(program, data, 0o755)); err != nil {
		t.Fatal(err)
	}
	return top, func(args ...string) (string, error) {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "LATCH_SERVER_TEST=run")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

// TestHalfABackupIsNotLeft: when it fails, root is no longer root, and cannot remove the file.
func TestHalfABackupIsNotLeft(t *testing.T) {
	fixture.NeedsRoot(t)
	top, run := programOfRoot(t)
	dir, file := filepath.Join(top, "data"), filepath.Join(top, "backup.tar")
	if out, err := run("init", "--owner", "nobody", "--data", dir); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run("backup", file, "--data", dir); err == nil || !strings.Contains(out, "is left, empty") {
		t.Errorf("%v, %s", err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Size() != 0 {
		t.Errorf("the file holds %v, %v", info, err)
	}
}

// TestDirectoryOfOthersIsLeftAlone: a slip in --data must not take a directory over.
func TestDirectoryOfOthersIsLeftAlone(t *testing.T) {
	backup := filepath.Join(t.TempDir(), "backup.tar")
	newBed(t).ok("backup", backup)
	b := &bed{t: t, dir: t.TempDir()}
	if err := errors.Join(os.Chmod(b.dir, 0o755), os.WriteFile(filepath.Join(b.dir, "latch.db-wal"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	b.fails(1, "is there already", "init")
	b.fails(1, "hint: name a directory that is empty", "restore", backup)
	info, err := os.Stat(b.dir)
	entries, failed := os.ReadDir(b.dir)
	if err != nil || failed != nil || info.Mode().Perm() != 0o755 || len(entries) != 1 {
		t.Errorf("mode %v, holds %v, %v, %v", info.Mode(), entries, err, failed)
	}
}

// TestRootActsAsTheOwner checks that nothing root does leaves a file of root's.
func TestRootActsAsTheOwner(t *testing.T) {
	fixture.NeedsRoot(t)
	top, run := programOfRoot(t)
	dir, restored := filepath.Join(top, "data"), filepath.Join(top, "restored")
	as := func(dir string, args ...string) {
		t.Helper()
		if out, err := run(append(args, "--data", dir)...); err != nil {
			t.Fatalf("%q: %v, %s", args, err, out)
		}
	}
	as(dir, "init", "--owner", "nobody")
	as(dir, "app", "add", "servers")
	as(dir, "user", "add", "ana")
	backup := filepath.Join(top, "backup.tar")
	as(dir, "backup", backup)
	as(restored, "restore", backup, "--owner", "daemon")
	for root, uid := range map[string]uint32{dir: 65534, restored: 1} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if owner := info.Sys().(*syscall.Stat_t).Uid; owner != uid || info.Mode().Perm()&0o077 != 0 {
				return fmt.Errorf("%s belongs to %d, mode %v", path, owner, info.Mode())
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestEveryCommandSaysItsExitStatuses(t *testing.T) {
	root := newRoot(&program{})
	for _, c := range root.Commands() {
		for _, c := range append(c.Commands(), c) {
			if c.Name() != "help" && !strings.Contains(c.Long, "Exit status") {
				t.Errorf("%s --help does not list exit statuses", c.CommandPath())
			}
		}
	}
}
