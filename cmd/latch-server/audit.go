package main

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newAudit(p *program) *cobra.Command {
	var q store.AuditQuery
	c := &cobra.Command{
		Use: "audit [TEXT]", Short: "show who administered what, oldest first", Args: cobra.MaximumNArgs(1),
		Long: `audit shows the newest acts of administrators, of these commands, of API users and of the server itself
that hold TEXT in who, what, on what, detail or address.
` + cli.ExitHelp,
		Example: "  latch-server audit ana --limit 20\n  latch-server audit --act secret.rotate --json",
		RunE: func(_ *cobra.Command, args []string) error {
			if q.Limit < 1 || q.Limit > store.MaxHistory {
				return cli.Usage("--limit takes a number from 1 to %d, not %d", store.MaxHistory, q.Limit)
			}
			if len(args) > 0 {
				q.Text = args[0]
			}
			return p.withStore(func(s store.Backend) error {
				acts, err := s.Acts(q)
				if err != nil {
					return err
				}
				slices.Reverse(acts)
				rows := make([]cli.Row, 0, len(acts))
				for _, a := range acts {
					rows = append(rows, p.actRow(a))
				}
				return p.Table("audit", rows)
			})
		},
	}
	c.Flags().IntVar(&q.Limit, "limit", 100, "how many of the newest acts")
	c.Flags().StringVar(&q.Act, "act", "", "acts of this name alone, as secret.rotate")
	return c
}

func (p *program) actRow(a store.Act) cli.Row {
	r := cli.Row{
		{Name: "time", Value: time.UnixMilli(a.T).UTC().Format("2006-01-02T15:04:05.000Z")}, {Name: "actor", Value: a.Actor.Name}, {Name: "via", Value: a.Actor.Via},
		{Name: "ip", Value: a.Actor.IP}, {Name: "act", Value: a.Name}, {Name: "target", Value: a.Target},
	}
	detail := a.Detail
	if detail == nil {
		detail = map[string]string{}
	}
	if p.JSON {
		return append(r, cli.Row{{Name: "detail", Value: detail}, {Name: "id", Value: a.ID}}...)
	}
	text := ""
	if len(detail) > 0 {
		encoded, err := json.Marshal(detail)
		if err == nil { // a map of strings always marshals
			text = string(encoded)
		}
	}
	return append(r, cli.Row{{Name: "detail", Value: text}}...)
}

func newRetain(p *program) *cobra.Command {
	days := map[string]*int{store.SettingKeepHistory: new(int), store.SettingKeepAudit: new(int)}
	flags := map[string]string{store.SettingKeepHistory: "history-days", store.SettingKeepAudit: "audit-days"}
	c := &cobra.Command{
		Use: "retain", Short: "say how long history and audit log are kept", Args: cobra.NoArgs,
		Long: `retain shows after how many days attempts, changes and acts are removed by the serving server, and changes what
its flags name. 0 keeps for ever, as it is from the beginning. Attempts per day stay counted.
` + cli.ExitHelp,
		Example: "  latch-server retain --history-days 365 --audit-days 0",
		RunE: func(c *cobra.Command, _ []string) error {
			values := map[string]string{}
			for setting, flag := range flags {
				n := *days[setting]
				if n < 0 || n > store.MaxKeepDays {
					return cli.Usage("--%s takes a number of days from 0 to %d", flag, store.MaxKeepDays)
				}
				if c.Flags().Changed(flag) {
					values[setting] = strconv.Itoa(n)
				}
			}
			return p.withStore(func(s store.Backend) error {
				if err := s.SetSettings(c.Context(), values); err != nil {
					return err
				}
				history, err := s.KeepDays(store.SettingKeepHistory)
				if err != nil {
					return err
				}
				audit, err := s.KeepDays(store.SettingKeepAudit)
				if err != nil {
					return err
				}
				return p.Report(map[string]any{"history_days": history, "audit_days": audit}, "history: %s; audit log: %s", inDays(history), inDays(audit))
			})
		},
	}
	for setting, flag := range flags {
		c.Flags().IntVar(days[setting], flag, 0, "days; 0 keeps for ever")
	}
	return c
}

func inDays(n int) string {
	if n == 0 {
		return "for ever"
	}
	return strconv.Itoa(n) + " days"
}
