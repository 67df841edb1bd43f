package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newCode(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "code USER", Short: "make a pairing code",
		Long: `code makes the six characters that a host's "latch pair CODE" takes. They work once, within
two minutes, and are case-sensitive.
` + cli.ExitHelp,
		Example: "  latch-server code ana", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				code, expires, err := s.NewCode(c.Context(), args[0])
				if err != nil {
					return err
				}
				if !p.JSON {
					p.Hint("the code works once, until %s", expires.Local().Format(time.TimeOnly))
				}
				return p.Report(map[string]any{"code": code, "expires": expires.Format(time.RFC3339)}, "%s", code)
			})
		},
	}
}
