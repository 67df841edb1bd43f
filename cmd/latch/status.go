package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/latch"
)

func newStatus(a *app) *cobra.Command {
	var operation string
	c := &cobra.Command{
		Use:   "status",
		Short: "show whether a user's latch is open",
		Long: `status asks the Latch server whether a user's latch is open and prints "open" or "closed".
The question makes no one-time token and sends no notice to the phone.
` + cli.ExitHelp,
		Example: "  sudo latch status\n  sudo latch status --user ana --operation sudo --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.status(c.Context(), operation) },
	}
	c.Flags().StringVar(&operation, "operation", "", "`name` of an operation in the configuration, or its id")
	return c
}

func (a *app) status(ctx context.Context, operation string) error {
	who, p, err := a.pairing()
	if err != nil {
		return err
	}
	client, c, ctx, cancel, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	id, err := operationID(c, operation)
	if err != nil {
		return err
	}
	q := latch.Query{AccountID: p.AccountID, OperationID: id, NoOTP: true, Silent: true}
	s, err := client.Status(ctx, q)
	if latch.KindOf(err) == latch.KindErrorAnswer && err != nil {
		// Not every plan has silent questions.
		q.Silent = false
		s, err = client.Status(ctx, q)
	}
	if err != nil {
		return err
	}
	fields := map[string]any{"user": who.name, "status": word(s.Open)}
	if operation != "" {
		fields["operation"] = operation
	}
	if err := a.Report(fields, "%s", word(s.Open)); err != nil || s.Open {
		return err
	}
	return &closedError{}
}
