package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

func newStatus(a *app) *cobra.Command {
	var operation string
	c := &cobra.Command{
		Use:   "status",
		Short: "show whether a user's latch is open",
		Long: `status asks the Latch server whether a user's latch is open and prints "open" or "closed".
The question makes no one-time token and, where the application's plan has silent questions,
sends no notice to the phone: it is not a login. A bypass that lasts is told besides.
` + cli.ExitHelp,
		Example: "  sudo latch status\n  sudo latch status --user ana --operation sudo --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.status(c.Context(), operation) },
	}
	c.Flags().StringVar(&operation, "operation", "", "`name` of an operation in the configuration, or its id")
	return c
}

func (a *app) status(ctx context.Context, operation string) error {
	p, err := a.pairing()
	if errors.Is(err, pairings.ErrNotPaired) {
		a.tellUnpairedBypass()
	}
	if err != nil {
		return err
	}
	server, c, ctx, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	id, err := operationID(c, operation)
	if err != nil {
		return err
	}
	q := client.Query{AccountID: p.AccountID, OperationID: id, NoOTP: true, Silent: true}
	s, err := server.Status(ctx, q)
	if err != nil && client.KindOf(err) == client.KindErrorAnswer {
		q.Silent = false // not every plan has silent questions
		s, err = server.Status(ctx, q)
	}
	if err != nil {
		return err
	}
	fields := map[string]any{"user": p.User, "status": word(s.Open)}
	if operation != "" {
		fields["operation"] = operation
	}
	a.tellBypass(c, p.User, fields)
	if err := a.reportLatch(c, operation, fields, "%s", word(s.Open)); err != nil || s.Open {
		return err
	}
	return &closedError{}
}
