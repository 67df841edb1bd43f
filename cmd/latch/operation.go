package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/securefile"
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
	client, c, ctx, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
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

type addOptions struct {
	parent, twoFactor, lock string
	save                    bool
}

func newOperationAdd(a *app) *cobra.Command {
	var o addOptions
	c := &cobra.Command{
		Use: "add NAME", Short: "make an operation", Args: cobra.ExactArgs(1),
		Long: `add makes an operation below the application, or below --parent, and prints its id. --save also
writes NAME and the id into [operations] of the configuration, where operation=NAME of a PAM
line finds it. An id that the server does not know any more is replaced there.
` + cli.ExitHelp,
		Example: "  sudo latch operation add sudo --save",
		RunE:    func(c *cobra.Command, args []string) error { return a.addOperation(c.Context(), args[0], o) },
	}
	c.Flags().StringVar(&o.parent, "parent", "", "`name` or id of the operation above")
	c.Flags().StringVar(&o.twoFactor, "two-factor", "", "one-time token, `mode` disabled, opt_in or mandatory")
	c.Flags().StringVar(&o.lock, "lock-on-request", "", "close after use, `mode` disabled, opt_in or mandatory")
	c.Flags().BoolVar(&o.save, "save", false, "write it into the configuration")
	return c
}

func (a *app) addOperation(ctx context.Context, name string, o addOptions) error {
	twoFactor, err := mode("--two-factor", o.twoFactor)
	if err != nil {
		return err
	}
	lock, err := mode("--lock-on-request", o.lock)
	if err != nil {
		return err
	}
	client, c, asking, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	above, err := operationID(c, o.parent)
	if err != nil {
		return err
	}
	if o.save {
		if err := a.savable(asking, client, c, name); err != nil {
			return err
		}
	}
	id, err := client.CreateOperation(asking, above, name, twoFactor, lock)
	if err != nil {
		return err
	}
	if o.save {
		edit := func(data []byte) ([]byte, error) { return config.SetOperation(data, name, id) }
		if err := a.changeConfig(context.WithoutCancel(ctx), c.Path, edit); err != nil {
			return fmt.Errorf("the operation was made, with the id %s, but not saved: %w", id, err)
		}
	} else {
		a.Hint("for operation=%s on a PAM line write \"%s = %s\" into [operations] of %s, or use --save", name, name, id, c.Path)
	}
	return a.Report(map[string]any{"operation_id": id, "name": name, "saved": o.save}, "%s", id)
}

// mode reads a mode in any case.
func mode(flag, value string) (string, error) {
	value = strings.ToUpper(strings.ReplaceAll(value, "-", "_"))
	if value != "" && !slices.Contains([]string{api.ModeDisabled, api.ModeOptIn, api.ModeMandatory}, value) {
		return "", cli.Usage("%s takes disabled, opt_in or mandatory", flag)
	}
	return value, nil
}

// savable checks that the configuration can take a new operation of that name, before one is made. One that the server does not
// know any more is replaced.
func (a *app) savable(ctx context.Context, server *client.Client, c *config.Config, name string) error {
	if id := c.Operations[name]; id != "" {
		all, err := server.Operations(ctx, "")
		if err != nil {
			return err
		}
		if len(withBelow(all, id)) > 0 {
			return fmt.Errorf("%s has an operation %q already", c.Path, name)
		}
		a.Say("the server does not know %s, which %s has for %q; it is replaced", id, c.Path, name)
	}
	data, err := config.SetOperation(nil, name, strings.Repeat("2", api.OperationLength))
	if err != nil {
		return err
	}
	return tolerable(config.Parse(c.Path, data))
}

// tolerable drops the complaint that a text has no credentials.
func tolerable(_ *config.Config, err error) error {
	if errors.Is(err, config.ErrNotSetUp) {
		return nil
	}
	return err
}

func newOperationRename(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rename OPERATION NAME", Short: "give an operation another name", Args: cobra.ExactArgs(2),
		Long: `rename changes the name that people see in the phone's app. OPERATION is an id, or a name of the
configuration; that name stays, and with it the PAM lines.
` + cli.ExitHelp,
		Example: "  sudo latch operation rename sudo 'root rights'",
		RunE:    func(c *cobra.Command, args []string) error { return a.renameOperation(c.Context(), args[0], args[1]) },
	}
}

func (a *app) renameOperation(ctx context.Context, which, name string) error {
	if name == "" {
		return cli.Usage("an operation needs a name")
	}
	client, c, ctx, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	id, err := operationID(c, which)
	if err != nil {
		return err
	}
	if err := client.UpdateOperation(ctx, id, name, "", ""); err != nil {
		return err
	}
	return a.Report(map[string]any{"operation_id": id, "name": name}, "%s is called %s", id, name)
}

// withBelow returns the id of an operation and the ids of everything below it, nothing where a tree does not have it.
func withBelow(level map[string]api.Operation, id string) []string {
	var ids []string
	for each, o := range level {
		if each != id {
			ids = append(ids, withBelow(o.Operations, id)...)
			continue
		}
		ids = append(ids, id)
		for below := range o.Operations {
			ids = append(ids, withBelow(o.Operations, below)...)
		}
	}
	return ids
}

func newOperationRemove(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "rm OPERATION", Aliases: []string{"remove"}, Short: "remove an operation", Args: cobra.ExactArgs(1),
		Long: `rm removes an operation and what is below it at the server. OPERATION is an id, or a name of the
configuration. PAM lines that name it refuse paired users from then on: where this machine has such
lines, rm asks first. Other machines are not looked at. "latch operation add NAME --save" makes
another operation for the lines.
` + cli.ExitHelp,
		Example: "  sudo latch operation rm sudo",
		RunE:    func(c *cobra.Command, args []string) error { return a.removeOperation(c.Context(), args[0], yes) },
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask about people who would be refused")
	return c
}

func (a *app) removeOperation(ctx context.Context, which string, yes bool) error {
	id, err := a.confirmRemoval(ctx, which, yes)
	if err != nil {
		return err
	}
	client, c, ctx, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := client.DeleteOperation(ctx, id); err != nil {
		return err
	}
	if name := called(c, id); name != "" {
		a.Say("%s still names it %q; PAM lines with operation=%s refuse paired users", c.Path, name, name)
		a.Hint("to make another one for those lines, run: %s", a.asRoot("latch operation add "+securefile.ShellWord(name)+" --save"+a.options()))
	}
	return a.Report(map[string]any{"operation_id": id, "removed": true}, "%s is removed", id)
}

// confirmRemoval asks where lines of this machine ask about the operation, or about one below it, and returns its id.
func (a *app) confirmRemoval(ctx context.Context, which string, yes bool) (id string, err error) {
	client, c, asking, done, err := a.connect(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	if id, err = operationID(c, which); err != nil {
		return "", err
	}
	all, err := client.Operations(asking, "")
	if err != nil {
		return "", err
	}
	refusals, err := a.operationRefusals(c, withBelow(all, id))
	if err != nil {
		return "", err
	}
	return id, a.confirmRefusals(ctx, refusals, "Remove it?", yes)
}
