package main

import (
	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/version"
)

func newVersion(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Long: "version prints the version.\n" + cli.ExitHelp, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return p.Report(map[string]any{"program": "latch-server", "release": version.String()}, "latch-server %s", version.String())
		},
	}
}
