package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/otpstore"
	"github.com/latch-linux/latch/pkg/ports"
)

func newOTP(a *app) *cobra.Command {
	return group("otp", "give users an authenticator whose codes this machine checks",
		newOTPEnrol(a), newOTPStatus(a), newOTPList(a), newOTPCheck(a), newOTPRecovery(a), newOTPResync(a), newOTPRemove(a),
		newOTPBypass(a), newOTPRekey(a))
}

// codes opens the store that latch.conf names. A user's record is root's alone: whoever could read a seed would have no need
// of the phone.
func (a *app) codes() (otpstore.Store, *config.Config, error) {
	if a.uid != 0 {
		return otpstore.Store{}, nil, cli.WithHint(cli.ExitError, errors.New("one-time passwords lie in root's files"), "run it as root, with sudo")
	}
	c, err := a.load()
	if err != nil {
		return otpstore.Store{}, nil, err
	}
	store := ports.CodeStore(c)
	store.Now = a.now
	return store, c, nil
}

// codesOf opens the store for what is to be done with a person's codes; who finds the person. One whom the name service does
// not know gets the name of the pairing, by which a login finds the record.
func (a *app) codesOf(who func() (person, error)) (otpstore.Store, *config.Config, person, error) {
	store, c, err := a.codes()
	if err != nil {
		return store, nil, person{}, err
	}
	p, err := who()
	if err == nil && p.unknown() {
		if _, paired, err := a.anyPairing(); err == nil {
			p.name = paired.User
		}
	}
	return store, c, p, err
}

// storing bounds the wait for the logins of the same user. What was begun is ended in spite of an interrupt.
func storing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
}

func newOTPStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show what there is to check a user's codes with", Args: cobra.NoArgs,
		Long: `status shows a user's authenticator, how many recovery codes are left, who is excused from codes and
which addresses are not listened to. It shows no secret.
` + cli.ExitHelp,
		Example: "  sudo latch otp status --user ana",
		RunE: func(*cobra.Command, []string) error {
			store, c, who, err := a.codesOf(a.who)
			if err != nil {
				return err
			}
			r, err := store.Load(who.name)
			if err != nil {
				return err
			}
			if r.OthersThan(who.uid) {
				a.Say("the record is that of uid %d, and %s has %d now: no code is taken; see latch otp remove", r.UID, who.name, who.uid)
			}
			return a.Table("otp", []cli.Row{otpRow(r, c.AppID, a.now())})
		},
	}
}

// otpRow is what may be told of a record.
func otpRow(r *otpstore.Record, app string, now time.Time) cli.Row {
	var kind, used any
	if v := r.Authenticator; v != nil {
		kind = string(v.Kind)
		used = instant(v.LastUsed)
	}
	left, _ := r.Bypass.Left() // where the clock cannot be read, no bypass counts
	var excused any
	if left > 0 {
		excused = left.Round(time.Minute).String()
	}
	return cli.Row{{Name: "user", Value: r.User}, {Name: "uid", Value: uidText(r.UID)}, {Name: "authenticator", Value: kind},
		{Name: "server", Value: r.Remotes[app] != nil}, {Name: "recovery_codes", Value: r.RecoveryLeft()}, {Name: "last_used", Value: used},
		{Name: "excused", Value: excused}, {Name: "paused_addresses", Value: len(r.Guesses.PausedAt(now.Unix()))}}
}

// instant is a Unix time for people and scripts, nil for none.
func instant(unix int64) any {
	if unix == 0 {
		return nil
	}
	return time.Unix(unix, 0).UTC().Format(time.RFC3339)
}

func newOTPList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list who has one-time passwords", Args: cobra.NoArgs,
		Long:    "list shows every user with an authenticator, recovery codes or a bypass on this machine.\n" + cli.ExitHelp,
		Example: "  sudo latch otp list\n  sudo latch otp list --json",
		RunE: func(*cobra.Command, []string) error {
			store, c, err := a.codes()
			if err != nil {
				return err
			}
			users, err := store.Users()
			if err != nil {
				return err
			}
			var rows []cli.Row
			for _, user := range users {
				r, err := store.Load(user)
				if err != nil {
					a.Say("%v", err)
					r = &otpstore.Record{User: user, UID: -1}
				}
				rows = append(rows, append(otpRow(r, c.AppID, a.now()), cli.Cell{Name: "readable", Value: err == nil}))
			}
			return a.Table("users", rows)
		},
	}
}

func newOTPCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "check a code, as a login would", Args: cobra.NoArgs,
		Long: `check asks for a code or a recovery code on the terminal and says whether a login would have taken it.
A code that is right is used up; one that is wrong is not counted against the user.
` + cli.ExitHelp,
		Example: "  sudo latch otp check --user ana",
		RunE:    func(c *cobra.Command, _ []string) error { return a.checkCode(c.Context()) },
	}
}

