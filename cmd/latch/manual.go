//go:build manual

package main

import "github.com/latch-linux/latch/pkg/cli/manual"

// Built with the tag manual, the program writes its manual pages and completions instead of working.
func init() {
	manual.Main(newRoot(new(app)), "latch.conf(5)", "pam_latch(8)", "latch-server(1)")
}
