package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// NewCompletion makes the command that prints shell completions of a program. It stands in for cobra's, which knows
// neither exit statuses nor JSON.
func NewCompletion(p *Printer, program string) *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "print a script that completes commands in a shell",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		Long:      "completion prints a script for bash, zsh or fish that completes the commands and flags of " + program + ".\n" + ExitHelp,
		Example:   "  " + program + " completion bash | sudo tee /etc/bash_completion.d/" + program + " >/dev/null",
		RunE: func(c *cobra.Command, args []string) error {
			return complete(p, c.Root(), args[0])
		},
	}
}

func complete(p *Printer, root *cobra.Command, shell string) error {
	if p.JSON {
		return Usage("completion prints a script, not JSON")
	}
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(p.Out, true)
	case "zsh":
		return root.GenZshCompletion(p.Out)
	case "fish":
		return root.GenFishCompletion(p.Out, true)
	}
	return fmt.Errorf("there is no script for %q", shell)
}
