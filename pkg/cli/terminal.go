package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// ErrNoTerminal means that there is nobody to ask.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

// Terminal asks the person on the controlling terminal, whatever the streams are redirected to.
type Terminal struct {
	Open func() (*os.File, error) // nil for /dev/tty
}

func (t Terminal) open() (*os.File, error) {
	open := t.Open
	if open == nil {
		open = func() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }
	}
	f, err := open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	return f, nil
}

// Ask asks for a line of text. An empty answer gives fallback.
func (t Terminal) Ask(question, fallback string) (string, error) {
	f, err := t.open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	if fallback != "" {
		question += " [" + fallback + "]"
	}
	fmt.Fprint(f, question+": ")
	line, err := bufio.NewReader(f).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		if err != nil {
			return "", err
		}
		return fallback, nil
	}
	return line, nil
}

// AskSecret asks without echo.
func (t Terminal) AskSecret(question string) (string, error) {
	f, err := t.open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	fmt.Fprint(f, question+": ")
	secret, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(f)
	return strings.TrimSpace(string(secret)), err
}

// Confirm asks a question whose default is no.
func (t Terminal) Confirm(question string) (bool, error) {
	answer, err := t.Ask(question+" [y/N]", "")
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), err
}
