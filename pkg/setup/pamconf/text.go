// Package pamconf reads service files of Linux-PAM (pam.d(5)), works out what libpam does with them, and finds the
// place where the latch belongs. It works on text; its callers read and write the files.
//
// The deciding part is a simulation of libpam's dispatcher over every answer that the modules of a stack may give. So
// a place is chosen because no answer leads past it, and not because a file looks like one that is known.
package pamconf

import (
	"bytes"
	"path"
	"strings"
)

// Phase is a management group of pam.d(5).
type Phase string

// The phases.
const (
	Auth     Phase = "auth"
	Account  Phase = "account"
	Password Phase = "password"
	Session  Phase = "session"
)

// Inclusion tells how a rule takes in another file.
type Inclusion int

// How a rule takes in another file: not at all, the lines of its phase at this level, the lines of its phase one level
// down, or (Debian's "@include") the lines of every phase.
const (
	NotIncluding Inclusion = iota
	Include
	Substack
	IncludeAll
)

// maxLine is the length at which libpam gives up on a line, continuations joined; bytes.
const maxLine = 1024

// Rule is one rule of a service file, after its lines were joined.
type Rule struct {
	Phase     Phase  // "" for IncludeAll, and where libpam knows no such phase
	Quiet     bool   // a leading "-": no log line if the module is missing
	Control   string // the word, or what stands in brackets
	Bracketed bool
	Inclusion Inclusion
	Module    string   // file of the module; name of the file for an inclusion
	Args      []string // of the module
	First     int      // first line, counted from 0
	Last      int      // last line
	Broken    string   // why libpam refuses whenever it comes here, "" for a good rule
	Fatal     bool     // libpam gives up on the whole file (and, below "@include", on the service)
}

// Base is the module's file name without its directory.
func (r Rule) Base() string { return path.Base(r.Module) }

// IsLatch reports whether the rule calls our module.
func (r Rule) IsLatch() bool { return r.Inclusion == NotIncluding && r.Base() == ModuleFile }

// ModuleFile is the file name of our module.
const ModuleFile = "pam_latch.so"

// File is the text of one service file. Every byte of it is kept.
type File struct {
	Name  string
	Rules []Rule
	lines [][]byte // with their line ends
}

// Parse reads the text of a service file. Whatever libpam cannot read becomes a rule that says so, since that is what
// libpam makes of it: a rule that always fails.
func Parse(name string, text []byte) *File {
	f := &File{Name: name, lines: bytes.SplitAfter(text, []byte("\n"))}
	if n := len(f.lines); len(f.lines[n-1]) == 0 {
		f.lines = f.lines[:n-1]
	}
	for i := 0; i < len(f.lines); i++ {
		joined, last, open := f.join(i)
		if strings.Trim(joined, " \n\t") != "" {
			r := parseRule(joined)
			if open {
				r.Broken, r.Fatal = "the file ends in the middle of it", true
			}
			r.First, r.Last = i, last
			f.Rules = append(f.Rules, r)
		}
		i = last
	}
	return f
}

// Bytes returns the text.
func (f *File) Bytes() []byte { return bytes.Join(f.lines, nil) }

// join returns the logical line that begins at line i, and its last line. A "#" ends a line wherever it stands; lines
// of comment and blanks between continued lines are passed over. open tells that the file ends before the line does.
func (f *File) join(i int) (text string, last int, open bool) {
	var joined strings.Builder
	for ; i < len(f.lines); i++ {
		text := string(f.lines[i])
		line, _, commented := strings.Cut(text, "#")
		if strings.TrimLeft(line, " \n\t") == "" {
			if joined.Len() == 0 {
				return "", i, false
			}
			continue
		}
		trimmed := strings.TrimRight(line, " \t\n")
		if commented || !strings.HasSuffix(trimmed, "\\") {
			joined.WriteString(strings.TrimSuffix(line, "\n"))
			return joined.String(), i, false
		}
		joined.WriteString(strings.TrimSuffix(trimmed, "\\") + " ")
	}
	return joined.String(), len(f.lines) - 1, true
}

func parseRule(line string) Rule {
	var r Rule
	if len(line) >= maxLine {
		r.Broken, r.Fatal = "longer than libpam reads", true
	}
	word, rest, _ := token(line)
	if strings.EqualFold(word, "@include") {
		r.Inclusion = IncludeAll
		if r.Module, _, _ = token(rest); r.Module == "" {
			r.Broken, r.Fatal = "no file to include", true
		}
		return r
	}
	r.Quiet = strings.HasPrefix(word, "-")
	r.Phase = Phase(strings.ToLower(strings.TrimPrefix(word, "-")))
	switch r.Phase {
	case Auth, Account, Password, Session:
	default:
		r.Phase, r.Broken = "", "no such phase"
	}
	if r.Control, rest, r.Bracketed = token(rest); r.Control == "" && !r.Bracketed {
		r.Broken = "no control"
	}
	if !r.Bracketed {
		r.Inclusion = map[string]Inclusion{"include": Include, "substack": Substack}[strings.ToLower(r.Control)]
	}
	named := strings.Trim(rest, " \n\t") != ""
	if r.Module, rest, _ = token(rest); !named {
		r.Broken = "no module"
	} else if r.Inclusion != Include && nameless(r.Module) {
		r.Broken, r.Fatal = "a module without a name", true
	}
	for {
		arg, after, bracketed := token(rest)
		if arg == "" && !bracketed {
			return r
		}
		r.Args, rest = append(r.Args, arg), after
	}
}

// nameless tells of names that libpam takes for none: it leaves the directory and the last suffix out.
func nameless(module string) bool {
	name := module[strings.LastIndex(module, "/")+1:]
	if i := strings.LastIndex(name, "."); i >= 0 {
		name = name[:i]
	}
	return name == "" || name == "?"
}

// token takes the next word. What stands in brackets is one word without them, in which "\]" is "]".
func token(s string) (word, rest string, bracketed bool) {
	s = strings.TrimLeft(s, " \n\t")
	if !strings.HasPrefix(s, "[") {
		if i := strings.IndexAny(s, " \n\t"); i >= 0 {
			return s[:i], s[i+1:], false
		}
		return s, "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == ']':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == ']':
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", true
}
