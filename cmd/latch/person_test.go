package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// sitter is somebody before a pseudo terminal.
type sitter struct {
	t      testing.TB
	screen *os.File
	seen   string
}

func newPerson(t testing.TB, screen *os.File) *sitter {
	t.Helper()
	if err := screen.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &sitter{t: t, screen: screen}
}

// sit gives the world's commands a terminal to ask on, with somebody before it.
func (w *world) sit() *sitter {
	w.t.Helper()
	screen, tty, err := pty.Open()
	w.must(err)
	w.t.Cleanup(func() { screen.Close(); tty.Close() })
	w.terminal = tty.Name()
	return newPerson(w.t, screen)
}

// sees reads until the screen shows text.
func (p *sitter) sees(text string) {
	p.t.Helper()
	buffer := make([]byte, 1024)
	for !strings.Contains(p.seen, text) {
		n, err := p.screen.Read(buffer)
		if err != nil {
			p.t.Fatalf("waiting for %q: %v; the screen shows %q", text, err, p.seen)
		}
		p.seen += string(buffer[:n])
	}
}

// forgets makes sees look at what comes from now on.
func (p *sitter) forgets() { p.seen = "" }

func (p *sitter) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.screen, text); err != nil {
		p.t.Fatal(err)
	}
}
