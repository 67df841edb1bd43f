package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

type installOptions struct {
	line                                   installer.Options
	dryRun, check, yes, noRollback, repair bool
	rollbackAfter                          time.Duration
	timed                                  bool // rollbackAfter was named
}

func newInstall(a *app) *cobra.Command {
	var o installOptions
	var everyUse bool
	c := &cobra.Command{
		Use:     "install SERVICE...",
		Aliases: []string{"enable"},
		Short:   "make PAM services ask the latch",
		Long: `install puts the latch into service files of /etc/pam.d: sshd, login, su, su-l, sudo, sudo-i,
polkit-1, display managers (lightdm, gdm-password, and their -autologin and -fingerprint), openvpn, or
any other that stands there. It works out what libpam does with the file, its includes and jumps, and
puts the auth line where a wrong password does not reach it and no way in leads past it, and the
account line above everything that could skip it. Where there is no such place it says why and
changes nothing.

It shows the change as a diff and asks. Before it writes, it tries the result: libpam loads the new
stack, the module and the authenticator answer, the server knows the application, the clock is
right. What it replaces is kept: latch uninstall puts it back byte for byte.

Over SSH, and in a tmux or screen, the change undoes itself after five minutes unless it is confirmed:
log in once more while this session stays open, and run "latch confirm" there.

su and sudo get the auth line alone, because their account phase runs for root and for commands
without a password too; --every-use adds it.

A service whose program is known to run without root is refused: nginx, postgresql, squid, radiusd and
what a systemd unit or a process of its name shows. The module could not read its configuration there
and would refuse everybody. --allow-unprivileged installs it all the same, as where you have made
Squid's helper set-uid root. Screen lockers unlock unasked: a line of their own would do nothing.

openvpn gets a service file where it has none, and the server's configuration the plugin that asks it;
with --otp the clients' answer to a static challenge is the code. See docs/openvpn.md.

--otp totp asks for a code of the authenticator that "latch otp enroll" gave the user, --otp server-totp
for one that the Latch server checks, --otp yes for the server's one-time token.

Where a service has a line already, options that are not given keep their value, and the other
arguments of the line stay too. What changes or goes is named: --operation none, --otp config and
--every-use=false take one away, --otp no asks for no code whatever the configuration says.

--check changes nothing and exits with 3 where something would change. --repair puts lines back
that were installed and have gone since, as a package upgrade may do, and moves lines that protect
nothing where they stand; it keeps their arguments, and exits with 1 where one could not be repaired.
` + cli.ExitHelp,
		Example: "  sudo latch install sshd --dry-run\n  sudo latch install sshd login su sudo\n  sudo latch install sudo --operation sudo\n" +
			"  sudo latch install openvpn --server-config /etc/openvpn/server/server.conf",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && !o.repair {
				return cli.Usage("name the services, such as sshd, login, su, sudo")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.timed = c.Flags().Changed("rollback-after")
			o.line.Repair = o.repair
			if c.Flags().Changed("every-use") {
				o.line.EveryUse = &everyUse
			}
			return a.installServices(c.Context(), args, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.line.Operation, "operation", "", "query the operation of this `name` in the configuration; none: the application again")
	f.StringVar(&o.line.OTP, "otp", "", "override the configuration's otp: `mode` no, yes, totp or server-totp; config: as it says again")
	f.StringVar(&o.line.Server, "server-config", "", "openvpn: the `file` that configures the server (default: the only one)")
	f.BoolVar(&everyUse, "every-use", false, "su and sudo: query in the account phase too; --every-use=false: no more")
	f.BoolVar(&o.line.AllowUnprivileged, "allow-unprivileged", false, "install although a program that uses the service is known to run without root")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the change and do not make it")
	f.BoolVar(&o.check, "check", false, "as --dry-run, with exit status 3 where something would change")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask; the change still waits to be confirmed")
	f.BoolVar(&o.noRollback, "no-rollback", false, "keep the change without a confirmation")
	f.DurationVar(&o.rollbackAfter, "rollback-after", rollbackAfter, "undo the change after this `time` unless it is confirmed; over SSH by default")
	f.BoolVar(&o.repair, "repair", false, "put back or move lines as needed; without names, in everything that was installed")
	return c
}

// checkOptions refuses what no line can say. What it may say is tried later, with the line.
func (a *app) checkOptions(services []string, o *installOptions) error {
	switch {
	case a.config != "" || a.accounts != "" || a.profile != "system":
		return cli.Usage("install writes lines that use their profile's own files: leave --config, --accounts and --profile out")
	case o.timed && o.noRollback:
		return cli.Usage("--rollback-after and --no-rollback contradict each other")
	case o.rollbackAfter <= 0:
		return cli.Usage("--rollback-after needs a time, such as 5m")
	case strings.ContainsFunc(o.line.Operation, notInArgument):
		return cli.Usage("the operation %q has a name that cannot stand on a PAM line: rename it in the configuration", o.line.Operation)
	}
	if o.line.Operation == installer.NoOperation && a.hasOperation(installer.NoOperation) {
		return cli.Usage("the configuration has an operation that is called %[1]s, and --operation %[1]s means no operation: rename it", installer.NoOperation)
	}
	if o.line.OTP != "" && o.line.OTP != installer.ConfiguredOTP {
		if _, err := config.ParseArgs([]string{"otp=" + o.line.OTP}); err != nil {
			return cli.Usage("--otp: %v", err)
		}
	}
	return o.completeVPN(services)
}

// hasOperation reports whether the configuration has an operation of a name.
func (a *app) hasOperation(name string) bool {
	c, err := a.load()
	if err != nil {
		return false // the proof says what is wrong with it
	}
	_, found := c.Operations[name]
	return found
}

// notInArgument tells of what would end an argument of a PAM line, or begin something else.
func notInArgument(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`[]#\`, r) }

func (a *app) installServices(ctx context.Context, services []string, o installOptions) error {
	if err := a.checkOptions(services, &o); err != nil {
		return err
	}
	if !o.dryRun && !o.check {
		if err := a.recover(ctx); err != nil {
			return err
		}
	}
	options, left, err := a.wanted(ctx, services, o)
	if err != nil {
		return err
	}
	if err := a.install(ctx, options, left, o); err != nil {
		return err
	}
	if len(left) > 0 {
		return &undoneError{"not repaired: " + strings.Join(left, ", ")}
	}
	return nil
}

// undoneError ends a command that did what it could, and has said why it could not do the rest.
type undoneError struct{ rest string }

func (e *undoneError) Error() string { return e.rest }

// install plans, shows, tries and makes the change. It tells what is left unrepaired in its JSON.
func (a *app) install(ctx context.Context, options map[string]installer.Options, left []string, o installOptions) error {
	plans, err := a.planInstall(options)
	if err != nil {
		return err
	}
	a.noServer(plans)
	warnings := a.warnings(ctx, plans)
	if changed(plans) == 0 || o.dryRun || o.check {
		if err := a.reportChanges("would_change", plans, warnings, left); err != nil {
			return err
		}
		if o.check && changed(plans) > 0 {
			return &closedError{}
		}
		return nil
	}
	a.showChanges(plans, warnings)
	if err := a.proveAll(ctx, plans); err != nil {
		return fmt.Errorf("nothing was written: %w", err)
	}
	if err := a.agree(ctx, o.yes); err != nil {
		return err
	}
	p, err := a.pendingChange(o)
	if err != nil {
		return err
	}
	if err := a.locked(ctx, func() error { return a.applyChanges(plans, options, p) }); err != nil {
		return err
	}
	a.settle(ctx, plans)
	names, until := changedServices(plans), ""
	if !p.Due.IsZero() {
		until = "undoes itself at " + p.Due.UTC().Format(time.RFC3339) + " unless it is confirmed"
	}
	a.logChange("install", names, until)
	return a.reportInstalled(names, p.Due, left)
}

// wanted are the services to be installed, and the names of those that cannot be repaired.
func (a *app) wanted(ctx context.Context, services []string, o installOptions) (options map[string]installer.Options, left []string, err error) {
	a.findPrograms(ctx)
	a.pam.AccountSkip = config.Defaults().AccountSkip
	if c, err := a.load(); err == nil { // else the proof says what is wrong with it
		a.pam.AccountSkip = c.AccountSkip
		if a.pam.Lockers, err = config.ReadLockers(c.Path); err != nil {
			return nil, nil, err
		}
	}
	options = map[string]installer.Options{}
	for _, service := range services {
		name, note, err := a.pam.Resolve(service)
		if err != nil {
			return nil, nil, noService(err)
		}
		if note != "" {
			a.Say("%s", note)
		}
		options[name] = o.line
	}
	if !o.repair || len(services) > 0 {
		return options, nil, nil
	}
	installed, err := a.pam.Installed()
	if err != nil {
		return nil, nil, err
	}
	for _, service := range slices.Sorted(maps.Keys(installed)) {
		line := o.line
		switch {
		case a.repairable(service, line):
			options[service] = line
		case !a.gone(service):
			left = append(left, service)
		}
	}
	return options, left, nil
}

// planInstall plans service by service, each on top of the one before, since one may include the other.
func (a *app) planInstall(options map[string]installer.Options) ([]installer.Change, error) {
	plans, err := a.pam.PlanAll(options)
	return plans, noService(err)
}

// noService says where the services are that there are.
func noService(err error) error {
	if errors.Is(err, installer.ErrNoService) {
		err = cli.WithHint(cli.ExitError, err, "see ls /etc/pam.d")
	}
	return err
}

// repairable reports whether a service can be given its line. One that cannot keeps no other from being repaired.
func (a *app) repairable(service string, line installer.Options) bool {
	_, err := a.pam.Plan(service, line)
	switch {
	case errors.Is(err, installer.ErrNoService):
		a.Say("%s is gone: latch uninstall %s forgets it", service, service)
	case err != nil:
		a.Say("%s is not repaired: %v", service, err)
	}
	return err == nil
}

// gone reports whether a service has no file any more, as when its package was removed: nobody comes in by it.
func (a *app) gone(service string) bool {
	_, err := a.pam.Read(service)
	return errors.Is(err, installer.ErrNoService)
}

// changedServices names the services that plans change.
func changedServices(plans []installer.Change) []string {
	names := []string{}
	for _, c := range plans {
		if !c.None() && !slices.Contains(names, c.Service) {
			names = append(names, c.Service)
		}
	}
	return names
}

func changed(plans []installer.Change) int {
	n := 0
	for _, c := range plans {
		if !c.None() {
			n++
		}
	}
	return n
}

// showChanges writes diffs, notes and warnings for a person who is about to be asked.
func (a *app) showChanges(plans []installer.Change, warnings []string) {
	for _, c := range plans {
		if !a.JSON {
			fmt.Fprint(a.Out, c.Diff())
		}
		for _, note := range c.Notes {
			a.Say("%s: %s", c.Service, note)
		}
	}
	for _, warning := range warnings {
		a.Say("warning: %s", warning)
	}
}

// reportChanges writes the plans as the result of a command that changes nothing.
func (a *app) reportChanges(word string, plans []installer.Change, warnings, left []string) error {
	if a.JSON {
		var diffs []map[string]any
		for _, c := range plans {
			diffs = append(diffs, map[string]any{"service": c.Service, "path": c.Path, "changed": !c.None(), "diff": c.Diff(), "notes": c.Notes})
		}
		fields := map[string]any{"changed": false, word: changed(plans) > 0, "services": diffs, "warnings": warnings}
		return a.Report(withLeft(fields, left), "")
	}
	a.showChanges(plans, warnings)
	if changed(plans) == 0 {
		a.Say("nothing to change")
	}
	return nil
}

// agree asks unless the person has said yes beforehand.
func (a *app) agree(ctx context.Context, yes bool) error {
	if yes {
		return nil
	}
	ok, err := a.terminal.Confirm(ctx, "Make this change?")
	if err == nil && !ok {
		err = errors.New("nothing was written")
	}
	return needs(err, "say --yes, or --dry-run")
}

// locked keeps two changes of service files apart.
func (a *app) locked(ctx context.Context, fn func() error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return a.pam.Locked(ctx, fn)
}

// applyChanges makes every change, or none. The way back is on disk and its clock runs before the first one.
func (a *app) applyChanges(plans []installer.Change, options map[string]installer.Options, p installer.Pending) error {
	waiting, err := a.pam.Pending()
	if err != nil {
		return err
	}
	if waiting != nil {
		return cli.WithHint(cli.ExitError, fmt.Errorf("an earlier change waits to be confirmed until %s", waiting.Due.Local().Format(time.TimeOnly)),
			"run latch confirm in a new login, or latch rollback")
	}
	if err := a.pam.Prepare(p, plans); err != nil {
		return err
	}
	if !p.Due.IsZero() {
		if err := a.startClock(p); err != nil {
			return errors.Join(fmt.Errorf("nothing was written, because the change could not be made to undo itself: %w", err), a.pam.Confirm())
		}
	}
	for _, c := range plans {
		if err := a.pam.Apply(c, options[c.Service], a.now()); err != nil {
			_, back := a.pam.Rollback()
			return errors.Join(fmt.Errorf("nothing was changed: %w", err), back)
		}
	}
	if p.Due.IsZero() {
		return a.pam.Confirm()
	}
	return nil
}

// withLeft adds what could not be repaired.
func withLeft(fields map[string]any, left []string) map[string]any {
	if len(left) > 0 {
		fields["not_repaired"] = left
	}
	return fields
}

func (a *app) reportInstalled(names []string, due time.Time, left []string) error {
	fields := withLeft(map[string]any{"changed": true, "services": names}, left)
	if due.IsZero() {
		return a.Report(fields, "installed: %s", strings.Join(names, ", "))
	}
	fields["rollback_due"] = due.UTC().Format(time.RFC3339)
	if err := a.Report(fields, "installed: %s, until %s", strings.Join(names, ", "), due.Local().Format(time.TimeOnly)); err != nil {
		return err
	}
	a.Hint("keep this session open, log in once more, and run there: sudo latch confirm; else the change undoes itself")
	return nil
}
