package main

import (
	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/api"
)

// upstreamFlags are the original tool's: one letter for what is a command here.
type upstreamFlags struct {
	pair           string
	operation      string
	status, unpair bool
	version, yes   bool
}

func (o *upstreamFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&o.pair, "pair", "p", "", "same as the command pair `CODE`")
	f.BoolVarP(&o.status, "status", "s", false, "same as the command status")
	f.StringVarP(&o.operation, "operation", "o", "", "same as status --operation `NAME`")
	f.BoolVarP(&o.unpair, "unpair", "u", false, "same as the command unpair")
	f.BoolVarP(&o.yes, "yes", "y", false, "with -p and -u: do not ask about people who would be refused")
	f.BoolVarP(&o.version, "version", "v", false, "same as the command version")
}

// run does what the letters say, and where there are several the first of version, status, unpair and pair, as
// the original did. Without any it shows the help.
func (o *upstreamFlags) run(a *app, c *cobra.Command) error {
	switch {
	case o.version:
		return a.version()
	case o.status || o.operation != "":
		return a.status(c.Context(), o.operation)
	case o.unpair:
		return a.unpair(c.Context(), unpairOptions{yes: o.yes})
	case c.Flags().Changed("pair"):
		if !api.ValidCode(o.pair) {
			return errBadCode
		}
		return a.pair(c.Context(), o.pair, pairOptions{yes: o.yes})
	}
	return c.Help()
}
