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
of this machine share the account, the server is not told. A pairing that the server does
not know any more is removed here. If the server does not answer, nothing changes; --local
removes the pairing here alone, for a server that is gone.
` + cli.ExitHelp,
		Example: "  sudo latch unpair --user ana",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.unpair(c.Context(), local) },
	}
	c.Flags().BoolVar(&local, "local", false, "do not tell the server")
	return c
}

// unpair tells the server first: if that fails nothing has changed and the door stays guarded, and if this program
// ends in between, the server's "not paired" refuses until unpair is run again.
func (a *app) unpair(ctx context.Context, local bool) error {
	_, p, err := a.anyPairing()
	if err != nil {
		return err
	}
	_, path, err := a.files()
	if err != nil {
		return err
	}
	f, err := account.Load(path)
	if err != nil {
		return err
	}
	tell := !local && holders(f, p.AccountID, p.User) == 0
	if tell {
		if err := a.unpairAtServer(ctx, p.AccountID); err != nil {
			return err
		}
	}
	removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	_, others, err := account.Store{Path: path}.Remove(removing, p.User)
	switch {
	case err != nil && tell:
		return fmt.Errorf("the server has ended the pairing, this machine still has it: %w", err)
	case err != nil:
		return err
	case others > 0:
		a.Say("the server was not told, because other users here have the same account (%d)", others)
	case !local && !tell:
		// The last of the others went while this ran, and left telling the server to us.
		if err := a.unpairAtServer(ctx, p.AccountID); err != nil {
			return fmt.Errorf("the pairing is gone here, but not at the server: %w", err)
		}
	}
	return a.Report(map[string]any{"user": p.User, "paired": false}, "%s is no longer paired", p.User)
}

func (a *app) unpairAtServer(ctx context.Context, id string) error {
	client, _, ctx, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err = client.Unpair(ctx, id); err == nil {
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
