package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// row is one line of the closing table.
type row struct {
	what, expected, seen string
	took                 time.Duration
}

func (r row) ok() bool { return r.expected == r.seen }

// output writes the demo's text, in colour where a terminal shows it and NO_COLOR does not forbid.
type output struct {
	w      io.Writer
	colour bool
}

func newOutput(f *os.File) *output {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return &output{w: f, colour: err == nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (o *output) paint(code, text string) string {
	if !o.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (o *output) title(text string) {
	fmt.Fprintf(o.w, "\n%s\n%s\n\n", o.paint(bold, text), strings.Repeat("=", len(text)))
}

func (o *output) heading(text string) { fmt.Fprintf(o.w, "\n%s\n", o.paint(bold, text)) }

func (o *output) text(text string) { fmt.Fprintf(o.w, "  %s\n", text) }

func (o *output) command(text string) { fmt.Fprintf(o.w, "  %s %s\n", o.paint(dim, "$"), text) }

func (o *output) reply(text string) {
	for _, line := range strings.Split(text, "\n") {
		fmt.Fprintf(o.w, "    %s\n", o.paint(dim, line))
	}
}

func (o *output) outcome(r row) {
	fmt.Fprintf(o.w, "  %-38s %s\n", r.what, o.seen(r))
}

func (o *output) seen(r row) string {
	if r.ok() {
		return o.paint(green, r.seen)
	}
	return o.paint(red, r.seen+" (expected: "+r.expected+")")
}

// table prints all rows and a closing line, and tells whether every row is as it should be.
func (o *output) table(rows []row) bool {
	wrong := 0
	fmt.Fprintf(o.w, "\n%s\n", o.paint(bold, fmt.Sprintf("  %-38s %-10s %-10s %6s", "what", "expected", "seen", "ms")))
	fmt.Fprintf(o.w, "  %s\n", strings.Repeat("-", 67))
	for _, r := range rows {
		line := fmt.Sprintf("  %-38s %-10s %-10s %6.1f", r.what, r.expected, r.seen, float64(r.took.Microseconds())/1000)
		if !r.ok() {
			wrong++
			line = o.paint(red, line+"  <- wrong")
		}
		fmt.Fprintln(o.w, line)
	}
	if wrong > 0 {
		fmt.Fprintf(o.w, "\n%s\n", o.paint(red, fmt.Sprintf("  %d of %d logins did not end as they should.", wrong, len(rows))))
		return false
	}
	fmt.Fprintf(o.w, "\n  All %d logins ended as they should.\n\n", len(rows))
	return true
}
