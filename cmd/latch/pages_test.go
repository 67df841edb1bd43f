package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/manual"
)

// TestPages has the command tree read every command line that the documentation shows.
func TestPages(t *testing.T) {
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, page := range append(docs, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		mistakes, count := manual.Mistakes(func() *cobra.Command { return newRoot(&app{}) }, links, string(text))
		for _, m := range mistakes {
			t.Errorf("%s: %s", page, m)
		}
		all += count
	}
	if all < 40 {
		t.Errorf("found only %d command lines", all)
	}
}
