package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
)

func newOpen(a *app) *cobra.Command {
	return newMove(a, true, "open", "unlock", "open a user's latch",
		"open opens the latch of a user from this machine. The server decides whether the application\nmay do that: latch-server has a switch for it, off at first.")
}

func newClose(a *app) *cobra.Command {
	return newMove(a, false, "close", "lock", "close a user's latch",
		"close closes the latch of a user from this machine. From then on nobody logs in as that user.")
}

func newMove(a *app, open bool, use, alias, short, long string) *cobra.Command {
	var operation string
	c := &cobra.Command{
		Use: use, Aliases: []string{alias}, Short: short, Long: long + "\n" + cli.ExitHelp,
		Example: "  sudo latch " + use + " --user ana --operation sudo",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.move(c.Context(), open, operation) },
	}
	c.Flags().StringVar(&operation, "operation", "", "`name` of an operation in the configuration, or its id")
	return c
}

// forbidden adds what to do where the server lets only the person open.
func forbidden(err error, open bool) error {
	var failed *client.Error
	if !open || !errors.As(err, &failed) || failed.Code != api.ErrCodeUnauthorized {
		return err
	}
	return cli.WithHint(cli.ExitError, err,
		"open it on the phone; or, on a server of your own, allow it with latch-server app set APP --open-by-api=yes")
}

func (a *app) move(ctx context.Context, open bool, operation string) error {
	p, err := a.pairing()
	if err != nil {
		return err
	}
	client, c, ctx, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	id, err := operationID(c, operation)
	if err != nil {
		return err
	}
	move := client.Lock
	if open {
		move = client.Unlock
	}
	if err := move(ctx, p.AccountID, id); err != nil {
		return forbidden(err, open)
	}
	fields := map[string]any{"user": p.User, "status": word(open)}
	if operation != "" {
		fields["operation"] = operation
	}
	if open {
		return a.Report(fields, "%s", word(open))
	}
	return a.reportLatch(c, operation, fields, "%s", word(open))
}
