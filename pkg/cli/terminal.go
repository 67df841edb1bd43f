package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoTerminal means that there is nobody to ask.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

// ErrNotAnswered means that the person ended the input instead of answering.
var ErrNotAnswered = errors.New("the question was not answered")

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
	answer, err := t.ask(ctx, question, true)
	if answer == "" && err == nil {
		return fallback, nil
	}
	return answer, err
}

// AskSecret asks without echo.
func (t Terminal) AskSecret(ctx context.Context, question string) (string, error) {
	return t.ask(ctx, question, false)
}

// Confirm asks a question whose default is no.
func (t Terminal) Confirm(ctx context.Context, question string) (bool, error) {
	answer, err := t.Ask(ctx, question+" [y/N]", "")
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), err
}

// Show writes a text of our own, which may be secret and may hold colours, to the terminal.
func (t Terminal) Show(text string) error {
	f, err := t.open()
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := termios(f); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoTerminal, f.Name(), err)
	}
	_, err = fmt.Fprint(f, text)
	return err
}

func (t Terminal) open() (*os.File, error) {
	path := t.Path
	if path == "" {
		path = controlling
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	return f, nil
}

func (t Terminal) ask(ctx context.Context, question string, echo bool) (string, error) {
	f, err := t.open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	restore, err := prepare(f, echo)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrNoTerminal, f.Name(), err)
	}
	// The echo is off before the question shows: some people, and most scripts, type at once.
	fmt.Fprint(f, Clean(question)+": ")
	answer, err := readLine(ctx, f)
	if !echo || err != nil {
		fmt.Fprintln(f) // what ended the line was not shown
	}
	return answer, errors.Join(err, restore())
}

// prepare switches the echo off where that is wanted, and returns what makes the terminal as it was.
func prepare(f *os.File, echo bool) (restore func() error, err error) {
	before, err := termios(f)
	if err != nil || echo {
		return func() error { return nil }, err
	}
	silent := *before
	silent.Lflag = silent.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	return func() error { return setTermios(f, before) }, setTermios(f, &silent)
}

// termios and setTermios keep away from Fd, which would make reads block beyond their deadline.
func termios(f *os.File) (state *unix.Termios, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	failed := conn.Control(func(fd uintptr) { state, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	return state, errors.Join(failed, err)
}

func setTermios(f *os.File, state *unix.Termios) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	failed := conn.Control(func(fd uintptr) { err = unix.IoctlSetTermios(int(fd), unix.TCSETS, state) })
	return errors.Join(failed, err)
}

// readLine returns the next line without outer blanks. A terminal hands out one line at a time, so none is lost in
// the reader.
func readLine(ctx context.Context, f *os.File) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReader(f).ReadString('\n')
	switch line = strings.TrimSpace(line); {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err == io.EOF && line == "":
		return "", ErrNotAnswered
	case err == io.EOF:
		return line, nil
	}
	return line, err
}
