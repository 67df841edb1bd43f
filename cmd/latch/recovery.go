package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

func newRecovery(a *app) *cobra.Command {
	return group("recovery", "codes for when the phone is not at hand", newRecoveryNew(a), newRecoveryStatus(a))
}

func newRecoveryNew(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "new", Short: "make ten recovery codes", Args: cobra.NoArgs,
		Long: `new makes ten codes for when the phone is not at hand, and ends those of before. They are shown once, on
the terminal, and kept as keyed hashes alone. Each passes once, wherever a code is asked for that this
machine or the server's authenticator would be asked about. A user needs no authenticator to have them.
` + cli.ExitHelp,
		Example: "  sudo latch recovery new --user ana",
		RunE: func(c *cobra.Command, _ []string) error {
			store, _, who, err := a.codesOf(a.whoToPair)
			if err != nil {
				return err
			}
			if err := a.readyKey(c.Context(), store); err != nil {
				return err
			}
			if err := a.giveRecovery(c.Context(), store, who); err != nil {
				return err
			}
			return a.Report(map[string]any{"user": who.name, "recovery_codes": otp.RecoveryCount}, "%s has %d new recovery codes", who.name, otp.RecoveryCount)
		},
	}
}

func newRecoveryStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show how many recovery codes are left", Args: cobra.NoArgs,
		Long: `status shows how many recovery codes a user has left, when they were made and when one was used last.
It shows no code: nobody can, once they were printed.
` + cli.ExitHelp,
		Example: "  sudo latch recovery status --user ana",
		RunE: func(*cobra.Command, []string) error {
			store, _, who, err := a.codesOf(a.who)
			if err != nil {
				return err
			}
			r, err := store.Load(who.name)
			if err != nil && !errors.Is(err, otpstore.ErrNotEnrolled) {
				return err
			}
			row := cli.Row{{Name: "user", Value: who.name}, {Name: "left", Value: 0}, {Name: "made", Value: nil}, {Name: "last_used", Value: nil}}
			if err == nil && r.Recovery != nil {
				row[1].Value, row[2].Value, row[3].Value = r.RecoveryLeft(), instant(r.Recovery.Made), instant(r.Recovery.LastUsed)
			}
			return a.Table("recovery", []cli.Row{row})
		},
	}
}

// giveRecovery stores codes and shows them. They are stored first: what was shown must pass.
func (a *app) giveRecovery(ctx context.Context, store otpstore.Store, who person) error {
	if err := a.terminal.Show(""); err != nil {
		return err // before the codes of before end
	}
	codes := otp.NewRecovery()
	var normal []string
	for _, c := range codes {
		n, _ := otp.NormalRecovery(c)
		normal = append(normal, n)
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	if err := store.SetRecovery(ctx, who.name, who.uid, normal); err != nil {
		return err
	}
	a.audit("made new recovery codes for %s", who.name)
	return a.terminal.Show("Recovery codes of " + cli.Clean(who.name) + ". Each passes once; keep them away from the phone:\n\n  " +
		strings.Join(codes, "\n  ") + "\n\n")
}
