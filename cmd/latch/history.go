package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
)

func newHistory(a *app) *cobra.Command {
	var since time.Duration
	c := &cobra.Command{
		Use:   "history",
		Short: "show what happened to a user's latch",
		Long: `history prints what the Latch server recorded about a user: who asked, what the answer was,
and who opened or closed.
` + cli.ExitHelp,
		Example: "  sudo latch history --user ana --since 24h",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if since <= 0 {
				return cli.Usage("--since takes a time such as 90m or 24h, not %v", since)
			}
			return a.history(c.Context(), since)
		},
	}
	c.Flags().DurationVar(&since, "since", 7*24*time.Hour, "how far to look back, such as 90m or 24h")
	return c
}

func (a *app) history(ctx context.Context, since time.Duration) error {
	p, err := a.pairing()
	if err != nil {
		return err
	}
	client, _, ctx, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	now := a.now()
	from := now.Add(-since)
	if epoch := time.Unix(0, 0); from.Before(epoch) { // the wire has no earlier time
		from = epoch
	}
	h, err := client.History(ctx, p.AccountID, from, now.Add(time.Minute))
	if err != nil {
		return err
	}
	var rows []cli.Row
	for _, e := range h.Entries {
		rows = append(rows, cli.Row{{Name: "time", Value: time.UnixMilli(e.Time).Format(time.RFC3339)}, {Name: "action", Value: e.Action}, {Name: "what", Value: e.What},
			{Name: "was", Value: e.Was}, {Name: "value", Value: e.Value}, {Name: "name", Value: e.Name}, {Name: "ip", Value: e.IP}})
	}
	return a.Table("history", rows)
}
