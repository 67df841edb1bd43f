package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli/manual"
)

// TestPages has the command tree read every command line that the documentation shows.
func TestPages(t *testing.T) {
	mistakes, count, err := manual.MistakesIn("../..", func() *cobra.Command { return newRoot(&app{}) }, links)
	if err != nil || count < 100 {
		t.Errorf("found only %d command lines: %v", count, err)
	}
	for _, m := range mistakes {
		t.Error(m)
	}
}

// TestREADMESaysSudo holds the commands that the README has people type to the files' mode: all but a few read root's files.
// Lines of a table, which tell of a command, have a gap in them.
func TestREADMESaysSudo(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	typed := regexp.MustCompile("(?m)^ {4,}(latch .*)$|`(latch [^`]*[|][^`]*)`")
	rootless := regexp.MustCompile(`^latch (version|completion)\b| {3}`)
	for _, found := range typed.FindAllStringSubmatch(string(text), -1) {
		if line := found[1] + found[2]; !rootless.MatchString(line) {
			t.Errorf("%q fails for want of sudo", line)
		}
	}
	start := string(text[bytes.Index(text, []byte("\n## Five minutes with your own server")):bytes.Index(text, []byte("\n## Install, check, remove"))])
	calls, asRoot := regexp.MustCompile(`latch-server [a-z]+ `), regexp.MustCompile(`sudo latch-server [a-z]+ `)
	if n, with := len(calls.FindAllString(start, -1)), len(asRoot.FindAllString(start, -1)); n < 6 || n != with {
		t.Errorf("of %d calls of latch-server %d are by sudo", n, with)
	}
}
