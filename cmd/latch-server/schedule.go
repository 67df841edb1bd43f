package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/schedule"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newSchedule(p *program) *cobra.Command {
	return group("schedule", "open latches of a person by the week",
		newScheduleSet(p), newScheduleShow(p),
		newScheduleChange(p, "remove", "take a schedule away", "removed",
			"remove takes a latch's schedule away. The latch stays as it is.\n",
			func(ctx context.Context, s store.Backend, l latchOf) error {
				return s.SetSchedule(ctx, l.user, l.app, l.to, schedule.Week{}, store.Attempt{Way: store.WayCommand})
			}),
		newScheduleChange(p, "hold", "suspend a schedule", "held",
			"hold suspends a latch's schedule until resume. The latch stays as it is.\n",
			func(ctx context.Context, s store.Backend, l latchOf) error {
				return s.HoldSchedule(ctx, l.user, l.app, l.to, true, store.Attempt{Way: store.WayCommand})
			}),
		newScheduleChange(p, "resume", "take up a schedule again that was held", "resumed",
			"resume takes up a schedule again that was held, by hold, by a link that closed the latch, or because a phone\nwas lost. It counts at once.\n",
			func(ctx context.Context, s store.Backend, l latchOf) error {
				return s.HoldSchedule(ctx, l.user, l.app, l.to, false, store.Attempt{Way: store.WayCommand})
			}),
	)
}

// latchOf is one latch of a person.
type latchOf struct {
	user int64
	app  string
	to   store.Target
	name string
}

// latch finds the latch that a command line names. It needs --app.
func (o latchOptions) latch(s store.Backend, user string) (l latchOf, err error) {
	if o.app == "" {
		return l, cli.Usage("--app says whose latch it is")
	}
	u, err := s.User(user)
	if err != nil {
		return l, err
	}
	a, err := s.Application(o.app)
	if err != nil {
		return l, err
	}
	l = latchOf{user: u.Row, app: a.ID, name: a.Name}
	if o.operation == "" {
		return l, nil
	}
	op, err := s.Operation(a.Row, o.operation)
	l.to.OperationID, l.name = op.ID, a.Name+" / "+op.Name
	return l, err
}

func newScheduleSet(p *program) *cobra.Command {
	var o latchOptions
	var zone string
	c := &cobra.Command{
		Use: "set USER WINDOW...", Short: "give a latch weekly windows in which it is open", Args: cobra.MinimumNArgs(2),
		Long: `set has a latch open in its windows and closed between them. It counts at once; what the person sets by hand stands
until the next window begins or ends. A window is days and times of the zone's wall clocks: "mon-fri 08:00-22:00",
"sat,sun 10:00-14:00", "daily 22:00-06:00" (ends the next morning). Daylight saving moves it along; a time that the
clocks skip is when they skip it, one that comes twice is the first.
` + cli.ExitHelp,
		Example: `  latch-server schedule set ana "mon-fri 08:00-22:00" "sat 10:00-14:00" --app servers --zone Europe/Madrid`,
		RunE: func(c *cobra.Command, args []string) error {
			if zone == "" {
				return cli.Usage("--zone is missing: the time zone of the windows, such as Europe/Madrid")
			}
			w, err := schedule.Parse(zone + ";" + strings.Join(args[1:], ";"))
			if err != nil {
				return cli.Usage("%w", err)
			}
			return p.withStore(func(s store.Backend) error {
				l, err := o.latch(s, args[0])
				if err != nil {
					return err
				}
				if err := s.SetSchedule(c.Context(), l.user, l.app, l.to, w, store.Attempt{Way: store.WayCommand}); err != nil {
					return err
				}
				return p.Report(map[string]any{"user": args[0], "latch": l.name, "schedule": w.String()}, "%s: %s", l.name, w)
			})
		},
	}
	o.flags(c)
	c.Flags().Lookup("app").Usage = "application, by id or name"
	c.Flags().StringVar(&zone, "zone", "", "time zone of the windows, as in the IANA database")
	return c
}

func newScheduleChange(p *program, verb, short, done, long string, change func(context.Context, store.Backend, latchOf) error) *cobra.Command {
	var o latchOptions
	c := &cobra.Command{
		Use: verb + " USER", Short: short, Args: cobra.ExactArgs(1), Long: long + cli.ExitHelp,
		Example: "  latch-server schedule " + verb + " ana --app servers --operation ssh",
		RunE: func(c *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				l, err := o.latch(s, args[0])
				if err != nil {
					return err
				}
				if err := change(c.Context(), s, l); err != nil {
					return err
				}
				return p.Report(map[string]any{"user": args[0], "latch": l.name, "schedule": done}, "%s: schedule %s", l.name, done)
			})
		},
	}
	o.flags(c)
	c.Flags().Lookup("app").Usage = "application, by id or name"
	return c
}

func newScheduleShow(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "show USER", Short: "show when a person's latches change by themselves", Args: cobra.ExactArgs(1),
		Long:    "show lists the latches of a person that have a schedule or a timed opening, with their next change.\n" + cli.ExitHelp,
		Example: "  latch-server schedule show ana",
		RunE: func(_ *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				u, err := s.User(args[0])
				if err != nil {
					return err
				}
				apps, err := s.LatchTree(u.Row)
				if err != nil {
					return err
				}
				var rows []cli.Row
				for _, a := range apps {
					rows = appendScheduled(rows, "", a.Status)
				}
				return p.Table("schedules", rows)
			})
		},
	}
}

func appendScheduled(rows []cli.Row, above string, n store.NodeState) []cli.Row {
	name := above + n.Name
	if n.Schedule != "" || n.Next.At != 0 {
		next, at := "", ""
		if n.Next.At != 0 {
			next, at = map[bool]string{true: "opens", false: "closes"}[n.Next.Open], rfc3339(n.Next.At)
		}
		rows = append(rows, cli.Row{{Name: "latch", Value: name}, {Name: "status", Value: word(n.Open)}, {Name: "next", Value: next},
			{Name: "at", Value: at}, {Name: "held", Value: n.Held}, {Name: "schedule", Value: n.Schedule}})
	}
	for _, child := range n.Children {
		rows = appendScheduled(rows, name+" / ", child)
	}
	return rows
}
