// Package manual writes the manual pages and the shell completions of a command line, from the same texts that --help
// shows. Help texts are plain text: paragraphs, and lines that begin with two blanks and stay as they are.
package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Edition is what the head and the foot of every page say.
type Edition struct {
	Version string
	Date    time.Time // of the release, so that the same source gives the same bytes
	See     []string  // pages of other sections that every page points to, as "latch.conf(5)"
}

// Write puts a page per command into dir/man1 and the completions for bash, zsh and fish into directories of these names.
func Write(root *cobra.Command, dir string, e Edition) error {
	for _, sub := range []string{"man1", "bash", "zsh", "fish"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := writePages(root, filepath.Join(dir, "man1"), e); err != nil {
		return err
	}
	name := root.Name()
	if err := root.GenBashCompletionFileV2(filepath.Join(dir, "bash", name), true); err != nil {
		return err
	}
	if err := root.GenZshCompletionFile(filepath.Join(dir, "zsh", "_"+name)); err != nil {
		return err
	}
	return root.GenFishCompletionFile(filepath.Join(dir, "fish", name+".fish"), true)
}

func writePages(c *cobra.Command, dir string, e Edition) error {
	if err := os.WriteFile(filepath.Join(dir, pageName(c)+".1"), []byte(Page(c, e)), 0o644); err != nil {
		return err
	}
	for _, sub := range documented(c) {
		if err := writePages(sub, dir, e); err != nil {
			return err
		}
	}
	return nil
}

// documented are the commands below c that a person should know.
func documented(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(sub *cobra.Command) bool {
		return sub.Hidden || sub.Deprecated != "" || sub.Name() == "help"
	})
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// Page is the manual page of one command, in the man(7) macros.
func Page(c *cobra.Command, e Edition) string {
	c.InitDefaultHelpFlag()
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 %s \"%s %s\"\n", strings.ToUpper(escape(pageName(c))), e.Date.UTC().Format("2006-01-02"),
		escape(c.Root().Name()), escape(e.Version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(pageName(c)), escape(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n%s\n", escape(c.CommandPath()), escape(synopsis(c)))
	description, status := split(c.Long)
	section(&b, "DESCRIPTION", description)
	commands(&b, c)
	options(&b, "OPTIONS", c.LocalFlags())
	options(&b, "GLOBAL OPTIONS", c.InheritedFlags())
	section(&b, "EXIT STATUS", status)
	section(&b, "EXAMPLES", strings.TrimRight(c.Example, "\n"))
	see(&b, c, e)
	return b.String()
}

// synopsis is what follows the command's name.
func synopsis(c *cobra.Command) string {
	_, rest, _ := strings.Cut(c.Use, " ")
	if c.HasAvailableSubCommands() && rest == "" {
		rest = "COMMAND"
	}
	if len(c.Aliases) > 0 {
		rest += " (also called " + strings.Join(c.Aliases, ", ") + ")"
	}
	return strings.TrimSpace("[OPTION...] " + rest)
}

// split takes the paragraph about the exit status out of a help text.
func split(long string) (description, status string) {
	var kept []string
	for _, paragraph := range strings.Split(strings.Trim(long, "\n"), "\n\n") {
		if strings.HasPrefix(paragraph, "Exit status") {
			status = strings.TrimPrefix(paragraph, "Exit status: ")
			continue
		}
		kept = append(kept, paragraph)
	}
	return strings.Join(kept, "\n\n"), status
}

// section writes a heading and a plain text below it; nothing for an empty text.
func section(b *strings.Builder, heading, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", heading)
	separate := ""
	for _, paragraph := range strings.Split(text, "\n\n") {
		b.WriteString(separate)
		separate = ".PP\n"
		literal := false
		for _, line := range strings.Split(strings.Trim(paragraph, "\n"), "\n") {
			if indented := strings.HasPrefix(line, "  "); indented != literal {
				b.WriteString(map[bool]string{true: ".RS 4\n.nf\n", false: ".fi\n.RE\n"}[indented])
				literal = indented
			}
			b.WriteString(escape(strings.TrimPrefix(line, "  ")) + "\n")
		}
		if literal {
			b.WriteString(".fi\n.RE\n")
		}
	}
}

func commands(b *strings.Builder, c *cobra.Command) {
	subs := documented(c)
	if len(subs) == 0 {
		return
	}
	b.WriteString(".SH COMMANDS\nEach has a manual page of its own.\n")
	for _, sub := range subs {
		fmt.Fprintf(b, ".TP\n.BR %s (1)\n%s\n", escape(pageName(sub)), escape(sub.Short))
	}
}

func options(b *strings.Builder, heading string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", heading)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "\\fB" + escape("--"+f.Name) + "\\fP"
		if f.Shorthand != "" {
			name = "\\fB" + escape("-"+f.Shorthand) + "\\fP, " + name
		}
		if value != "" {
			name += " \\fI" + escape(value) + "\\fP"
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(b, ".TP\n%s\n%s\n", name, escape(usage))
	})
}

// see points to the command above and to the pages of the edition.
func see(b *strings.Builder, c *cobra.Command, e Edition) {
	var pages []string
	if c.HasParent() {
		pages = append(pages, pageName(c.Parent())+"(1)")
	}
	pages = append(pages, e.See...)
	if len(pages) == 0 {
		return
	}
	b.WriteString(".SH SEE ALSO\n")
	for i, page := range pages {
		name, number, _ := strings.Cut(page, "(")
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		fmt.Fprintf(b, ".BR %s (%s%s\n", escape(name), number, end)
	}
}

// escape makes a line of text mean itself to roff. A hyphen becomes a minus, so that it can be copied to a shell.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '…':
			b.WriteString("...")
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	escaped := b.String()
	if strings.HasPrefix(escaped, ".") || strings.HasPrefix(escaped, "'") {
		escaped = `\&` + escaped
	}
	return escaped
}
