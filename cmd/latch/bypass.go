package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/authlog"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
)

type bypassOptions struct {
	lasts  time.Duration
	reason string
	end    bool
}

func newBypass(a *app) *cobra.Command {
	var o bypassOptions
	c := &cobra.Command{
		Use: "bypass", Short: "excuse a user from codes for a while", Args: cobra.NoArgs,
		Long: `bypass lets a user in without the codes that this machine or the server's authenticator would be asked
for, up to 24 hours, for a phone that is lost. A closed latch stays closed. It ends with the next start of
the machine, and no clock that is set makes it longer. Who gave it and why is in the log; latch status and
latch doctor show it as long as it lasts.
` + cli.ExitHelp,
		Example: "  sudo latch bypass --user ana --for 15m --reason 'lost the phone, ticket 4711'\n  sudo latch bypass --user ana --end",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.end == (o.reason != "") {
				return cli.Usage("bypass takes --reason TEXT, or --end")
			}
			return a.bypass(c.Context(), o)
		},
	}
	f := c.Flags()
	f.DurationVar(&o.lasts, "for", 15*time.Minute, "how long, a `duration` such as 15m or 8h")
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
	if o.end {
		if err := store.EndBypass(ctx, who.name); err != nil {
			return err
		}
		a.audit("took back that %s is excused from codes", who.name)
		return a.Report(map[string]any{"user": who.name, "excused": false}, "%s is asked for codes again", who.name)
	}
	if err := a.readyKey(ctx, store); err != nil {
		return err
	}
	if err := store.Excuse(ctx, who.name, who.uid, otpstore.Bypass{Reason: o.reason, By: a.caller()}, o.lasts); err != nil {
		return err
	}
	a.audit("excused %s from codes for %v: %s", who.name, o.lasts, o.reason)
	return a.Report(map[string]any{"user": who.name, "excused": true, "seconds": int(o.lasts.Seconds())}, "%s is excused from codes for %v", who.name, o.lasts)
}

// audit logs what was done to a person's codes, and by whom.
func (a *app) audit(format string, args ...any) {
	authlog.Log{}.Warn(a.caller() + " " + fmt.Sprintf(format, args...))
}

// tellBypass says that no codes are asked of a user now, if that is so: among the fields for scripts, if there are any, and
// aloud for people.
func (a *app) tellBypass(c *config.Config, user string, fields map[string]any) {
	if a.uid != 0 {
		return // root's file
	}
	r, err := adapters.CodeStore(c).Load(user)
	if errors.Is(err, otpstore.ErrNotEnrolled) {
		return
	}
	left := time.Duration(0)
	if err == nil {
		left, err = r.Bypass.Left()
	}
	switch {
	case err != nil:
		a.Say("%v", err)
	case left > 0 && a.JSON && fields != nil:
		fields["bypass"] = map[string]any{"seconds": int(left.Seconds()), "by": r.Bypass.By, "reason": r.Bypass.Reason}
	case left > 0:
		a.Say("%s is excused from codes for %v more, by %s: %s", user, left.Round(time.Second), r.Bypass.By, r.Bypass.Reason)
	}
}

// tellUnpairedBypass tells of the bypass of a user who has no latch to show.
func (a *app) tellUnpairedBypass() {
	c, err := a.load()
	who, unknown := a.who()
	if err == nil && unknown == nil {
		a.tellBypass(c, who.name, nil)
	}
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
