package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newHistory(p *program) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "history [USER]", Short: "show attempts and changes, oldest first", Args: cobra.MaximumNArgs(1),
		Long:    "history shows the newest attempts and changes of one person or of everybody.\n" + cli.ExitHelp,
		Example: "  latch-server history ana --limit 20",
		RunE: func(c *cobra.Command, args []string) error {
			if limit < 1 {
				return cli.Usage("--limit takes a number from 1 up, not %d", limit)
			}
			user := ""
			if len(args) > 0 {
				user = args[0]
			}
			return p.withStore(func(s store.Backend) error {
				if err := settle(c.Context(), s, user); err != nil {
					return err
				}
				entries, err := s.Log(user, limit)
				if err != nil {
					return err
				}
				rows := make([]cli.Row, 0, len(entries))
				for _, e := range entries {
					rows = append(rows, p.historyRow(e))
				}
				return p.Table("history", rows)
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", 100, "how many of the newest entries")
	return c
}

// settle writes down what a person's latches did by themselves, by timers and schedules, so that their history shows it.
func settle(ctx context.Context, s store.Backend, user string) error {
	if user == "" {
		return nil
	}
	u, err := s.User(user)
	if err != nil {
		return err
	}
	return s.Settle(ctx, u.Row)
}

func newPrune(p *program) *cobra.Command {
	var days int
	c := &cobra.Command{
		Use: "prune --keep-days N", Short: "remove old history", Args: cobra.NoArgs,
		Long: `prune removes attempts and changes that are older than N days, while the server serves; the newest one
stays. With latch-server retain, or the panel's settings, the server does so by itself. The database does not
shrink; its free space is used again.
` + cli.ExitHelp,
		Example: "  latch-server prune --keep-days 365",
		RunE: func(c *cobra.Command, _ []string) error {
			if days < 1 || days > store.MaxKeepDays {
				return cli.Usage("--keep-days takes a number of days from 1 to %d", store.MaxKeepDays)
			}
			return p.withStore(func(s store.Backend) error {
				n, err := s.Prune(c.Context(), time.Now().AddDate(0, 0, -days).UnixMilli())
				if err != nil {
					return err
				}
				return p.Report(map[string]any{"removed": n}, "removed %d", n)
			})
		},
	}
	c.Flags().IntVar(&days, "keep-days", 0, "how many days of history stay")
	return c
}

func (p *program) historyRow(e store.Entry) cli.Row {
	r := cli.Row{
		{Name: "time", Value: time.UnixMilli(e.T).UTC().Format("2006-01-02T15:04:05.000Z")}, {Name: "user", Value: e.User}, {Name: "application", Value: e.App},
		{Name: "action", Value: e.Action}, {Name: "what", Value: e.What}, {Name: "value", Value: e.Value}, {Name: "was", Value: e.Was}, {Name: "name", Value: e.Name},
		{Name: "ip", Value: e.IP}, {Name: "user_agent", Value: e.UserAgent},
	}
	if !p.JSON {
		return r
	}
	context := e.Context
	if context == nil {
		context = map[string]string{}
	}
	return append(r, cli.Row{{Name: "silent", Value: e.Silent}, {Name: "count", Value: e.Count}, {Name: "context", Value: context}}...)
}
