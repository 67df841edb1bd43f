package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/account"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/latch"
)

func newUnpair(a *app) *cobra.Command {
	var local bool
	c := &cobra.Command{
		Use:   "unpair",
		Short: "end a user's pairing",
		Long: `unpair ends the pairing of a user at the Latch server and on this machine. Where other users
of this machine share the account, the server is not told. --local forgets the pairing here
alone, for a server that is gone.
` + cli.ExitHelp,
		Example: "  sudo latch unpair --user ana",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.unpair(c.Context(), local) },
	}
	c.Flags().BoolVar(&local, "local", false, "do not tell the server")
	return c
}

func (a *app) unpair(ctx context.Context, local bool) error {
	who, p, err := a.pairing()
	if err != nil {
		return err
	}
	_, path, err := a.files()
	if err != nil {
		return err
	}
	if !local {
		if err := a.unpairAtServer(ctx, path, who, p); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if _, _, err := (account.Store{Path: path}).Remove(ctx, who.name); err != nil {
		return fmt.Errorf("the server has ended the pairing, this machine still has it: %w", err)
	}
	return a.Report(map[string]any{"user": who.name, "paired": false}, "%s is no longer paired", who.name)
}

// unpairAtServer is done first: if it fails, nothing has changed and the door stays guarded.
func (a *app) unpairAtServer(ctx context.Context, path string, who person, p account.Pairing) error {
	f, err := account.Load(path)
	if err != nil {
		return err
	}
	for _, other := range f.All() {
		if other.User != who.name && other.AccountID == p.AccountID {
			a.Say("%s has the same account and stays paired", other.User)
			return nil
		}
	}
	client, _, ctx, cancel, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if err = client.Unpair(ctx, p.AccountID); err == nil {
		return nil
	}
	switch latch.KindOf(err) {
	case latch.KindNotPaired:
		return nil
	case latch.KindNoAnswer:
		return cli.WithHint(cli.ExitNoAnswer, err, "nothing was changed; try again later, or forget the pairing here alone with --local")
	}
	return err
}
