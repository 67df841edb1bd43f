package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// enrolTries is how often a first code may be mistyped.
const enrolTries = 3

type enrollOptions struct {
	parameters      otp.Parameters
	kind, algorithm string
	issuer, label   string
	window          int
	lifetime        string
	lasts           int64 // as otpstore.Authenticator has it
	picture         string
	token           tokenOptions
	server, replace bool
}

func newOTPEnroll(a *app) *cobra.Command {
	standard := otp.Standard()
	o := enrollOptions{parameters: standard}
	c := &cobra.Command{
		Use: "enroll", Aliases: []string{"enrol"}, Short: "give a user an authenticator", Args: cobra.NoArgs,
		Long: `enroll makes a seed for an authenticator app, shows it on the terminal as a QR code, as a link and as a
secret to type, and asks for the code that the app shows: what is not proven is not stored. A user without
recovery codes gets ten, shown once. The seed is stored sealed, and shown never again.

It is root's to do, for the user that --user names, else for who called sudo: people can enrol themselves
where sudo lets them run "latch otp enroll". Who has an authenticator needs --replace.

Without flags every app can show the codes: six digits, each good for 30 seconds, SHA1. Whatever else is
chosen, some apps ignore; which ones is said before the first code is asked for.

With --server the Latch server makes the seed and checks the codes, for otp = server-totp. Authenticators of
other programs are taken over by latch otp import. When a code is asked for is latch.conf's to say: otp,
otp_required, action and on_error.

--seed-file enrols a hardware token: FILE (- for standard input) has its seed in hexadecimal or Base32, or is
the list that the vendor ships, with a line "serial,seed" for each token or with column names (serial number,
secret key, time interval), from which --serial chooses. --type, --digits, --algorithm and --period say what
the token shows; it proves itself by a code, one that counts by two in a row. The seed is not shown.
` + cli.ExitHelp,
		Example: "  sudo latch otp enroll --user ana\n  sudo latch otp enroll --user ana --png /root/ana.png --lifetime 90d\n  sudo latch otp enroll --user ana --server\n  sudo latch otp enroll --user ana --seed-file tokens.csv --serial 2308001 --digits 8",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.complete(c.Flags().Changed); err != nil {
				return err
			}
			return a.enroll(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.kind, "type", string(standard.Kind), "totp, codes by the time (RFC 6238), or hotp, codes that count (RFC 4226)")
	f.StringVar(&o.issuer, "issuer", "", "`text` that the app shows above a code (default: otp_issuer of latch.conf)")
	f.StringVar(&o.label, "label", "", "`text` that the app shows below it (default: the user's name)")
	f.IntVar(&o.parameters.Digits, "digits", standard.Digits, "length of a code, 6 or 8")
	f.IntVar(&o.parameters.Period, "period", standard.Period, "seconds that a code by the time is good for, 1 to 300")
	f.StringVar(&o.algorithm, "algorithm", string(standard.Algorithm), "SHA1, SHA256 or SHA512")
	f.IntVar(&o.window, "window", otpstore.UsualWindow, "steps that a clock may go wrong either way, or codes that a counter may be ahead (default: otp_window of latch.conf; of a counter, 10)")
	f.StringVar(&o.lifetime, "lifetime", "", "how long it is good for, a `duration` such as 90d, 36h, or 0 for ever (default: otp_lifetime of latch.conf)")
	f.StringVar(&o.picture, "png", "", "write the QR code to this new `FILE` as well, for root alone")
	f.BoolVar(&o.server, "server", false, "the Latch server makes the seed and checks the codes")
	f.BoolVar(&o.replace, "replace", false, "in place of the authenticator that the user has")
	f.Lookup("window").DefValue = "0" // which pflag does not show: the default is told above
	o.token.add(c)
	return c
}

// complete judges the flags. changed reports whether a flag was given.
func (o *enrollOptions) complete(changed func(name string) bool) error {
	if err := o.token.complete(changed); err != nil {
		return err
	}
	if o.server {
		for _, name := range []string{"type", "issuer", "digits", "period", "algorithm", "window", "lifetime"} {
			if changed(name) {
				return cli.Usage("with --server the Latch server chooses: leave --%s out", name)
			}
		}
	}
	o.parameters.Kind, o.parameters.Algorithm = otp.Kind(strings.ToLower(o.kind)), otp.Algorithm(strings.ToUpper(o.algorithm))
	if o.parameters.Kind == otp.HOTP {
		if changed("period") {
			return cli.Usage("codes that count have no --period")
		}
		o.parameters.Period = 0
	}
	if err := errors.Join(o.parameters.Check(), config.CheckIssuer(o.issuer), config.CheckIssuer(o.label)); err != nil {
		return cli.WithHint(cli.ExitUsage, err, "")
	}
	if changed("window") && (o.window < 0 || o.window > otp.MaxWindow) {
		return cli.Usage("a window has 0 to %d steps", otp.MaxWindow)
	}
	if o.lifetime != "" {
		lasts, err := config.ParseLifetime(o.lifetime)
		if err != nil {
			return cli.WithHint(cli.ExitUsage, err, "")
		}
		if o.lasts = int64(lasts / time.Second); lasts == 0 {
			o.lasts = otpstore.ForEver
		}
	}
	return nil
}

func (a *app) enroll(ctx context.Context, o enrollOptions) error {
	store, c, who, err := a.codesOf(a.whoToPair)
	if err != nil {
		return err
	}
	r, err := enrollable(store, c.AppID, who, o)
	if err != nil {
		return err
	}
	if err := a.readyKey(ctx, store); err != nil {
		return err
	}
	o.issuer, o.label = cmp.Or(o.issuer, c.OTPIssuer, "Latch "+hostname()), cmp.Or(o.label, who.name)
	kind, mode := string(o.parameters.Kind), "totp"
	what := kind
	switch {
	case o.server:
		kind, mode = "server-totp", "server-totp"
		what = kind
		err = a.enrollAtServer(ctx, store, c, who, o, r)
	case o.token.file != "":
		what, err = a.enrollToken(ctx, store, who, o)
	default:
		err = a.enrollHere(ctx, store, who, o)
	}
	if err != nil {
		return err
	}
	a.audit("enrolled %s (%s)", who.name, what)
	a.sayUnused(c, mode)
	if err := a.moreRecovery(ctx, store, who); err != nil {
		return err
	}
	return a.Report(map[string]any{"user": who.name, "enrolled": true, "kind": kind}, "%s is enrolled", who.name)
}

// sayUnused tells where the configuration asks nobody for codes of a mode.
func (a *app) sayUnused(c *config.Config, mode string) {
	if c.OTP != mode && (mode != "totp" || !c.AsksHere()) {
		a.Say("%s asks nobody for such a code yet: set otp = %s, or have a PAM line say it", c.Path, mode)
	}
}

// enrollable returns the record that the user has, an empty one for none. An authenticator is ended only where that was asked for.
func enrollable(store otpstore.Store, app string, who person, o enrollOptions) (*otpstore.Record, error) {
	r, err := store.Load(who.name)
	if errors.Is(err, otpstore.ErrNotEnrolled) {
		return &otpstore.Record{UID: -1}, nil
	}
	if err != nil {
		return nil, err
	}
	had := r.Authenticator != nil && !o.server || r.Remotes[app] != nil && o.server
	if had && !o.replace && !r.BelongsToOtherUID(who.uid) {
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
	a.Say("there is no terminal to show recovery codes on; see latch recovery new")
	return nil
}

// enrollHere shows a new seed and stores it once a code of it was typed.
func (a *app) enrollHere(ctx context.Context, store otpstore.Store, who person, o enrollOptions) error {
	p := o.parameters
	for _, ignored := range p.Ignored() {
		a.Say("warning: %s", ignored)
	}
	v := otpstore.Authenticator{Parameters: p, Secret: p.NewSecret(), Window: o.window, Lifetime: o.lasts, Enrolled: a.now().Unix()}
	return a.showSeed(who, p.URI(v.Secret, o.issuer, o.label, 0), o.picture, func() error {
		found := otp.Wrong
		if err := a.proveCode(ctx, "Code that the app shows", func(code string) (bool, error) {
			var n int64
			n, found = p.Find(v.Secret, code, a.now(), 0, store.WindowOf(&v))
			v.Next = n + 1
			return found == otp.Right, nil
		}); err != nil {
			return err
		}
		ctx, cancel := storing(ctx)
		defer cancel()
		return store.Enrol(ctx, who.name, who.uid, v)
	})
}

// showSeed puts a link on the terminal, as a QR code and as text, and into a picture if that has a name. The picture goes
// again where prove, which stores what was shown, fails.
func (a *app) showSeed(who person, uri, picture string, prove func() error) error {
	qr, err := otp.QRText(uri)
	if err != nil {
		return err
	}
	byHand := ""
	if l, err := otp.ParseURI(uri); err == nil { // a server may have another form of it
		byHand = fmt.Sprintf(", or type the secret there (%s):\n\n  %s\n", describe(l.Parameters), otp.InFours(l.Secret))
	}
	shown := fmt.Sprintf("For %s:\n\n%s\n%s\n\nScan it with the authenticator app%s\n", cli.Clean(who.name), qr, cli.Clean(uri), byHand)
	data, err := otp.QRPNG(uri)
	if err != nil {
		return err
	}
	return a.withPicture(picture, data, func() error {
		if err := a.terminal.Show(shown); err != nil {
			return err
		}
		return prove()
	})
}

// withPicture writes a file that was not there before, for root alone, if it has a name. Where do fails it goes again, from
// that directory, wherever its path leads by then.
func (a *app) withPicture(path string, data []byte, do func() error) error {
	if path == "" {
		return do()
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	name := filepath.Base(path)
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o600), f.Close()); err == nil {
		err = do()
	}
	if err != nil {
		return errors.Join(err, dir.Remove(name))
	}
	a.Say("%s holds the seed: remove it as soon as the phone has it", path)
	return nil
}

// proveCode asks for a first code until right says so.
func (a *app) proveCode(ctx context.Context, question string, right func(code string) (bool, error)) error {
	for range enrolTries {
		code, err := a.terminal.Ask(ctx, question, "")
		if err != nil {
			return err
		}
		if ok, err := right(otp.Typed(code)); err != nil || ok {
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
