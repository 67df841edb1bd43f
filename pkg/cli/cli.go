// Package cli is what the command lines of latch and latch-server share: one table of exit statuses and one way of
// printing.
//
// Three streams, three meanings: the result goes to stdout, commentary to stderr with the program's name in
// front, secrets and questions to the controlling terminal. With --json the result is one object, also when it is
// an error, and carries the version of its form. There is neither colour nor progress bar to switch off, and no
// text is translated: what people search for and scripts match stays the same everywhere.
package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Exit is the exit status of a command.
type Exit int

// Exit statuses of every command.
const (
	ExitOK        Exit = iota // done, or the latch is open
	ExitError                 // it failed
	ExitUsage                 // the command line cannot be meant
	ExitClosed                // the latch is closed
	ExitNoAnswer              // the Latch server did not answer
	ExitNotPaired             // the user is not paired, here or at the server
)

// kinds name the statuses in JSON.
var kinds = [...]string{"ok", "error", "usage", "closed", "no-answer", "not-paired"}

func (e Exit) String() string {
	if e < 0 || int(e) >= len(kinds) {
		return fmt.Sprintf("Exit(%d)", int(e))
	}
	return kinds[e]
}

// ExitHelp stands at the end of each help text.
const ExitHelp = `
Exit status: 0 done or open, 1 error, 2 wrong usage, 3 closed, 4 no answer from the
Latch server, 5 not paired.`

// jsonVersion is the version of every JSON object that is printed.
const jsonVersion = 1

// Error is a failure with its exit status and, where there is something to do about it, a hint.
type Error struct {
	Status Exit
	Err    error
	Hint   string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usage is an error in how the program was called.
func Usage(format string, args ...any) error {
	return &Error{Status: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// WithHint adds what to do.
func WithHint(status Exit, err error, hint string) error { return &Error{status, err, hint} }

// StatusOf returns the exit status of an error, ExitOK for none.
func StatusOf(err error) Exit {
	var e *Error
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &e):
		return e.Status
	}
	return ExitError
}

// Printer writes what a program has to say.
type Printer struct {
	Program  string
	JSON     bool
	Out, Err io.Writer
}

// Say writes one line of commentary.
func (p *Printer) Say(format string, args ...any) {
	fmt.Fprintf(p.Err, "%s: %s\n", p.Program, Clean(fmt.Sprintf(format, args...)))
}

// Hint writes one line of advice.
func (p *Printer) Hint(format string, args ...any) { p.Say("hint: "+format, args...) }

// Fail writes an error and returns its exit status.
func (p *Printer) Fail(err error) Exit {
	status := StatusOf(err)
	hint := ""
	var e *Error
	if errors.As(err, &e) {
		hint = e.Hint
	}
	if p.JSON {
		fields := map[string]any{"kind": status.String(), "message": err.Error()}
		if hint != "" {
			fields["hint"] = hint
		}
		if p.object(map[string]any{"error": fields}) == nil {
			return status
		}
	}
	p.Say("error: %v", err)
	if hint != "" {
		p.Hint("%s", hint)
	}
	return status
}

// Report writes the result: the fields as JSON, or else the text.
func (p *Printer) Report(fields map[string]any, format string, args ...any) error {
	if p.JSON {
		return p.object(fields)
	}
	_, err := fmt.Fprintln(p.Out, Clean(fmt.Sprintf(format, args...)))
	return err
}

func (p *Printer) object(fields map[string]any) error {
	fields["version"] = jsonVersion
	enc := json.NewEncoder(p.Out)
	enc.SetEscapeHTML(false)
	return enc.Encode(fields)
}

// Row is one line of a table: column names and values, in order.
type Row []Cell

// Cell is a named value.
type Cell struct {
	Name  string
	Value any
}

// Sheet writes one row as lines of a name and a value each, or as a JSON object called name.
func (p *Printer) Sheet(name string, r Row) error {
	if p.JSON {
		fields := make(map[string]any, len(r))
		for _, c := range r {
			fields[c.Name] = c.Value
		}
		return p.object(map[string]any{name: fields})
	}
	w := tabwriter.NewWriter(p.Out, 0, 8, 2, ' ', 0)
	for _, c := range r {
		fmt.Fprintf(w, "%s\t%s\n", strings.ReplaceAll(c.Name, "_", " "), text(c.Value))
	}
	return w.Flush()
}

// Table writes rows under their column names, or as a JSON list called name, whose words are joined by "_" as those of cells are.
func (p *Printer) Table(name string, rows []Row) error {
	if p.JSON {
		list := make([]map[string]any, 0, len(rows))
		for _, r := range rows {
			fields := make(map[string]any, len(r))
			for _, c := range r {
				fields[c.Name] = c.Value
			}
			list = append(list, fields)
		}
		return p.object(map[string]any{name: list})
	}
	if len(rows) == 0 {
		p.Say("no %s", strings.ReplaceAll(name, "_", " "))
		return nil
	}
	w := tabwriter.NewWriter(p.Out, 0, 8, 2, ' ', 0)
	for i, r := range rows {
		heads, cells := make([]string, len(r)), make([]string, len(r))
		for j, c := range r {
			heads[j], cells[j] = strings.ToUpper(strings.ReplaceAll(c.Name, "_", " ")), text(c.Value)
		}
		if i == 0 {
			fmt.Fprintln(w, strings.Join(heads, "\t"))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// text is a value as a table shows it; nil is JSON's null.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case string:
		if v == "" {
			return "-"
		}
		return Clean(v)
	}
	return Clean(fmt.Sprint(v))
}

// Clean makes a text that came from a server or a file fit for one line of a terminal: blanks of every kind become
// one space each, and what cannot be seen (escape sequences, marks that turn the direction of writing) becomes "?".
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsGraphic(r) && r != unicode.ReplacementChar:
			return r
		}
		return '?'
	}, s)
}
