package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
)

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "print a script that completes commands in a shell",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		Long:      "completion prints a script for bash, zsh or fish that completes the commands and flags of latch.\n" + cli.ExitHelp,
		Example:   "  latch completion bash | sudo tee /etc/bash_completion.d/latch >/dev/null",
		RunE: func(c *cobra.Command, args []string) error {
			return a.completion(c.Root(), args[0])
		},
	}
}

func (a *app) completion(root *cobra.Command, shell string) error {
	if a.JSON {
		return cli.Usage("completion prints a script, not JSON")
	}
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(a.Out, true)
	case "zsh":
		return root.GenZshCompletion(a.Out)
	case "fish":
		return root.GenFishCompletion(a.Out, true)
	}
	return fmt.Errorf("there is no script for %q", shell)
}
