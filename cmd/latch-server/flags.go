package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

// modeFlag reads a mode in any case; nil when the flag was not given.
func modeFlag(c *cobra.Command, name string) (*store.Mode, error) {
	f := c.Flags().Lookup(name)
	if !f.Changed {
		return nil, nil
	}
	m, err := store.ParseMode(strings.ToUpper(strings.ReplaceAll(f.Value.String(), "-", "_")))
	if err != nil {
		return nil, cli.Usage("--%s: %w", name, err)
	}
	return &m, nil
}

// yesNoFlag reads yes or no; nil when the flag was not given.
func yesNoFlag(c *cobra.Command, name string) (*bool, error) {
	f := c.Flags().Lookup(name)
	if !f.Changed {
		return nil, nil
	}
	switch v := f.Value.String(); v {
	case "yes", "no":
		yes := v == "yes"
		return &yes, nil
	default:
		return nil, cli.Usage("--%s takes yes or no, not %q", name, v)
	}
}
