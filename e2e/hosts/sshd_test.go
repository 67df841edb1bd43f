package hosts

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

const sshPort = "2222"

// startSSHD starts Debian's sshd under Debian's PAM service "sshd". It dies with the machine.
func (b *theBed) startSSHD(scratch string) error {
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return err
	}
	b.hostKey = scratch + "/host_key"
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", b.hostKey).CombinedOutput(); err != nil {
		return fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	askpass := "#!/bin/sh\nprintf '%s\\n' \"$1\" >>\"$ASKED\"\n" +
		"case $1 in\n*one-time* | *code*) cat \"$TOKEN_FILE\" ;;\n*) printf '%s\\n' \"$PASSWORD\" ;;\nesac\n"
	if err := os.WriteFile(askpassFile, []byte(askpass), 0o755); err != nil {
		return err
	}
	_, err := runSSHD(sshPort, "PasswordAuthentication=yes")
	return err
}

// runSSHD starts an sshd of the tests' and waits until it listens. The first value of an option counts.
func runSSHD(port string, options ...string) (*exec.Cmd, error) {
	args := []string{"-f", "/dev/null", "-D", "-E", bed.hostKey + ".log"}
	for _, option := range append(options, "ListenAddress=127.0.0.1", "ListenAddress=::", "Port="+port, "HostKey="+bed.hostKey, "PidFile=none", "UsePAM=yes",
		"KbdInteractiveAuthentication=yes", "MaxStartups=100", "UseDNS=no", "Subsystem=sftp internal-sftp") {
		args = append(args, "-o", option)
	}
	// Newer ones lock out an address after a few failures; all of ours come from one address.
	if exec.Command("/usr/sbin/sshd", append(args, "-t", "-o", "PerSourcePenalties=no")...).Run() == nil {
		args = append(args, "-o", "PerSourcePenalties=no")
	}
	cmd := exec.Command("/usr/sbin/sshd", args...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go cmd.Wait()
	return cmd, awaitListener("127.0.0.1:" + port)
}

// secondSSHD runs one more sshd for the time of a test.
func secondSSHD(t *testing.T, port string, options ...string) {
	t.Helper()
	cmd, err := runSSHD(port, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
}

const askpassFile = "/run/askpass"

func awaitListener(address string) error {
	listens := fixture.Await(func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if !listens {
		return errors.New("nobody listens at " + address)
	}
	return nil
}

// sshOptions let the client use one method only, once.
func sshOptions(method string) []string {
	options := []string{"StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null", "LogLevel=ERROR",
		"PreferredAuthentications=" + method, "NumberOfPasswordPrompts=1", "IdentitiesOnly=yes", "Port=" + sshPort}
	if method == "publickey" {
		options = append(options, "IdentityFile="+bed.key, "BatchMode=yes")
	}
	var args []string
	for _, o := range options {
		args = append(args, "-o", o)
	}
	return append(args, "-F", "none")
}

// client is an ssh-like command with the environment in which it asks our script instead of a terminal.
func client(method, password, tokenFile, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, append(sshOptions(method), args...)...)
	cmd.Env = append(os.Environ(), "SSH_ASKPASS="+askpassFile, "SSH_ASKPASS_REQUIRE=force", "PASSWORD="+password, "TOKEN_FILE="+tokenFile, "ASKED=/dev/null")
	return cmd
}

func login(method, user, password string) result {
	return sshResult(client(method, password, "/dev/null", "ssh", user+"@127.0.0.1", proveIt))
}

func sshResult(cmd *exec.Cmd) result {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return result{stdout.String(), stderr.String(), err}
}

var sshMethods = []string{"password", "keyboard-interactive", "publickey"}

// TestSSHD has each method of logging in meet each state. A sample has every state with one method or two, and every
// method with two states or more.
func TestSSHD(t *testing.T) {
	down := bed.conf.With("latch_host", nowhere)
	states := []struct {
		name, user string
		conf       fixture.Conf
		in         bool
		log        []string // what the audit line says besides the user
	}{
		{"open", opened, bed.conf, true, []string{"opened "}},
		{"closed", closed, bed.conf, false, []string{"refused ", `reason="closed"`}},
		{"not paired", unpaired, bed.conf, true, []string{"ignored "}},
		{"server down and action open", opened, down.With("action", "open"), true, []string{"opened "}},
		{"server down and action close", opened, down.With("action", "close"), false, []string{"refused "}},
	}
	for i, state := range states {
		t.Run(state.name, func(t *testing.T) {
			configure(t, state.conf)
			for _, method := range fixture.Sample(fixture.Rotated(sshMethods, i), 2) {
				before := len(bed.log.Lines())
				r := login(method, state.user, fixture.Password)
				if r.in(state.user) != state.in {
					t.Errorf("%s: in = %v, want %v\n%s", method, !state.in, state.in, r.stderr)
				}
				phase := `phase="auth"`
				if method == "publickey" {
					phase = `phase="account"`
				}
				line := append([]string{`user="` + state.user + `"`, `service="sshd"`, `rhost="127.0.0.1"`, phase}, state.log...)
				if len(bed.log.Await(line...)) == 0 {
					t.Errorf("%s: no log line with %q; new lines: %q", method, line, bed.log.Lines()[before:])
				}
			}
		})
	}
}

func TestSSHDWrongPasswordAsksNothing(t *testing.T) {
	before := bed.tap.Questions()
	for _, method := range []string{"password", "keyboard-interactive"} {
		if r := login(method, opened, "wrong"); r.in(opened) {
			t.Errorf("%s: a wrong password got in", method)
		}
	}
	if n := bed.tap.Questions() - before; n != 0 {
		t.Errorf("a wrong password made %d questions at the server, want 0", n)
	}
}

// One login by password runs auth and account in one transaction: one question.
func TestSSHDAsksOncePerLogin(t *testing.T) {
	// For a minute after a question that came to nothing, as other tests ask them, the first one is silent.
	if err := os.RemoveAll("/run/latch/closed"); err != nil {
		t.Fatal(err)
	}
	for _, method := range sshMethods {
		before := bed.tap.Questions()
		if r := login(method, opened, fixture.Password); !r.in(opened) {
			t.Fatalf("%s: not in: %s", method, r.stderr)
		}
		if n := bed.tap.Questions() - before; n != 1 {
			t.Errorf("%s: %d questions for one login, want 1", method, n)
		}
	}
}

func TestSSHDClosedLooksLikeWrongPassword(t *testing.T) {
	for _, method := range []string{"password", "keyboard-interactive"} {
		wrong, shut := login(method, closed, "wrong"), login(method, closed, fixture.Password)
		if shut.stderr != wrong.stderr || shut.stdout != wrong.stdout {
			t.Errorf("%s: wrong password: %q %q\nclosed latch: %q %q", method, wrong.stdout, wrong.stderr, shut.stdout, shut.stderr)
		}
	}
}

func TestFileTransferOverKey(t *testing.T) {
	source := filepath.Join(t.TempDir(), "letter")
	if err := os.WriteFile(source, []byte("dear reader\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ssh := "ssh " + strings.Join(sshOptions("publickey"), " ")
	commands := map[string]func(user, to string) *exec.Cmd{
		"scp": func(user, to string) *exec.Cmd {
			return client("publickey", "", "", "scp", "-q", source, user+"@127.0.0.1:"+to)
		},
		"sftp": func(user, to string) *exec.Cmd {
			cmd := client("publickey", "", "", "sftp", "-q", "-b", "-", user+"@127.0.0.1")
			cmd.Stdin = strings.NewReader("put " + source + " " + to + "\n")
			return cmd
		},
		"rsync": func(user, to string) *exec.Cmd {
			return exec.Command("rsync", "-e", ssh, source, user+"@127.0.0.1:"+to)
		},
	}
	for name, command := range commands {
		for user, want := range map[string]bool{opened: true, closed: false} {
			t.Run(name+" "+user, func(t *testing.T) {
				to := filepath.Join(bed.users[user].Home, name)
				r := sshResult(command(user, to))
				_, err := os.Stat(to)
				if arrived := err == nil; arrived != want || (r.err == nil) != want {
					t.Errorf("arrived = %v, exit %v, want %v\n%s", arrived, r.err, want, r.stderr)
				}
			})
		}
	}
}

func TestTwentyLoginsAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			user, method := []string{opened, closed}[i%2], sshMethods[i%len(sshMethods)]
			if r, want := login(method, user, fixture.Password), user == opened; r.in(user) != want {
				t.Errorf("login %d, %s by %s: in = %v, want %v\n%s", i, user, method, !want, want, r.stderr)
			}
		})
	}
	wg.Wait()
}

