package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// ErrNoTerminal means that there is nobody to ask.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

// controlling is the terminal of the session, whatever the streams are redirected to.
const controlling = "/dev/tty"

// Terminal asks the person on the controlling terminal. An interrupt (the end of the context) ends a question and
// leaves the terminal as it was.
type Terminal struct {
	Path string // "" for /dev/tty
}

// Ask asks for a line of text. An empty answer gives fallback.
func (t Terminal) Ask(ctx context.Context, question, fallback string) (string, error) {
	if fallback != "" {
		question += " [" + fallback + "]"
	}
	answer, err := t.ask(ctx, question, func(f *os.File) (string, error) {
		return bufio.NewReader(f).ReadString('\n')
	})
	if answer == "" && err == nil {
		return fallback, nil
	}
	return answer, err
}

// AskSecret asks without echo.
func (t Terminal) AskSecret(ctx context.Context, question string) (string, error) {
	return t.ask(ctx, question, func(f *os.File) (string, error) {
		secret, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(f)
		return string(secret), err
	})
}

// Confirm asks a question whose default is no.
func (t Terminal) Confirm(ctx context.Context, question string) (bool, error) {
	answer, err := t.Ask(ctx, question+" [y/N]", "")
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), err
}

// reply is what came of reading.
type reply struct {
	text string
	err  error
}

func (t Terminal) ask(ctx context.Context, question string, read func(*os.File) (string, error)) (string, error) {
	path := t.Path
	if path == "" {
		path = controlling
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	defer f.Close()
	state, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrNoTerminal, path, err)
	}
	fmt.Fprint(f, Clean(question)+": ")
	replies := make(chan reply, 1)
	go func() {
		text, err := read(f)
		replies <- reply{text, err}
	}()
	select {
	case r := <-replies:
		return strings.TrimSpace(r.text), r.err
	case <-ctx.Done():
		// The reader stays in its read; the program ends right after this.
		err := term.Restore(int(f.Fd()), state)
		fmt.Fprintln(f)
		return "", errors.Join(ctx.Err(), err)
	}
}
