package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// patience ends a test that hangs.
const patience = 5 * time.Minute

// person sits before a pseudo terminal.
type person struct {
	t      *testing.T
	screen *os.File // what is typed and seen
	tty    *os.File // holds the terminal open
	seen   string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close(); tty.Close() })
	if err := screen.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &person{t: t, screen: screen, tty: tty}
}

func (p *person) terminal() Terminal { return Terminal{Path: p.tty.Name()} }

// sees reads until the screen shows text.
func (p *person) sees(text string) {
	p.t.Helper()
	buffer := make([]byte, 256)
	for !strings.Contains(p.seen, text) {
		n, err := p.screen.Read(buffer)
		if err != nil {
			p.t.Fatalf("waiting for %q: %v; the screen shows %q", text, err, p.seen)
		}
		p.seen += string(buffer[:n])
	}
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.screen, text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) state() unix.Termios {
	p.t.Helper()
	state, err := termios(p.tty)
	if err != nil {
		p.t.Fatal(err)
	}
	return *state
}

// answer is what a question came to.
type answer struct {
	text string
	err  error
}

// ask asks in the background, as the program would.
func ask(question func() (string, error)) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		text, err := question()
		done <- answer{text, err}
	}()
	return done
}

func (p *person) gets(done <-chan answer) answer {
	p.t.Helper()
	select {
	case a := <-done:
		return a
	case <-time.After(patience):
		p.t.Fatalf("the question does not end; the screen shows %q", p.seen)
	}
	return answer{}
}

func TestAsk(t *testing.T) {
	for _, c := range []struct{ typed, fallback, want string }{
		{"latch.example.org\n", "", "latch.example.org"},
		{"  with blanks \n", "fallback", "with blanks"},
		{"\n", "fallback", "fallback"},
		{"\n", "", ""},
		{"no newline\x04\x04", "", "no newline"},
	} {
		p := newPerson(t)
		done := ask(func() (string, error) { return p.terminal().Ask(context.Background(), "Server\x1b", c.fallback) })
		p.sees("Server?")
		p.types(c.typed)
		if a := p.gets(done); a.err != nil || a.text != c.want {
			t.Errorf("typed %q: %q, %v", c.typed, a.text, a.err)
		}
		if shown := "[" + c.fallback + "]: "; c.fallback != "" && !strings.Contains(p.seen, shown) {
			t.Errorf("%q does not show %q", p.seen, shown)
		}
	}
}

// TestQuestionsShareWhatIsTypedAhead pastes the answers to several questions at once.
func TestQuestionsShareWhatIsTypedAhead(t *testing.T) {
	p := newPerson(t)
	p.types("one\ntwo\nthree\n")
	for _, want := range []string{"one", "two", "three"} {
		if a := p.gets(ask(func() (string, error) { return p.terminal().Ask(context.Background(), "Next", "") })); a.text != want || a.err != nil {
			t.Errorf("%q, %v, want %q", a.text, a.err, want)
		}
	}
}

func TestConfirm(t *testing.T) {
	for typed, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "yellow\n": false} {
		p := newPerson(t)
		done := ask(func() (string, error) {
			yes, err := p.terminal().Confirm(context.Background(), "Sure?")
			return map[bool]string{true: "yes"}[yes], err
		})
		p.sees("Sure? [y/N]: ")
		p.types(typed)
		if a := p.gets(done); (a.text == "yes") != want || a.err != nil {
			t.Errorf("typed %q: %q, %v", typed, a.text, a.err)
		}
	}
}

// TestSecretIsNotShown types as soon as the question shows, which is before a slow program would have silenced
// the terminal.
func TestSecretIsNotShown(t *testing.T) {
	const secret = "hunter2hunter2"
	for range 20 {
		p := newPerson(t)
		before := p.state()
		done := ask(func() (string, error) { return p.terminal().AskSecret(context.Background(), "Secret") })
		p.sees("Secret: ")
		p.types(secret + "\r")
		if a := p.gets(done); a.text != secret || a.err != nil {
			t.Fatalf("%q, %v", a.text, a.err)
		}
		if p.state() != before {
			t.Fatal("the terminal is not as it was")
		}
		p.types("end\n")
		p.sees("end")
		if strings.Contains(p.seen, "hunter") {
			t.Fatalf("the screen shows %q", p.seen)
		}
	}
}

func TestInterruptLeavesTheTerminalAsItWas(t *testing.T) {
	for name, question := range map[string]func(Terminal, context.Context) (string, error){
		"text":   func(t Terminal, ctx context.Context) (string, error) { return t.Ask(ctx, "Question", "") },
		"secret": func(t Terminal, ctx context.Context) (string, error) { return t.AskSecret(ctx, "Question") },
	} {
		p := newPerson(t)
		before := p.state()
		ctx, interrupt := context.WithCancel(context.Background())
		done := ask(func() (string, error) { return question(p.terminal(), ctx) })
		p.sees("Question: ")
		if name == "secret" && p.state() == before {
			t.Error("the echo is on while a secret is typed")
		}
		interrupt()
		if a := p.gets(done); !errors.Is(a.err, context.Canceled) || a.text != "" {
			t.Errorf("%s: %q, %v", name, a.text, a.err)
		}
		if p.state() != before {
			t.Errorf("%s: the terminal is not as it was", name)
		}
		// Nothing goes on reading: what is typed next is the next question's.
		done = ask(func() (string, error) { return p.terminal().Ask(context.Background(), "Again", "") })
		p.sees("Again: ")
		p.types("mine\n")
		if a := p.gets(done); a.text != "mine" || a.err != nil {
			t.Errorf("%s: after the interrupt %q, %v", name, a.text, a.err)
		}
	}
}

func TestEndOfInputIsNoAnswer(t *testing.T) {
	p := newPerson(t)
	done := ask(func() (string, error) { return p.terminal().AskSecret(context.Background(), "Secret") })
	p.sees("Secret: ")
	p.types("\x04")
	if a := p.gets(done); !errors.Is(a.err, ErrNotAnswered) || a.text != "" {
		t.Errorf("%q, %v", a.text, a.err)
	}
}

func TestNoTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("answer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(t.TempDir(), "missing")} {
		for _, ask := range []func(context.Context) (string, error){
			func(ctx context.Context) (string, error) {
				return Terminal{Path: path}.Ask(ctx, "Question", "fallback")
			},
			func(ctx context.Context) (string, error) { return Terminal{Path: path}.AskSecret(ctx, "Question") },
		} {
			if text, err := ask(context.Background()); !errors.Is(err, ErrNoTerminal) || text != "" {
				t.Errorf("%s: %q, %v", path, text, err)
			}
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "answer\n" {
		t.Errorf("the file was written to: %q, %v", data, err)
	}
}