// phone is a named pipe that gives whoever reads it the one-time token, changed by edit. The reader is the person at the
// prompt, so the token has been made by then.
func phone(t *testing.T, edit func(token string) string) string {
	t.Helper()
	pipe := filepath.Join(t.TempDir(), "phone")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ended, written := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for a reader
		if err != nil {
			return
		}
		defer f.Close()
		select {
		case <-ended:
		default:
			token, err := bed.server.Token(opened)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintln(f, edit(token))
		}
	}()
	// Where nobody was asked, nobody read, and the writer still waits.
	t.Cleanup(func() {
		close(ended)
		if f, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			defer f.Close()
		}
		<-written
	})
	return pipe
}

func TestSSHDOneTimeToken(t *testing.T) {
	configure(t, bed.conf.With("otp", "yes"))
	if err := bed.server.DemandTokens("hosts", true); err != nil {
		t.Fatal(err)
	}
	defer bed.server.DemandTokens("hosts", false)
	right := func(token string) string { return token }
	rows := []struct {
		name, method string
		edit         func(string) string
		in           bool
	}{
		{"right", "keyboard-interactive", right, true},
		{"wrong", "keyboard-interactive", func(token string) string { return strings.Repeat("9", len(token)) }, false},
		{"empty", "keyboard-interactive", func(string) string { return "" }, false},
		// sshd's password method answers every prompt with the password: nobody can be asked.
		{"no prompt", "password", right, false},
		{"a key asks without a token", "publickey", right, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := sshResult(client(row.method, fixture.Password, phone(t, row.edit), "ssh", opened+"@127.0.0.1", proveIt))
			if r.in(opened) != row.in {
				t.Errorf("in = %v, want %v\n%s", !row.in, row.in, r.stderr)
			}
			// The login is over, so the token is of no use: latch-server hears of it, and the phone shows it no more.
			var tokens []string
			gone := fixture.Await(func() (none bool) {
				var err error
				tokens, err = bed.server.Tokens(opened)
				if err != nil {
					t.Fatal(err)
				}
				return len(tokens) == 0
			})
			if !gone {
				t.Fatalf("the phone still shows %q", tokens)
			}
		})
	}
}
