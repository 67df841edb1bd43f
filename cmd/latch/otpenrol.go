package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/account"
	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/latch"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/otpstore"
)

// enrolTries is how often a first code may be mistyped.
const enrolTries = 3

type enrolOptions struct {
	parameters               otp.Parameters
	hotp, server, replace    bool
	algorithm, importFrom    string
	window, windowOfCounting int
}

func newOTPEnrol(a *app) *cobra.Command {
	o := enrolOptions{parameters: otp.Standard(), window: 1, windowOfCounting: 10}
	c := &cobra.Command{
		Use: "enrol", Aliases: []string{"enroll"}, Short: "give a user an authenticator", Args: cobra.NoArgs,
		Long: `enrol makes a seed for an authenticator app, shows it on the terminal as a QR code and as a link, and
asks for the code that the app shows: what is not proven is not stored. A user without recovery codes
gets ten, shown once. The seed is stored sealed, and shown never again.

With --server the Latch server makes the seed and checks the codes, for otp = server-totp.
--import takes over what a user has in a file of google-authenticator's PAM module, emergency codes
included; remove that file and the module's PAM line afterwards.

Codes are asked of users who are paired: see otp and action in latch.conf(5).
` + cli.ExitHelp,
		Example: "  sudo latch otp enrol --user ana\n  sudo latch otp enrol --user ana --import ~ana/.google_authenticator\n  sudo latch otp enrol --user ana --server",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.complete(c.Flags().Changed("digits") || c.Flags().Changed("algorithm")); err != nil {
				return err
			}
			return a.enrol(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.hotp, "hotp", false, "codes that count (RFC 4226), instead of codes by the time")
	f.IntVar(&o.parameters.Digits, "digits", o.parameters.Digits, "length of a code, 6 or 8; not every app can 8")
	f.StringVar(&o.algorithm, "algorithm", string(o.parameters.Algorithm), "SHA1, SHA256 or SHA512; not every app can more than SHA1")
	f.BoolVar(&o.server, "server", false, "the Latch server makes the seed and checks the codes")
	f.StringVar(&o.importFrom, "import", "", "take over this `FILE` of google-authenticator's")
	f.BoolVar(&o.replace, "replace", false, "in place of the authenticator that the user has")
	return c
}

// complete judges the flags. chosen tells that parameters of the code are among them.
func (o *enrolOptions) complete(chosen bool) error {
	if o.server && o.importFrom != "" || (o.server || o.importFrom != "") && (o.hotp || chosen) {
		return cli.Usage("--server and --import leave nothing to choose: take one of them, without --hotp, --digits and --algorithm")
	}
	o.parameters.Algorithm = otp.Algorithm(strings.ToUpper(o.algorithm))
	if o.hotp {
		o.parameters.Kind, o.parameters.Period, o.window = otp.HOTP, 0, o.windowOfCounting
	}
	if err := o.parameters.Check(); err != nil {
		return cli.WithHint(cli.ExitUsage, err, "")
	}
	return nil
}

func (a *app) enrol(ctx context.Context, o enrolOptions) error {
	store, c, who, err := a.codesOf(a.whoToPair)
	if err != nil {
		return err
	}
	r, err := enrollable(store, c.AppID, who, o)
	if err != nil {
		return err
	}
	if created, err := store.CreateKey(ctx); err != nil {
		return err
	} else if created {
		a.Say("%s is the key of the one-time passwords; keep it in the backup, apart from %s", store.KeyFile, store.Dir)
	}
	kind := string(o.parameters.Kind)
	switch {
	case o.importFrom != "":
		kind, err = a.importGoogle(ctx, store, who, o.importFrom)
	case o.server:
		kind, err = "server-totp", a.enrolAtServer(ctx, store, c, who, r)
	default:
		err = a.enrolHere(ctx, store, who, o)
	}
	if err != nil {
		return err
	}
	if _, _, err := a.anyPairing(); errors.Is(err, account.ErrNotPaired) {
		a.Say("%s is not paired, and nobody but the paired is asked for a code; see latch pair", who.name)
	}
	if err := a.moreRecovery(ctx, store, who); err != nil {
		return err
	}
	return a.Report(map[string]any{"user": who.name, "enrolled": true, "kind": kind}, "%s is enrolled", who.name)
}

// enrollable returns the record that the user has, an empty one for none. An authenticator is ended only where that was asked for.
func enrollable(store otpstore.Store, app string, who person, o enrolOptions) (*otpstore.Record, error) {
	r, err := store.Load(who.name)
	if errors.Is(err, otpstore.ErrNotEnrolled) {
		return &otpstore.Record{UID: -1}, nil
	}
	if err != nil {
		return nil, err
	}
	had := r.Authenticator != nil && !o.server || r.Remotes[app] != nil && o.server
	if had && !o.replace && !r.OthersThan(who.uid) {
		return nil, cli.WithHint(cli.ExitError, fmt.Errorf("%s has an authenticator", who.name), "to end it and begin with a new one, say --replace")
	}
	return r, nil
}

// moreRecovery gives recovery codes to who has none. Without a terminal that is left for later.
func (a *app) moreRecovery(ctx context.Context, store otpstore.Store, who person) error {
	r, err := store.Load(who.name)
	if err != nil || r.RecoveryLeft() > 0 {
		return err
	}
	if err := a.giveRecovery(ctx, store, who); !errors.Is(err, cli.ErrNoTerminal) {
		return err
	}
	a.Say("there is no terminal to show recovery codes on; see latch otp recovery")
	return nil
}

// enrolHere shows a new seed and stores it once a code of it was typed.
func (a *app) enrolHere(ctx context.Context, store otpstore.Store, who person, o enrolOptions) error {
	p := o.parameters
	secret := p.NewSecret()
	if err := a.showSeed(p.URI(secret, "Latch "+hostname(), who.name, 0)); err != nil {
		return err
	}
	next, found := int64(0), otp.Wrong
	if err := a.proveCode(ctx, func(code string) (bool, error) {
		next, found = p.Find(secret, code, a.now(), 0, o.window)
		return found == otp.Right, nil
	}); err != nil {
		return err
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	return store.Enrol(ctx, who.name, who.uid, otpstore.Authenticator{Parameters: p, Secret: secret, Window: o.window, Next: next + 1,
		Enrolled: a.now().Unix()})
}

// showSeed puts a link on the terminal, as a QR code and as text.
func (a *app) showSeed(uri string) error {
	qr, err := otp.QRText(uri)
	if err != nil {
		return err
	}
	return a.terminal.Show(qr + "\n" + cli.Clean(uri) + "\n\nScan it with the authenticator app, or type the secret of the link.\n")
}

// proveCode asks for the app's first code until right says so.
func (a *app) proveCode(ctx context.Context, right func(code string) (bool, error)) error {
	for range enrolTries {
		code, err := a.terminal.Ask(ctx, "Code that the app shows", "")
		if err != nil {
			return err
		}
		if ok, err := right(strings.ReplaceAll(code, " ", "")); err != nil || ok {
			return err
		}
		if err := a.terminal.Show("That is not its code.\n"); err != nil {
			return err
		}
	}
	return cli.WithHint(cli.ExitError, errors.New("no code was right, so nothing was stored"), "compare the clocks of the phone and of this machine (timedatectl)")
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "host"
	}
	return name
}

// enrolAtServer has the server make a TOTP. What no code has proven is removed there again.
func (a *app) enrolAtServer(ctx context.Context, store otpstore.Store, c *config.Config, who person, before *otpstore.Record) error {
	if err := a.terminal.Show(""); err != nil {
		return err
	}
	client, _, asking, done, err := a.connect(ctx)
	if err != nil {
		return err
	}
	made, err := client.CreateTOTP(asking, who.name+"@"+hostname(), who.name)
	done()
	if err != nil {
		return err
	}
	if err := a.proveAtServer(ctx, store, c, client, who, made); err != nil {
		return errors.Join(err, a.forgetTOTP(ctx, client, made.TOTPID))
	}
	if old := before.Remotes[c.AppID]; old != nil {
		return a.forgetTOTP(ctx, client, old.ID)
	}
	return nil
}

func (a *app) proveAtServer(ctx context.Context, store otpstore.Store, c *config.Config, client *latch.Client, who person, made api.TOTP) error {
	show := func() error { return a.showSeed(made.URI) }
	if made.URI == "" {
		show = func() error {
			return a.terminal.Show("Open this in a browser and scan it:\n" + cli.Clean(made.QR) + "\n")
		}
	}
	if err := show(); err != nil {
		return err
	}
	right := ""
	if err := a.proveCode(ctx, func(code string) (bool, error) {
		asking, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		right = code
		return client.ValidateTOTP(asking, made.TOTPID, code)
	}); err != nil {
		return err
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	return store.EnrolRemote(ctx, who.name, who.uid, c.AppID, made.TOTPID, right)
}

// forgetTOTP removes a TOTP at the server, also after an interrupt. One that is gone already is fine.
func (a *app) forgetTOTP(ctx context.Context, client *latch.Client, id string) error {
	ctx, cancel := storing(ctx)
	defer cancel()
	err := client.DeleteTOTP(ctx, id)
	var e *latch.Error
	if errors.As(err, &e) && e.Code == api.ErrCodeNoTOTP {
		return nil
	}
	return err
}

// importGoogle takes over a file that belongs to a user: no link is followed, and no error repeats what it holds.
func (a *app) importGoogle(ctx context.Context, store otpstore.Store, who person, file string) (kind string, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	const limit = 64 << 10
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	var g otp.Google
	if err == nil {
		g, err = otp.ParseGoogle(data)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	for _, dropped := range g.Dropped {
		a.Say("%s", dropped)
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	err = store.Enrol(ctx, who.name, who.uid, otpstore.Authenticator{Parameters: g.Parameters, Secret: g.Secret, Window: min(g.Window, otp.MaxWindow),
		Next: g.Next, Enrolled: a.now().Unix()})
	if err == nil && len(g.Scratch) > 0 {
		err = store.SetRecovery(ctx, who.name, who.uid, g.Scratch)
	}
	return string(g.Kind), err
}
