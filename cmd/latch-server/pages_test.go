package main

import (
	"testing"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli/manual"
)

// TestPages has the command tree read every command line that the documentation shows.
func TestPages(t *testing.T) {
	mistakes, count, err := manual.MistakesIn("../..", func() *cobra.Command { return newRoot(new(program)) }, nil)
	if err != nil || count < 30 {
		t.Errorf("found only %d command lines: %v", count, err)
	}
	for _, m := range mistakes {
		t.Error(m)
	}
}
