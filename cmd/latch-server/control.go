package main

import (
	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newControl(p *program) *cobra.Command {
	add := &cobra.Command{
		Use: "add APP NAME", Short: "make a control, open", Args: cobra.ExactArgs(2), Long: "add makes a control and prints its id.\n" + cli.ExitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				k, err := s.AddControl(c.Context(), a, args[1])
				if err != nil {
					return err
				}
				return p.Report(map[string]any{"control_id": k.ID, "name": k.Name}, "%s", k.ID)
			})
		},
	}
	list := &cobra.Command{
		Use: "list APP", Short: "list controls", Args: cobra.ExactArgs(1), Long: "list shows an application's controls.\n" + cli.ExitHelp,
		RunE: func(_ *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				list, err := s.Controls(a)
				if err != nil {
					return err
				}
				rows := make([]cli.Row, 0, len(list))
				for _, k := range list {
					rows = append(rows, cli.Row{{Name: "control_id", Value: k.ID}, {Name: "name", Value: k.Name}, {Name: "status", Value: word(k.Open)}})
				}
				return p.Table("controls", rows)
			})
		},
	}
	remove := &cobra.Command{
		Use: "remove APP CONTROL", Short: "remove a control", Args: cobra.ExactArgs(2), Long: "remove removes a control by its id.\n" + cli.ExitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				if err := s.RemoveControl(c.Context(), a, args[1]); err != nil {
					return err
				}
				return p.Report(map[string]any{"control_id": args[1]}, "removed %s", args[1])
			})
		},
	}
	return group("control", "authorization controls: switches that belong to no person",
		add, list, newControlSet(p, "open", true), newControlSet(p, "close", false), remove)
}

func newControlSet(p *program, verb string, open bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " APP CONTROL", Short: verb + " a control", Args: cobra.ExactArgs(2), Long: verb + " sets a control by its id.\n" + cli.ExitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				if err := s.SetControl(c.Context(), a, args[1], open); err != nil {
					return err
				}
				return p.Report(map[string]any{"control_id": args[1], "status": word(open)}, "%s: %s", args[1], word(open))
			})
		},
	}
}
