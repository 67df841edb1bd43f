package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/audit"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/latch"
	"github.com/latch-linux/latch/pkg/otpstore"
)

type bypassOptions struct {
	lasts  time.Duration
	reason string
	end    bool
}

func newOTPBypass(a *app) *cobra.Command {
	var o bypassOptions
	c := &cobra.Command{
		Use: "bypass", Short: "excuse a user from codes for a while", Args: cobra.NoArgs,
		Long: `bypass lets a user in without the codes that this machine or the server's authenticator would be asked
for, up to 24 hours, for a phone that is lost. A closed latch stays closed. It ends with the next start of
the machine, and no clock that is set makes it longer. Who gave it and why is in the log.
` + cli.ExitHelp,
		Example: "  sudo latch otp bypass --user ana --for 8h --reason 'lost the phone, ticket 4711'\n  sudo latch otp bypass --user ana --end",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.end == (o.reason != "") {
				return cli.Usage("bypass takes --reason TEXT, or --end")
			}
			return a.bypass(c.Context(), o)
		},
	}
	f := c.Flags()
	f.DurationVar(&o.lasts, "for", 8*time.Hour, "how long, a `duration` such as 30m or 8h")
	f.StringVar(&o.reason, "reason", "", "why, a `text` for the log")
	f.BoolVar(&o.end, "end", false, "take the bypass back")
	return c
}

func (a *app) bypass(ctx context.Context, o bypassOptions) error {
	store, _, who, err := a.codesOf(a.whoToPair)
	if err != nil {
		return err
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	by := a.caller()
	if o.end {
		if err := store.EndBypass(ctx, who.name); err != nil {
			return err
		}
		audit.Log{}.Warn(fmt.Sprintf("%s took back that %s is excused from codes", by, who.name))
		return a.Report(map[string]any{"user": who.name, "excused": false}, "%s is asked for codes again", who.name)
	}
	if _, err := store.CreateKey(ctx); err != nil {
		return err
	}
	if err := store.Excuse(ctx, who.name, who.uid, otpstore.Bypass{Reason: o.reason, By: by}, o.lasts); err != nil {
		return err
	}
	audit.Log{}.Warn(fmt.Sprintf("%s excused %s from codes for %v: %s", by, who.name, o.lasts, o.reason))
	return a.Report(map[string]any{"user": who.name, "excused": true, "seconds": int(o.lasts.Seconds())}, "%s is excused from codes for %v", who.name, o.lasts)
}

// caller is the person behind root.
func (a *app) caller() string {
	if name := a.getenv("SUDO_USER"); name != "" {
		return name
	}
	if p, err := a.find(a.login()); err == nil {
		return p.name
	}
	return "root"
}

func newOTPRemove(a *app) *cobra.Command {
	var local bool
	c := &cobra.Command{
		Use: "remove", Aliases: []string{"rm"}, Short: "end a user's authenticator and recovery codes", Args: cobra.NoArgs,
		Long: `remove forgets everything that a user's codes are checked with, a bypass and the count of wrong codes
included, and removes the authenticator that the server checks. Where a code is asked for, the user is
refused from then on. If the server does not answer, nothing changes; --local forgets it here alone.
` + cli.ExitHelp,
		Example: "  sudo latch otp remove --user ana",
		RunE:    func(c *cobra.Command, _ []string) error { return a.removeCodes(c.Context(), local) },
	}
	c.Flags().BoolVar(&local, "local", false, "do not tell the server")
	return c
}

func (a *app) removeCodes(ctx context.Context, local bool) error {
	store, c, who, err := a.codesOf(a.who)
	if err != nil {
		return err
	}
	r, err := store.Load(who.name)
	switch {
	case errors.Is(err, otpstore.ErrNotEnrolled):
		return err
	case err != nil && !local:
		return cli.WithHint(cli.ExitError, err, "to forget a record that cannot be read, say --local")
	case err == nil && !local && r.Remotes[c.AppID] != nil:
		client, _, _, done, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer done()
		if err := a.forgetTOTP(ctx, client, r.Remotes[c.AppID].ID); latch.KindOf(err) == latch.KindNoAnswer {
			return cli.WithHint(cli.ExitNoAnswer, err, "nothing was changed; try again later, or forget it here alone with --local")
		} else if err != nil {
			return err
		}
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	if err := store.Remove(ctx, who.name); err != nil {
		return err
	}
	return a.Report(map[string]any{"user": who.name, "enrolled": false}, "%s has no one-time passwords any more", who.name)
}
