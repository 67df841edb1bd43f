package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
)

// newHelp replaces cobra's command, which takes an unknown name for a success.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "explain a command",
		Long:    "help shows what \"latch COMMAND --help\" shows.\n" + cli.ExitHelp,
		Example: "  latch help operation add",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return cli.WithHint(cli.ExitUsage, fmt.Errorf("there is no command %q", strings.Join(args, " ")), "see latch --help")
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
