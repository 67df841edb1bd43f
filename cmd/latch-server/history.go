package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/store"
)

func newHistory(p *program) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "history [USER]", Short: "show attempts and changes, oldest first", Args: cobra.MaximumNArgs(1),
		Long:    "history shows the newest attempts and changes of one person or of everybody.\n" + exitHelp,
		Example: "  latch-server history ana --limit 20",
		RunE: func(_ *cobra.Command, args []string) error {
			user := ""
			if len(args) > 0 {
				user = args[0]
			}
			return p.withStore(func(s *store.Store) error {
				entries, err := s.Log(user, limit)
				if err != nil {
					return err
				}
				rows := make([]row, 0, len(entries))
				for _, e := range entries {
					rows = append(rows, p.historyRow(e))
				}
				return p.table("history", rows)
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", 100, "how many of the newest entries")
	return c
}

func (p *program) historyRow(e store.Entry) row {
	r := row{
		{"time", time.UnixMilli(e.T).UTC().Format("2006-01-02T15:04:05.000Z")}, {"user", e.User}, {"application", e.App},
		{"action", e.Action}, {"what", e.What}, {"value", e.Value}, {"was", e.Was}, {"name", e.Name},
		{"ip", e.IP}, {"user_agent", e.UserAgent},
	}
	if !p.json {
		return r
	}
	context := e.Context
	if context == nil {
		context = map[string]string{}
	}
	return append(r, row{{"silent", e.Silent}, {"context", context}}...)
}
