package pamconf

import (
	"bytes"
	"slices"
	"strings"
)

// EditArgs returns the file with other arguments of our lines, which stay in their places with their controls: edit returns
// the new arguments of a line, and false for a line that goes.
func (f *File) EditArgs(edit func(Rule) (args []string, stays bool)) *File {
	var text []byte
	next := 0
	for _, r := range f.Rules {
		if !r.IsLatch() {
			continue
		}
		args, stays := edit(r)
		if stays && slices.Equal(args, r.Args) {
			continue
		}
		text = append(text, bytes.Join(f.lines[next:r.First], nil)...)
		next = r.Last + 1
		if stays {
			text = append(text, f.withArgs(r, args)...)
		}
	}
	return Parse(f.Name, append(text, bytes.Join(f.lines[next:], nil)...))
}

// withArgs is the text of a rule with other arguments: the same up to the module where it stands in one line.
func (f *File) withArgs(r Rule, args []string) []byte {
	whole := string(f.lines[r.First])
	head := ""
	if at := strings.Index(whole, r.Module); r.First == r.Last && at >= 0 {
		head = whole[:at+len(r.Module)]
	} else {
		phase := string(r.Phase)
		if r.Quiet {
			phase = "-" + phase
		}
		head = strings.Join([]string{phase, shown(r), r.Module}, " ")
	}
	for _, arg := range args {
		head += " " + quoted(arg)
	}
	if _, comment, found := strings.Cut(strings.TrimRight(whole, "\n"), "#"); found && r.First == r.Last {
		head += " #" + comment
	}
	if bytes.HasSuffix(f.lines[r.Last], []byte("\n")) {
		head += "\n"
	}
	return []byte(head)
}

// quoted is an argument as a line has it: in brackets where it holds blanks.
func quoted(arg string) string {
	if !strings.ContainsAny(arg, " \t") && !strings.HasPrefix(arg, "[") && arg != "" {
		return arg
	}
	return "[" + strings.ReplaceAll(arg, "]", `\]`) + "]"
}
