package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

type unpairOptions struct{ local, yes bool }

func newUnpair(a *app) *cobra.Command {
	var o unpairOptions
	c := &cobra.Command{
		Use:   "unpair",
		Short: "end a user's pairing",
		Long: `unpair ends the pairing of a user at the Latch server and on this machine. Where other users
of this machine share the account, or the same person has it for OpenVPN, the server is not
told. A pairing that the server does not know any more is removed here. If the server does not
answer, nothing changes; --local removes the pairing here alone, for a server that is gone.
With unpaired = close the user is refused from then on: unpair asks first.
` + cli.ExitHelp,
		Example: "  sudo latch unpair --user ana",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.unpair(c.Context(), o) },
	}
	c.Flags().BoolVar(&o.local, "local", false, "do not tell the server")
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask about a user who would be refused")
	return c
}

// unpair tells the server first: if that fails nothing has changed and the door stays guarded, and if this program
// ends in between, the server's "not paired" refuses until unpair is run again.
func (a *app) unpair(ctx context.Context, o unpairOptions) error {
	_, p, err := a.anyPairing()
	if err != nil {
		return err
	}
	_, path, err := a.files()
	if err != nil {
		return err
	}
	refusals, err := a.unpairRefusals(p.User, path)
	if err != nil {
		return err
	}
	if err := a.confirmRefusals(ctx, refusals, "Unpair "+p.User+"?", o.yes); err != nil {
		return err
	}
	tell := false
	if !o.local {
		others, err := otherHolders(path, p)
		if err != nil {
			return err
		}
		tell = others == 0
	}
	if tell {
		if err := a.unpairAtServer(ctx, p.AccountID); err != nil {
			return err
		}
	}
	removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err = (pairings.Store{Path: path}).Remove(removing, p.User); err != nil && tell {
		return fmt.Errorf("the server has ended the pairing, this machine still has it: %w", err)
	}
	if err == nil && !o.local && !tell {
		err = a.leaveToTheLast(ctx, path, p)
	}
	if err != nil {
		return err
	}
	a.codesStay(p.User)
	return a.Report(map[string]any{"user": p.User, "paired": false}, "%s is no longer paired", p.User)
}

// leaveToTheLast tells the server after all where the others with the same account went while this ran.
func (a *app) leaveToTheLast(ctx context.Context, path string, p pairings.Pairing) error {
	others, err := otherHolders(path, p)
	if err == nil && others == 0 {
		err = a.unpairAtServer(ctx, p.AccountID)
	}
	if err != nil {
		return fmt.Errorf("the pairing is gone here, but not at the server: %w", err)
	}
	if others > 0 {
		a.Say("the server was not told, because other users here have the same account (%d)", others)
	}
	return nil
}

// otherHolders counts who else has the account of p: in the file at path, and in those of all profiles, since a person
// who logs in and uses OpenVPN has one account in both where both ask as one application. Who may not read the
// profiles' files is not root and works on files of his own.
func otherHolders(path string, p pairings.Pairing) (int, error) {
	f, err := pairings.Load(path)
	if err != nil {
		return 0, err
	}
	n := holders(f, p.AccountID, p.User)
	for _, profile := range config.Profiles() {
		if profile.Accounts == path {
			continue
		}
		switch f, err := pairings.Load(profile.Accounts); {
		case err == nil:
			n += holders(f, p.AccountID, "")
		case !errors.Is(err, fs.ErrPermission):
			return 0, err
		}
	}
	return n, nil
}

// codesStay says what else there is of a user who is not paired any more.
func (a *app) codesStay(user string) {
	store, _, err := a.codes()
	if err != nil {
		return
	}
	if _, err := store.Load(user); !errors.Is(err, otpstore.ErrNotEnrolled) {
		a.Hint("the one-time passwords of %s stay; latch otp remove --user %s ends them", user, user)
	}
}

func (a *app) unpairAtServer(ctx context.Context, id string) error {
	server, _, ctx, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err = server.Unpair(ctx, id); err == nil {
		return nil
	}
	switch client.KindOf(err) {
	case client.KindNotPaired:
		return nil
	case client.KindNoAnswer:
		return cli.WithHint(cli.ExitNoAnswer, err, "nothing was changed; try again later, or forget the pairing here alone with --local")
	}
	return err
}
