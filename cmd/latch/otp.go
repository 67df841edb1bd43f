package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

func newOTP(a *app) *cobra.Command {
	return group("otp", "give users an authenticator whose codes this machine checks",
		newOTPEnroll(a), newOTPImport(a), newOTPStatus(a), newOTPList(a), newOTPVerify(a), newOTPResync(a), newOTPRemove(a),
		newOTPKey(a), newOTPRekey(a), newOTPEncrypt(a))
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
	store := adapters.CodeStore(c)
	store.Now = a.now
	return store, c, nil
}

// readyKey sees to it that there is a key. It is made where records are not sealed, too: where it is and they are not, they were
// lost, and that must let nobody in.
func (a *app) readyKey(ctx context.Context, store otpstore.Store) error {
	created, err := store.CreateKey(ctx)
	if created && !store.Clear {
		a.Say("%s is the key of the one-time passwords; keep it in the backup, apart from %s, and say so with latch otp key --backed-up",
			store.KeyFile, store.Dir)
	}
	return err
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

func newOTPVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "verify", Aliases: []string{"check"}, Short: "check a code, as a login would", Args: cobra.NoArgs,
		Long: `verify asks for a code or a recovery code on the terminal and says whether a login would have taken it.
A code that is right is used up; one that is wrong is not counted against the user. Where the user has no
authenticator that this machine checks, the Latch server is asked.
` + cli.ExitHelp,
		Example: "  sudo latch otp verify --user ana",
		RunE:    func(c *cobra.Command, _ []string) error { return a.verifyCode(c.Context()) },
	}
}

func (a *app) verifyCode(ctx context.Context) error {
	store, c, who, err := a.codesOf(a.who)
	if err != nil {
		return err
	}
	r, err := store.Load(who.name)
	if err != nil {
		return err
	}
	typed, err := a.terminal.Ask(ctx, "Code of "+who.name, "")
	if err != nil {
		return err
	}
	try := otpstore.Try{User: who.name, UID: who.uid, Typed: typed, Unlimited: true}
	var unanswered error
	if r.Authenticator == nil && r.Remotes[c.AppID] != nil {
		server, _, asking, done, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer done()
		try.App, try.Ask = c.AppID, func(id, code string) otpstore.Result {
			right, err := server.ValidateTOTP(asking, id, code)
			switch unanswered = err; {
			case err != nil:
				return otpstore.Failed
			case right:
				return otpstore.RightCode
			}
			return otpstore.Wrong
		}
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	used, err := store.Use(ctx, try)
	if err = errors.Join(err, unanswered); err != nil {
		return err
	}
	return a.tellVerified(who.name, used)
}

// tellVerified says what a login would have made of a code.
func (a *app) tellVerified(user string, used otpstore.Used) error {
	switch used.Result {
	case otpstore.RightRecovery:
		return a.Report(map[string]any{"user": user, "right": true, "recovery_codes": used.Left}, "right; %d recovery codes are left", used.Left)
	case otpstore.RightCode:
		return a.Report(map[string]any{"user": user, "right": true}, "right")
	case otpstore.Replayed:
		return cli.WithHint(cli.ExitError, errors.New("the code was right, and was used before"), "wait for the next code")
	case otpstore.Expired:
		return cli.WithHint(cli.ExitError, fmt.Errorf("the authenticator of %s has expired", user), "enrol it again with latch otp enroll --replace")
	}
	return cli.WithHint(cli.ExitError, errors.New("the code is wrong"), "compare the clocks of the phone and of this machine; for a token that counts see latch otp resync")
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
		typed = append(typed, otp.Typed(code))
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

func newOTPRemove(a *app) *cobra.Command {
	var local, yes bool
	c := &cobra.Command{
		Use: "remove", Aliases: []string{"rm"}, Short: "end a user's authenticator and recovery codes", Args: cobra.NoArgs,
		Long: `remove forgets everything that a user's codes are checked with, a bypass and the count of wrong codes
included, and removes the authenticator that the server checks. Where a code is required, the user is
refused from then on: remove asks first. If the server does not answer, nothing changes; --local forgets
it here alone.
` + cli.ExitHelp,
		Example: "  sudo latch otp remove --user ana",
		RunE:    func(c *cobra.Command, _ []string) error { return a.removeCodes(c.Context(), local, yes) },
	}
	c.Flags().BoolVar(&local, "local", false, "do not tell the server")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask about a user who would be refused")
	return c
}

func (a *app) removeCodes(ctx context.Context, local, yes bool) error {
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
	}
	refusals, failed := a.enrolmentRefusals(c, who.name)
	if failed == nil {
		failed = a.confirmRefusals(ctx, refusals, "Remove them?", yes)
	}
	if failed != nil {
		return failed
	}
	if err == nil && !local && r.Remotes[c.AppID] != nil {
		server, _, _, done, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer done()
		if err := a.forgetTOTP(ctx, server, r.Remotes[c.AppID].ID); client.KindOf(err) == client.KindNoAnswer {
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
	a.audit("removed the one-time passwords of %s", who.name)
	return a.Report(map[string]any{"user": who.name, "enrolled": false}, "%s has no one-time passwords any more", who.name)
}
