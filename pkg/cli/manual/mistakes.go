package manual

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Mistakes finds the command lines of a Markdown text that root would not understand: an unknown command or flag, a flag's
// value of the wrong form, too few arguments or too many. It looks at code blocks, where a command must be whole, and
// between backquotes, where `latch pair` may stand for the command itself. A "…" stands for what is left out. links are
// other names of the program, each with the words that it stands for. count is how many command lines were looked at.
func Mistakes(root func() *cobra.Command, links map[string][]string, markdown string) (found []string, count int) {
	blocks, spans := code(markdown)
	for i, text := range append(slices.Clone(blocks), spans...) {
		for _, words := range simple(text) {
			c := root()
			words = called(words, c.Name(), links)
			if words == nil {
				continue
			}
			count++
			mention := i >= len(blocks)
			if end := slices.Index(words, "…"); end >= 0 {
				words, mention = words[:end], true
			}
			if err := understand(c, words, mention); err != nil {
				found = append(found, fmt.Sprintf("%s: %v", strings.Join(append([]string{c.Name()}, words...), " "), err))
			}
		}
	}
	return found, count
}

// MistakesIn is Mistakes for every Markdown file of a directory and of docs below it. What it finds begins with the file.
func MistakesIn(dir string, root func() *cobra.Command, links map[string][]string) (found []string, count int, err error) {
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		pages, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, 0, err
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				return nil, 0, err
			}
			mistakes, n := Mistakes(root, links, string(text))
			for _, m := range mistakes {
				found = append(found, page+": "+m)
			}
			count += n
		}
	}
	return found, count, nil
}

var span = regexp.MustCompile("`([^`]+)`")

// code returns the command lines of code blocks, continued lines joined, and what stands between backquotes elsewhere.
func code(markdown string) (blocks, spans []string) {
	var prose strings.Builder
	fenced, open := false, ""
	for _, line := range strings.Split(markdown, "\n") {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, "```"):
			fenced = !fenced
		case fenced || strings.HasPrefix(line, "    "):
			if head, continued := strings.CutSuffix(text, `\`); continued {
				open += head
				continue
			}
			blocks = append(blocks, open+text)
			open = ""
		default:
			prose.WriteString(text + " ")
			if text == "" {
				prose.WriteString("\n") // a stray backquote reaches no further than its paragraph
			}
		}
	}
	for _, paragraph := range strings.Split(prose.String(), "\n") {
		for _, match := range span.FindAllStringSubmatch(paragraph, -1) {
			spans = append(spans, match[1])
		}
	}
	return blocks, spans
}

// columns is the gap between a command and what a table says of it.
var columns = regexp.MustCompile(`(\S) {3,}\S.*$`)

// simple splits a line of shell into its commands, each in words. What a quoted word or a substitution holds is taken for
// commands as well: it may be for another host's shell.
func simple(line string) (commands [][]string) {
	line = columns.ReplaceAllString(line, "$1")
	var words []string
	end := func() {
		if len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " \t") {
		switch {
		case line[0] == '#':
			line = ""
		case strings.ContainsRune("|&;()", rune(line[0])):
			end()
			line = line[1:]
		default:
			word, rest := next(line)
			line = rest
			if inner := strings.TrimPrefix(word, "$("); inner != word || strings.Contains(word, " ") {
				commands = append(commands, simple(inner)...)
			}
			words = append(words, word)
		}
	}
	end()
	return commands
}

// next takes the first word off a line, without its quotes. A substitution is one word.
func next(line string) (word, rest string) {
	if strings.HasPrefix(line, "$(") {
		if inner, rest, closed := strings.Cut(line, ")"); closed {
			return inner, rest
		}
	}
	var b strings.Builder
	quote := rune(0)
	for i, r := range line {
		switch {
		case r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case quote == 0 && strings.ContainsRune(" \t|&;()", r):
			return b.String(), line[i:]
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), ""
}

// called returns the words behind the program's name, nil where it is another program that is called.
func called(words []string, program string, links map[string][]string) []string {
	for len(words) > 0 && (slices.Contains([]string{"$", "sudo", "if", "then", "while", "!"}, words[0]) || strings.Contains(words[0], "=")) {
		words = words[1:]
	}
	if len(words) > 0 && words[0] == "ssh" {
		host := slices.IndexFunc(words[1:], func(word string) bool { return !strings.HasPrefix(word, "-") })
		return called(words[host+2:], program, links)
	}
	if len(words) == 0 {
		return nil
	}
	before, linked := links[words[0]]
	if path.Base(words[0]) != program && !linked {
		return nil
	}
	args := append([]string{}, before...)
	for _, word := range words[1:] {
		if strings.ContainsAny(word, "<>") {
			break // what follows is for the shell
		}
		args = append(args, word)
	}
	return args
}

// understand parses a command line as the program would. The mention of a command needs no arguments.
func understand(root *cobra.Command, words []string, mention bool) error {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	c.InitDefaultHelpFlag()
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	args := c.Flags().Args()
	if help, err := c.Flags().GetBool("help"); err != nil || help || mention && len(args) == 0 {
		return err
	}
	if err := c.ValidateArgs(args); err != nil {
		return err
	}
	return c.ValidateRequiredFlags()
}
