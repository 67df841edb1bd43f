package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

// consent asks before a command after which hosts would refuse people. Nobody affected needs no question; a script says --yes.
func (p *program) consent(ctx context.Context, people int64, yes bool, format string, args ...any) error {
	if people == 0 {
		return nil
	}
	p.Say("warning: "+format, args...)
	if yes {
		return nil
	}
	ok, err := cli.Terminal{}.Confirm(ctx, "Go on?")
	if errors.Is(err, cli.ErrNoTerminal) {
		return cli.WithHint(cli.ExitUsage, errors.New("nothing was changed: there is no terminal to ask on"), "confirm it with --yes")
	}
	if err == nil && !ok {
		err = errors.New("nothing was changed")
	}
	return err
}

// yesOption adds --yes to a command that asks.
func yesOption(c *cobra.Command, yes *bool) *cobra.Command {
	c.Flags().BoolVarP(yes, "yes", "y", false, "do not ask")
	return c
}

// pairedWith counts the people that an application's hosts query.
func pairedWith(s store.Backend, a store.Application) (int64, error) {
	counts, err := s.PairedPeople()
	return counts[a.Row], err
}

// consentToApp asks before a change after which the hosts of an application refuse everybody who is paired with it.
func (p *program) consentToApp(ctx context.Context, s store.Backend, a store.Application, yes bool, effect string) error {
	people, err := pairedWith(s, a)
	if err != nil {
		return err
	}
	return p.consent(ctx, people, yes, "%s; people who are paired with %s and would be refused: %d", effect, a.Name, people)
}

// consentToRevoke asks before the last secret of an application goes.
func (p *program) consentToRevoke(ctx context.Context, s store.Backend, a store.Application, name string, yes bool) error {
	list, err := s.Secrets(a.Row)
	if err != nil {
		return err
	}
	known := false
	for _, k := range list {
		if k.Name != name && !k.Revoked {
			return nil // another one goes on
		}
		known = known || k.Name == name && !k.Revoked
	}
	if !known {
		return nil // the change itself says that there is no such secret
	}
	return p.consentToApp(ctx, s, a, yes, fmt.Sprintf("%s is the last secret: no host can query the server with it any more", name))
}
