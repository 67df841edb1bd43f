package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

type uninstallOptions struct{ all, dryRun, check, yes bool }

func newUninstall(a *app) *cobra.Command {
	var o uninstallOptions
	c := &cobra.Command{
		Use:     "uninstall [SERVICE...]",
		Aliases: []string{"disable"},
		Short:   "make PAM services forget the latch",
		Long: `uninstall takes our lines out of service files. A file that nobody changed since latch install comes
back byte for byte; from any other only our lines go. --all does that for every file that has one, and
is what package managers call before the module goes.

Where nobody could log in without the line, as in files of Telefónica's plugin for CentOS and Fedora,
nothing is changed, and the commands that repair the file are printed. See docs/migrating.md.

Pairings and the configuration stay.
` + cli.ExitHelp,
		Example: "  sudo latch uninstall sudo\n  sudo latch uninstall --all",
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 0) != o.all {
				return cli.Usage("name the services, or say --all")
			}
			return a.uninstallServices(c.Context(), args, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "every service that asks")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the change and do not make it")
	f.BoolVar(&o.check, "check", false, "as --dry-run, with exit status 3 where something would change")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) uninstallServices(ctx context.Context, services []string, o uninstallOptions) error {
	if !o.dryRun && !o.check {
		if err := a.recover(ctx); err != nil {
			return err
		}
	}
	if o.all {
		var err error
		if services, err = a.pam.Touched(); err != nil {
			return err
		}
	}
	plans, err := a.planRemoval(services)
	if err != nil {
		return err
	}
	if o.dryRun || o.check || len(plans) == 0 {
		err := a.reportChanges("would_change", plans, nil, nil)
		switch {
		case err == nil && o.check && changed(plans) > 0:
			return &closedError{}
		case err == nil && o.all && !o.dryRun && !o.check:
			return a.nobodyAsks()
		}
		return err
	}
	if changed(plans) > 0 {
		a.showChanges(plans, nil)
		if err := a.agree(ctx, o.yes); err != nil {
			return err
		}
	}
	err = a.locked(ctx, func() error {
		if err := a.undoChanges(plans); err != nil || !o.all {
			return err
		}
		return a.forgetPending()
	})
	if err != nil {
		return err
	}
	a.settle(ctx, plans)
	if !o.all {
		return nil
	}
	return a.nobodyAsks()
}

// planRemoval plans the removal of our lines from services, once for each file.
func (a *app) planRemoval(services []string) ([]installer.Change, error) {
	var plans []installer.Change
	for _, service := range slices.Compact(slices.Sorted(slices.Values(services))) {
		if _, err := a.pam.Read(service); errors.Is(err, installer.ErrNoService) {
			if name, note, err := a.pam.Resolve(service); err == nil && note != "" {
				a.Say("%s", note)
				service = name
			}
		}
		files, err := a.pam.PlanRemoval(service)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if !slices.ContainsFunc(plans, func(c installer.Change) bool { return c.Path == file.Path }) { // two names of one file
				plans = append(plans, file)
			}
		}
	}
	return plans, a.pam.CheckRemoval(plans)
}

// forgetPending ends the waiting for a confirmation where nothing is left that could be undone.
func (a *app) forgetPending() error {
	p, err := a.pam.Pending()
	if err != nil || p == nil {
		return err
	}
	if err := a.pam.Confirm(); err != nil {
		return err
	}
	a.stopClock()
	return nil
}

// nobodyAsks fails while a service still has a line: the module must not be removed then.
func (a *app) nobodyAsks() error {
	asking, err := a.pam.StillAsking()
	if err == nil && len(asking) > 0 {
		err = cli.WithHint(cli.ExitError, fmt.Errorf("these still ask, by a file that uninstall does not change: %s", strings.Join(asking, ", ")),
			"take those lines out by hand; without the module nobody logs in there")
	}
	return err
}

func (a *app) undoChanges(plans []installer.Change) error {
	for i, c := range plans {
		if err := a.pam.Undo(c); err != nil {
			a.logUninstall(changedServices(plans[:i]))
			return err
		}
	}
	names := changedServices(plans)
	a.logUninstall(names)
	if len(names) == 0 {
		a.Say("nothing to change")
		if !a.JSON {
			return nil
		}
	}
	return a.Report(map[string]any{"changed": len(names) > 0, "services": names}, "uninstalled: %s", strings.Join(names, ", "))
}

// logUninstall writes to the system's log which services are not protected any more.
func (a *app) logUninstall(names []string) {
	if len(names) > 0 {
		a.logChange("uninstall", names, "")
	}
}
