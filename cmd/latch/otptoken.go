package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/otp/otpfile"
)

// tokenOptions are about hardware tokens.
type tokenOptions struct {
	file, serial, encoding string
	period                 bool // --period was given
}

func (o *tokenOptions) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.file, "seed-file", "", "enrol a hardware token, whose seed `FILE` holds")
	f.StringVar(&o.serial, "serial", "", "serial `number` of the token, where the file holds several")
	f.StringVar(&o.encoding, "seed-encoding", string(otpfile.Auto), "how the file writes seeds: `auto`, hex or base32")
}

// complete judges the flags. changed reports whether a flag was given.
func (o *tokenOptions) complete(changed func(name string) bool) error {
	if o.file == "" {
		for _, name := range []string{"serial", "seed-encoding"} {
			if changed(name) {
				return cli.Usage("--%s belongs to --seed-file", name)
			}
		}
		return nil
	}
	for _, name := range []string{"server", "png", "issuer", "label"} {
		if changed(name) {
			return cli.Usage("a hardware token has its seed already: leave --%s out", name)
		}
	}
	if !slices.Contains([]otpfile.Encoding{otpfile.Auto, otpfile.Hex, otpfile.Base32}, otpfile.Encoding(o.encoding)) {
		return cli.Usage("--seed-encoding is auto, hex or base32")
	}
	o.period = changed("period")
	return nil
}

// enrollToken stores the seed of a hardware token once codes of it were typed. It returns what the log shall say.
func (a *app) enrollToken(ctx context.Context, store otpstore.Store, who person, o enrollOptions) (what string, err error) {
	file, err := a.openSeeds(o.token.file)
	if err != nil {
		return "", err
	}
	token, err := pickToken(file.data, o.token)
	if err != nil {
		return "", within(file.name, err)
	}
	p := o.parameters
	if p.Kind == otp.TOTP && token.Period > 0 && !o.token.period {
		p.Period = token.Period
	}
	v := otpstore.Authenticator{Parameters: p, Secret: token.Secret, Window: o.window, Lifetime: o.lasts, Enrolled: a.now().Unix()}
	if v.Next, err = a.proveToken(ctx, store, v); err != nil {
		return "", err
	}
	storing, cancel := storing(ctx)
	defer cancel()
	if err := store.Enrol(storing, who.name, who.uid, v); err != nil {
		return "", err
	}
	a.Say("%s holds seeds: keep it where nobody reads it, or remove it", file.name)
	what = string(p.Kind) + ", hardware token"
	if token.Serial != "" {
		what += " " + token.Serial
	}
	return what, nil
}

// pickToken returns the token with the serial number that was asked for, or the only one.
func pickToken(data []byte, o tokenOptions) (otpfile.Token, error) {
	tokens, err := otpfile.Seeds(data, otpfile.Encoding(o.encoding))
	if err != nil {
		return otpfile.Token{}, err
	}
	if o.serial != "" {
		tokens = slices.DeleteFunc(tokens, func(t otpfile.Token) bool { return !strings.EqualFold(t.Serial, o.serial) })
	}
	switch {
	case len(tokens) == 0:
		return otpfile.Token{}, fmt.Errorf("no token has the serial number %q", o.serial)
	case len(tokens) > 1 && o.serial == "":
		return otpfile.Token{}, cli.WithHint(cli.ExitUsage, fmt.Errorf("it holds %d tokens", len(tokens)), "choose one with --serial NUMBER, as on its back")
	}
	for _, t := range tokens { // of two with one number the second has an error
		if t.Err != nil {
			return t, fmt.Errorf("%s: %w", t.Place, t.Err)
		}
	}
	return tokens[0], nil
}

// proveToken asks for the codes that show that a seed is the token's, and returns the first step or counter that is not used up.
func (a *app) proveToken(ctx context.Context, store otpstore.Store, v otpstore.Authenticator) (next int64, err error) {
	const question = "Code that the token shows"
	if v.Kind == otp.TOTP {
		err = a.proveCode(ctx, question, func(code string) (bool, error) {
			n, found := v.Find(v.Secret, code, a.now(), 0, store.WindowOf(&v))
			next = n + 1
			return found == otp.Right, nil
		})
	} else {
		// One code alone could be found by chance among a thousand counters.
		err = a.proveCode(ctx, question, func(first string) (bool, error) {
			second, err := a.terminal.Ask(ctx, "Its next code", "")
			if err != nil {
				return false, err
			}
			n, found := v.Resync(v.Secret, first, strings.ReplaceAll(second, " ", ""), 0)
			next = n + 1
			return found, nil
		})
	}
	var known *cli.Error
	if errors.As(err, &known) {
		known.Hint = fmt.Sprintf("is this the token's line in the file, and does it show %s (%s)? See --type, --digits, --algorithm, --period and --seed-encoding; "+
			"for a clock that is wrong --window", map[otp.Kind]string{otp.TOTP: "codes by the time", otp.HOTP: "codes that count"}[v.Kind], describe(v.Parameters))
	}
	return next, err
}
