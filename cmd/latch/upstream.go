package main

import (
	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/version"
)

// upstreamFlags are the original tool's: one letter for what is a command here.
type upstreamFlags struct {
	pair           string
	operation      string
	status, unpair bool
	version        bool
}

func (o *upstreamFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&o.pair, "pair", "p", "", "same as the command pair `CODE`")
	f.BoolVarP(&o.status, "status", "s", false, "same as the command status")
	f.StringVarP(&o.operation, "operation", "o", "", "same as status --operation `NAME`")
	f.BoolVarP(&o.unpair, "unpair", "u", false, "same as the command unpair")
	f.BoolVarP(&o.version, "version", "v", false, "same as the command version")
}

// run does what the one letter says. Without any it shows the help.
func (o *upstreamFlags) run(a *app, c *cobra.Command) error {
	asked := 0
	for _, set := range []bool{o.pair != "", o.status || o.operation != "", o.unpair, o.version} {
		if set {
			asked++
		}
	}
	switch {
	case asked > 1:
		return cli.Usage("-p, -s (or -o), -u and -v are for one at a time")
	case o.version:
		return a.Report(map[string]any{"latch": version.String()}, "latch %s", version.String())
	case o.pair != "":
		return a.pair(c.Context(), o.pair)
	case o.unpair:
		return a.unpair(c.Context(), false)
	case asked == 1:
		return a.status(c.Context(), o.operation)
	}
	return c.Help()
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		Long:    "version prints the version of latch, which is that of every part built with it.\n" + cli.ExitHelp,
		Example: "  latch version --json",
		RunE: func(*cobra.Command, []string) error {
			return a.Report(map[string]any{"latch": version.String()}, "latch %s", version.String())
		},
	}
}
