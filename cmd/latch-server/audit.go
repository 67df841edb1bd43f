package main

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
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

// limitsOfRetain are what retain shows and changes.
var limitsOfRetain = []struct {
	setting, flag string
	most          int
	unit          string
}{
	{store.SettingKeepHistory, "history-days", store.MaxKeepDays, "days"},
	{store.SettingHistoryLines, "history-lines", store.MaxHistoryLines, "lines"},
	{store.SettingKeepAudit, "audit-days", store.MaxKeepDays, "days"},
}

func newRetain(p *program) *cobra.Command {
	given := make([]int, len(limitsOfRetain))
	c := &cobra.Command{
		Use: "retain", Short: "say how long history and audit log are kept", Args: cobra.NoArgs,
		Long: `retain shows after how many days, and beyond how many lines, attempts, changes and acts are removed by the serving
server, and changes what its flags name. 0 means no limit. A new database keeps 400 days and 5,000,000 lines
of history; an upgrade changes nothing. Attempts per day stay counted.
` + cli.ExitHelp,
		Example: "  latch-server retain --history-days 365 --history-lines 0 --audit-days 0",
		RunE: func(c *cobra.Command, _ []string) error {
			values := map[string]string{}
			for i, l := range limitsOfRetain {
				if given[i] < 0 || given[i] > l.most {
					return cli.Usage("--%s takes a number of %s from 0 to %d", l.flag, l.unit, l.most)
				}
				if c.Flags().Changed(l.flag) {
					values[l.setting] = strconv.Itoa(given[i])
				}
			}
			return p.withStore(func(s store.Backend) error { return p.retain(c.Context(), s, values) })
		},
	}
	for i, l := range limitsOfRetain {
		c.Flags().IntVar(&given[i], l.flag, 0, l.unit+"; 0 means no limit")
	}
	return c
}

func (p *program) retain(ctx context.Context, s store.Backend, values map[string]string) error {
	if err := s.SetSettings(ctx, values); err != nil {
		return err
	}
	fields := map[string]any{}
	var kept []any
	for _, l := range limitsOfRetain {
		n, err := s.KeepDays(l.setting)
		if err != nil {
			return err
		}
		fields[strings.ReplaceAll(l.flag, "-", "_")] = n
		text := "no limit"
		if n > 0 {
			text = strconv.Itoa(n) + " " + l.unit
		}
		kept = append(kept, text)
	}
	return p.Report(fields, "history: %s, %s; audit log: %s", kept...)
}
