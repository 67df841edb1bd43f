package main

import (
	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newOperation(p *program) *cobra.Command {
	return group("operation", "make and list operations, the latches below an application's", newOperationAdd(p), newOperationList(p))
}

func newOperationAdd(p *program) *cobra.Command {
	var parent, twoFactor, lock string
	c := &cobra.Command{
		Use: "add APP NAME", Short: "make an operation", Args: cobra.ExactArgs(2),
		Long:    "add makes an operation; its id belongs in latch.conf. APP is an id or a name.\n" + cli.ExitHelp,
		Example: "  latch-server operation add servers ssh",
		RunE: func(c *cobra.Command, args []string) error {
			two, err := modeFlag(c, "two-factor")
			if err != nil {
				return err
			}
			use, err := modeFlag(c, "lock-on-request")
			if err != nil {
				return err
			}
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				if parent == "" {
					parent = a.ID
				}
				o, err := s.AddOperation(c.Context(), a, parent, store.Operation{Name: args[1], TwoFactor: orZero(two), LockOnUse: orZero(use)})
				if err != nil {
					return err
				}
				return p.Report(map[string]any{"operation_id": o.ID, "name": o.Name}, "%s", o.ID)
			})
		},
	}
	c.Flags().StringVar(&parent, "parent", "", "operation above it, by id or name; default: the application")
	c.Flags().StringVar(&twoFactor, "two-factor", "", "one-time token: disabled, opt_in or mandatory")
	c.Flags().StringVar(&lock, "lock-on-request", "", "close after use: disabled, opt_in or mandatory")
	return c
}

func newOperationList(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "list APP", Short: "list operations", Args: cobra.ExactArgs(1),
		Long: "list shows the operations of an application, parents first.\n" + cli.ExitHelp,
		RunE: func(_ *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				list, err := s.Operations(a.Row)
				if err != nil {
					return err
				}
				ids := map[int64]string{0: a.ID}
				rows := make([]cli.Row, 0, len(list))
				for _, o := range list {
					ids[o.Row] = o.ID
					rows = append(rows, cli.Row{{Name: "operation_id", Value: o.ID}, {Name: "name", Value: o.Name}, {Name: "parent", Value: ids[o.Parent]},
						{Name: "two_factor", Value: o.TwoFactor.String()}, {Name: "lock_on_request", Value: o.LockOnUse.String()}})
				}
				return p.Table("operations", rows)
			})
		},
	}
}