func (a *app) checkCode(ctx context.Context) error {
	store, _, who, err := a.codesOf(a.who)
	if err != nil {
		return err
	}
	if _, err := store.Load(who.name); err != nil {
		return err
	}
	typed, err := a.terminal.Ask(ctx, "Code of "+who.name, "")
	if err != nil {
		return err
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	used, err := store.Use(ctx, otpstore.Try{User: who.name, UID: who.uid, Typed: typed, Unlimited: true})
	switch {
	case err != nil:
		return err
	case used.Result == otpstore.RightRecovery:
		return a.Report(map[string]any{"user": who.name, "right": true, "recovery_codes": used.Left}, "right; %d recovery codes are left", used.Left)
	case used.Result == otpstore.RightCode:
		return a.Report(map[string]any{"user": who.name, "right": true}, "right")
	case used.Result == otpstore.Replayed:
		return cli.WithHint(cli.ExitError, errors.New("the code was right, and was used before"), "wait for the next code")
	}
	return cli.WithHint(cli.ExitError, errors.New("the code is wrong"), "compare the clocks of the phone and of this machine; for a token that counts see latch otp resync")
}

func newOTPRecovery(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "recovery", Short: "make new recovery codes", Args: cobra.NoArgs,
		Long: `recovery makes ten codes for when the phone is not at hand, and ends those of before. They are shown once,
on the terminal. Each passes once, in place of any code that this machine asks for.
` + cli.ExitHelp,
		Example: "  sudo latch otp recovery --user ana",
		RunE: func(c *cobra.Command, _ []string) error {
			store, _, who, err := a.codesOf(a.who)
			if err != nil {
				return err
			}
			if _, err := store.Load(who.name); err != nil {
				return err
			}
			if err := a.giveRecovery(c.Context(), store, who); err != nil {
				return err
			}
			return a.Report(map[string]any{"user": who.name, "recovery_codes": otp.RecoveryCount}, "%s has %d new recovery codes", who.name, otp.RecoveryCount)
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
	return a.terminal.Show("Recovery codes of " + cli.Clean(who.name) + ". Each passes once; keep them away from the phone:\n\n  " +
		strings.Join(codes, "\n  ") + "\n\n")
}

func newOTPResync(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "resync", Short: "find a counting token that ran ahead", Args: cobra.NoArgs,
		Long: `resync asks for two codes in a row of a token that counts (HOTP) and that was pressed more often than this
machine follows. Both are used up.
` + cli.ExitHelp,
		Example: "  sudo latch otp resync --user ana",
		RunE:    func(c *cobra.Command, _ []string) error { return a.resync(c.Context()) },
	}
}

func (a *app) resync(ctx context.Context) error {
	store, _, who, err := a.codesOf(a.who)
	if err != nil {
		return err
	}
	r, err := store.Load(who.name)
	if err == nil && (r.Authenticator == nil || r.Authenticator.Kind != otp.HOTP) {
		err = fmt.Errorf("%s has no token that counts; a phone that shows codes by the time needs its clock set", who.name)
	}
	if err != nil {
		return err
	}
	var typed []string
	for _, which := range []string{"first", "next"} {
		code, err := a.terminal.Ask(ctx, "The "+which+" code", "")
		if err != nil {
			return err
		}
		typed = append(typed, strings.ReplaceAll(code, " ", ""))
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	found, err := store.Resync(ctx, who.name, typed[0], typed[1])
	if err == nil && !found {
		err = errors.New("these are no two codes in a row that were not used, or the token ran more than 1000 ahead")
	}
	if err != nil {
		return err
	}
	return a.Report(map[string]any{"user": who.name, "found": true}, "found; the token of %s is right again", who.name)
}

func newOTPRekey(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rekey", Short: "seal every record with a new key", Args: cobra.NoArgs,
		Long: `rekey draws a new key and seals every user's record with it, while logins go on. Interrupted, it goes on
where it was when it is called again. Copies of the old key open nothing of what is here afterwards.
` + cli.ExitHelp,
		Example: "  sudo latch otp rekey",
		RunE: func(c *cobra.Command, _ []string) error {
			store, conf, err := a.codes()
			if err != nil {
				return err
			}
			n, err := store.Rekey(c.Context())
			if err != nil {
				return err
			}
			a.Say("%s has changed; keep it in the backup", conf.OTPKey)
			return a.Report(map[string]any{"records": n}, "records sealed with the new key: %d", n)
		},
	}
}
