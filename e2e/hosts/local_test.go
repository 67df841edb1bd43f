package hosts

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"

	"github.com/latch-linux/latch/e2e/fixture"
)

func TestSuAndSudo(t *testing.T) {
	down := bed.conf.With("latch_host", nowhere)
	rows := []struct {
		name string
		run  attempt
		user string // who "in" means
		conf fixture.Conf
		in   bool
	}{
		{"su, open", su(unpaired, opened), opened, bed.conf, true},
		{"su, closed", su(unpaired, closed), closed, bed.conf, false},
		{"su, not paired", su(opened, unpaired), unpaired, bed.conf, true},
		{"su as root asks nobody", su("", closed), closed, bed.conf, true},
		{"su, server down, action open", su(unpaired, opened), opened, down.With("action", "open"), true},
		{"su, server down, action close", su(unpaired, opened), opened, down.With("action", "close"), false},
		{"sudo, open", sudo(opened), "root", bed.conf, true},
		{"sudo, closed", sudo(closed), "root", bed.conf, false},
		{"sudo, not paired", sudo(unpaired), "root", bed.conf, true},
		{"sudo, server down, action open", sudo(opened), "root", down.With("action", "open"), true},
		{"sudo, server down, action close", sudo(opened), "root", down.With("action", "close"), false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			configure(t, row.conf)
			if r := row.run.run(); r.in(row.user) != row.in {
				t.Errorf("in = %v, want %v\n%s%s", !row.in, row.in, r.stdout, r.stderr)
			}
		})
	}
}

// hosts that ask for a password, as functions of the user and the password.
var passwordHosts = map[string]func(user, password string) result{
	"su": func(user, password string) result {
		a := su(unpaired, user)
		a.stdin = password + "\n"
		return a.run()
	},
	"sudo": func(user, password string) result {
		a := sudo(user)
		a.stdin = password + "\n"
		return a.run()
	},
	"login": func(user, password string) result { return console(user, password) },
	"sshd":  func(user, password string) result { return login("password", user, password) },
}

func TestClosedLooksLikeWrongPassword(t *testing.T) {
	for name, attempt := range passwordHosts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong, shut := attempt(closed, "wrong"), attempt(closed, fixture.Password)
			if wrong.in("root") || wrong.in(closed) || shut.in("root") || shut.in(closed) {
				t.Fatal("got in")
			}
			if wrong.stdout != shut.stdout || wrong.stderr != shut.stderr {
				t.Errorf("they differ\nwrong password: %q %q\nclosed latch:   %q %q", wrong.stdout, wrong.stderr, shut.stdout, shut.stderr)
			}
		})
	}
}

func TestWrongPasswordAsksNothing(t *testing.T) {
	for name, attempt := range passwordHosts {
		before := bed.tap.Questions()
		attempt(opened, "wrong")
		if n := bed.tap.Questions() - before; n != 0 {
			t.Errorf("%s: a wrong password made %d questions, want 0", name, n)
		}
	}
}

func TestLogin(t *testing.T) {
	for user, want := range map[string]bool{opened: true, closed: false, unpaired: true} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			if r := console(user, fixture.Password); r.in(user) != want {
				t.Errorf("in = %v, want %v\n%s", !want, want, r.stdout)
			}
		})
	}
}

// console logs in on a pseudo-terminal by login(1). The transcript is in stdout, without what the kernel echoes.
func console(user, password string) result {
	cmd := exec.Command("login")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "TERM=dumb", "LC_ALL=C"}
	terminal, err := pty.Start(cmd)
	if err != nil {
		return result{err: err}
	}
	defer terminal.Close()
	s := &screen{terminal: terminal}
	go s.read()
	// A wrong password or a closed latch brings the login prompt back; inside, a prompt of the shell appears.
	steps := []struct{ wait, send string }{{"login: ", user}, {"Password: ", password}}
	for _, step := range steps {
		if s.await(step.wait) == "" {
			cmd.Process.Kill()
			return result{stdout: s.text(), err: errors.New("no prompt " + step.wait)}
		}
		io.WriteString(terminal, step.send+"\n")
	}
	if s.await("$ ", "incorrect") == "$ " {
		io.WriteString(terminal, proveIt+"\n")
		s.await(proof(user))
	}
	text := s.text()
	cmd.Process.Kill()
	cmd.Wait()
	return result{stdout: text}
}

// screen collects what a terminal shows.
type screen struct {
	terminal *os.File
	mu       sync.Mutex
	shown    bytes.Buffer
	ended    bool
	seen     int // how much of it await has passed
}

func (s *screen) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.terminal.Read(buffer)
		s.mu.Lock()
		s.shown.Write(buffer[:n])
		s.ended = err != nil
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await waits for one of the texts after what was awaited before and says which it was; "" when none comes.
func (s *screen) await(texts ...string) (found string) {
	fixture.Await(func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		rest := s.shown.String()[s.seen:]
		for _, text := range texts {
			if at := strings.Index(rest, text); at >= 0 {
				s.seen += at + len(text)
				found = text
				break
			}
		}
		return found != "" || s.ended
	})
	return found
}

// text is what was shown up to the end of what was awaited last: what comes later depends on the moment.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()[:s.seen]
}
