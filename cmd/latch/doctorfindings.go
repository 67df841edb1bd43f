package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/setup/doctor"
)

// findingsWidth is the number of columns that every terminal has.
const findingsWidth = 80

// fixLead stands before a remedy. It is short, because remedies are commands, which should stay on one line.
const fixLead = "  fix: "

// printFindings prints the rows of the doctor, as one JSON object or as a table that fits a terminal.
func (a *app) printFindings(findings []doctor.Finding) error {
	findings = slices.Clone(findings)
	for i := range findings {
		findings[i].Fix = a.forShell(findings[i].Fix)
	}
	if a.JSON {
		rows := make([]cli.Row, 0, len(findings))
		for _, f := range findings {
			rows = append(rows, cli.Row{{Name: "state", Value: f.State.String()}, {Name: "profile", Value: f.Profile},
				{Name: "check", Value: f.Check}, {Name: "found", Value: f.Text}, {Name: "fix", Value: f.Fix}})
		}
		return a.Table("findings", rows)
	}
	_, err := fmt.Fprint(a.Out, findingsText(findings))
	return err
}

// findingsText lays out the rows: state, profile and check in columns, the text wrapped beside them, the remedy below.
func findingsText(findings []doctor.Finding) string {
	heads := [3]string{"STATE", "PROFILE", "CHECK"}
	var widths [3]int
	cells := func(f doctor.Finding) [3]string {
		return [3]string{f.State.String(), cmp.Or(f.Profile, "-"), cli.Clean(f.Check)}
	}
	measure := func(row [3]string) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	measure(heads)
	for _, f := range findings {
		measure(cells(f))
	}
	var b strings.Builder
	line := func(row [3]string, text []string) {
		lead := ""
		for i, cell := range row {
			lead += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		for _, part := range text {
			b.WriteString(strings.TrimRight(lead+part, " ") + "\n")
			lead = strings.Repeat(" ", utf8.RuneCountInString(lead))
		}
	}
	line(heads, []string{"FOUND"})
	beside := max(findingsWidth/3, findingsWidth-widths[0]-widths[1]-widths[2]-6)
	for _, f := range findings {
		line(cells(f), wrap(cli.Clean(f.Text), beside))
		if f.Fix != "" {
			fix := wrapClauses(cli.Clean(f.Fix), findingsWidth-len(fixLead))
			b.WriteString(fixLead + strings.Join(fix, "\n"+strings.Repeat(" ", len(fixLead))) + "\n")
		}
	}
	return b.String()
}

// wrap breaks a text at blanks into lines of at most width characters. Longer words are broken too, paths after a slash.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
		for utf8.RuneCountInString(line) > width {
			head := string([]rune(line)[:width])
			if slash := strings.LastIndexByte(head, '/'); slash > 0 {
				head = head[:slash+1]
			}
			lines, line = append(lines, head), line[len(head):]
		}
	}
	return append(lines, line)
}

// wrapClauses breaks a remedy after commas rather than inside a command. A command that is longer than a line stays in one
// piece: the terminal breaks it, and it can be pasted still.
func wrapClauses(text string, width int) []string {
	var lines []string
	line := ""
	end := func() {
		if line = strings.TrimRight(line, " "); line != "" {
			lines, line = append(lines, line), ""
		}
	}
	for clause := range strings.SplitAfterSeq(text, ", ") {
		if utf8.RuneCountInString(strings.TrimRight(line+clause, " ")) > width {
			end()
		}
		if utf8.RuneCountInString(clause) > width && !strings.Contains(clause, "latch ") {
			lines = append(lines, wrap(clause, width)...)
			continue
		}
		line += clause
	}
	end()
	return lines
}
