package main

import (
	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/version"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		Long:    "version prints the version of latch, which is that of every part built with it.\n" + cli.ExitHelp,
		Example: "  latch version --json",
		RunE:    func(*cobra.Command, []string) error { return a.version() },
	}
}

func (a *app) version() error {
	return a.Report(map[string]any{"program": "latch", "release": version.String()}, "latch %s", version.String())
}
