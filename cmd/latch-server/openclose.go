package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newOpen(p *program) *cobra.Command  { return newSetLatch(p, "open", "lets in", true) }
func newClose(p *program) *cobra.Command { return newSetLatch(p, "close", "refuses", false) }

type latchOptions struct {
	app, operation string
}

func (o *latchOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.app, "app", "", "application, by id or name; default: all that the person is paired with")
	c.Flags().StringVar(&o.operation, "operation", "", "operation of it, by id or name")
}

func newSetLatch(p *program, verb, effect string, open bool) *cobra.Command {
	var o latchOptions
	var length time.Duration
	c := &cobra.Command{
		Use: verb + " USER", Short: verb + " latches of a person, as the phone does",
		Long:    fmt.Sprintf("%s sets a person's latches so that the host %s. A closed latch closes the operations\nbelow it.\n", verb, effect) + cli.ExitHelp,
		Example: "  latch-server " + verb + " ana --app servers", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("for") && (length < time.Second || length > store.MaxOpenTime) {
				return cli.Usage("--for takes a time from 1s to %s, such as 10m, not %s", store.MaxOpenTime, length)
			}
			return p.setLatch(c.Context(), args[0], o, open, length)
		},
	}
	o.flags(c)
	if open {
		c.Flags().DurationVar(&length, "for", 0, "close again by itself after this time, such as 10m; default: stay open")
		c.Example += "\n  latch-server open ana --app servers --operation ssh --for 10m"
	}
	return c
}

func (p *program) setLatch(ctx context.Context, user string, o latchOptions, open bool, length time.Duration) error {
	if o.operation != "" && o.app == "" {
		return cli.Usage("--operation needs --app")
	}
	return p.withStore(func(s store.Backend) error {
		d, err := s.SwitchByName(ctx, user, o.operation, store.Switch{App: o.app, Open: open, For: length})
		if err != nil {
			return err
		}
		what := strings.Join(d.Apps, ", ")
		if o.operation != "" {
			what += " / " + o.operation
		}
		fields := map[string]any{"user": user, "applications": d.Apps, "status": word(open)}
		if d.Until == 0 {
			return p.Report(fields, "%s: %s", what, word(open))
		}
		fields["until"] = rfc3339(d.Until)
		return p.Report(fields, "%s: %s until %s", what, word(open), rfc3339(d.Until))
	})
}

func word(open bool) string {
	if open {
		return "open"
	}
	return "closed"
}

func newStatus(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "status USER", Short: "show a person's latches",
		Long: "status shows every latch of a person as a host would read it. It leaves no trace in the history.\n" + cli.ExitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				accounts, err := s.Accounts(args[0])
				if err != nil {
					return err
				}
				var rows []cli.Row
				for _, a := range accounts {
					rows = appendNode(rows, a.AccountID, "", a.Status)
				}
				return p.Table("latches", rows)
			})
		},
	}
}

func appendNode(rows []cli.Row, account, above string, n store.NodeState) []cli.Row {
	name := above + n.Name
	rows = append(rows, cli.Row{{Name: "latch", Value: name}, {Name: "status", Value: word(n.Open)}, {Name: "two_factor", Value: n.TwoFactor.String()},
		{Name: "lock_on_request", Value: n.LockOnUse.String()}, {Name: "id", Value: n.ID}, {Name: "account", Value: account}})
	for _, child := range n.Children {
		rows = appendNode(rows, account, name+" / ", child)
	}
	return rows
}

func newChoose(p *program) *cobra.Command {
	var o latchOptions
	var twoFactor, lock string
	c := &cobra.Command{
		Use: "choose USER", Short: "set what a person chose where the application leaves the choice",
		Long:    "choose sets the person's choices for latches whose mode is OPT_IN; elsewhere they have no effect.\n" + cli.ExitHelp,
		Example: "  latch-server choose ana --app servers --two-factor=yes", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			two, err := yesNoFlag(c, "two-factor")
			if err != nil {
				return err
			}
			use, err := yesNoFlag(c, "lock-on-request")
			if err != nil {
				return err
			}
			if o.operation != "" && o.app == "" {
				return cli.Usage("--operation needs --app")
			}
			return p.withStore(func(s store.Backend) error {
				if err := s.SetChoice(c.Context(), args[0], o.app, o.operation, two, use); err != nil {
					return err
				}
				return p.Report(map[string]any{"user": args[0]}, "changed %s", args[0])
			})
		},
	}
	o.flags(c)
	c.Flags().StringVar(&twoFactor, "two-factor", "", "yes or no: ask for a one-time token")
	c.Flags().StringVar(&lock, "lock-on-request", "", "yes or no: close after use")
	return c
}

func newToken(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "token USER", Short: "show a person's live one-time tokens",
		Long:    "token shows what the phone would show: the one-time tokens of the last five minutes, oldest first.\n" + cli.ExitHelp,
		Example: "  latch-server token ana --json", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				list, err := s.Tokens(args[0])
				if err != nil {
					return err
				}
				rows := make([]cli.Row, 0, len(list))
				for _, k := range list {
					rows = append(rows, cli.Row{{Name: "token", Value: k.Token}, {Name: "application", Value: k.App}, {Name: "id", Value: k.Node}, {Name: "message", Value: k.Message}, {Name: "expires", Value: rfc3339(k.Expires)}})
				}
				return p.Table("tokens", rows)
			})
		},
	}
}
