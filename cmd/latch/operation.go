package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/config"
)

func newOperation(a *app) *cobra.Command {
	return group("operation", "list and change the application's operations",
		newOperationList(a), newOperationAdd(a), newOperationRename(a), newOperationRemove(a))
}

func newOperationList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the operations", Args: cobra.NoArgs,
		Long:    "list shows the application's operations as the server has them, and the name that each has in\nthe configuration.\n" + cli.ExitHelp,
		Example: "  sudo latch operation list",
		RunE:    func(c *cobra.Command, _ []string) error { return a.listOperations(c.Context()) },
	}
}

func (a *app) listOperations(ctx context.Context) error {
	client, c, ctx, cancel, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	top, err := client.Operations(ctx, "")
	if err != nil {
		return err
	}
	return a.Table("operations", operationRows(c, top, ""))
}

// operationRows lists a tree, parents before children.
func operationRows(c *config.Config, level map[string]api.Operation, parent string) []cli.Row {
	var rows []cli.Row
	for _, id := range slices.Sorted(maps.Keys(level)) {
		o := level[id]
		rows = append(rows, cli.Row{{Name: "id", Value: id}, {Name: "name", Value: o.Name}, {Name: "parent", Value: parent},
			{Name: "two_factor", Value: o.TwoFactor}, {Name: "lock_on_request", Value: o.LockOnRequest}, {Name: "called", Value: called(c, id)}})
		rows = append(rows, operationRows(c, o.Operations, id)...)
	}
	return rows
}

// called is the name that the configuration has for an operation id.
func called(c *config.Config, id string) string {
	for _, name := range operationNames(c) {
		if c.Operations[name] == id {
			return name
		}
	}
	return ""
}

func operationNames(c *config.Config) []string { return slices.Sorted(maps.Keys(c.Operations)) }

func newOperationAdd(a *app) *cobra.Command {
	var parent, twoFactor, lock string
	var save bool
	c := &cobra.Command{
		Use: "add NAME", Short: "make an operation", Args: cobra.ExactArgs(1),
		Long:    "add makes an operation below the application, or below --parent, and prints its id. --save writes\nNAME and id into [operations] of the configuration.\n" + cli.ExitHelp,
		Example: "  sudo latch operation add sudo --save",
		RunE: func(c *cobra.Command, args []string) error {
			return a.addOperation(c.Context(), parent, args[0], twoFactor, lock, save)
		},
	}
	c.Flags().StringVar(&parent, "parent", "", "`name` or id of the operation above")
	c.Flags().StringVar(&twoFactor, "two-factor", "", "one-time token: DISABLED, OPT_IN or MANDATORY")
	c.Flags().StringVar(&lock, "lock-on-request", "", "close after use: DISABLED, OPT_IN or MANDATORY")
	c.Flags().BoolVar(&save, "save", false, "write it into the configuration")
	return c
}

func (a *app) addOperation(ctx context.Context, parent, name, twoFactor, lock string, save bool) error {
	client, c, ctx, cancel, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	above, err := operationID(c, parent)
	if err != nil {
		return err
	}
	id, err := client.CreateOperation(ctx, above, name, twoFactor, lock)
	if err != nil {
		return err
	}
	if save {
		edit := func(data []byte) ([]byte, error) { return config.SetOperation(data, name, id) }
		if err := a.changeConfig(context.WithoutCancel(ctx), c.Path, edit); err != nil {
			return err
		}
	}
	return a.Report(map[string]any{"operation_id": id, "name": name}, "%s", id)
}

func newOperationRename(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rename OPERATION NAME", Short: "give an operation another name", Args: cobra.ExactArgs(2),
		Long:    "rename changes the name that people see in the phone's app. OPERATION is an id, or a name of the\nconfiguration.\n" + cli.ExitHelp,
		Example: "  sudo latch operation rename sudo 'root rights'",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOperation(c.Context(), args[0], func(ctx context.Context, id string, o operations) error {
				return o.UpdateOperation(ctx, id, args[1], "", "")
			})
		},
	}
}

func newOperationRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rm OPERATION", Aliases: []string{"remove"}, Short: "remove an operation", Args: cobra.ExactArgs(1),
		Long:    "rm removes an operation and what is below it at the server. PAM lines that name it refuse\nafterwards; take them out first.\n" + cli.ExitHelp,
		Example: "  sudo latch operation rm sudo",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOperation(c.Context(), args[0], func(ctx context.Context, id string, o operations) error {
				return o.DeleteOperation(ctx, id)
			})
		},
	}
}

// operations is the part of the client that changes one operation.
type operations interface {
	UpdateOperation(ctx context.Context, id, name, twoFactor, lockOnRequest string) error
	DeleteOperation(ctx context.Context, id string) error
}

func (a *app) withOperation(ctx context.Context, name string, do func(context.Context, string, operations) error) error {
	client, c, ctx, cancel, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	id, err := operationID(c, name)
	if err != nil {
		return err
	}
	if err := do(ctx, id, client); err != nil {
		return err
	}
	return a.Report(map[string]any{"operation_id": id}, "done")
}
