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

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// setupTimeout bounds each question of setup to the server.
const setupTimeout = 20 * time.Second

// clockLimit is how far the clocks may be apart before setup says what to do; servers refuse beyond a few minutes.
const clockLimit = 30 * time.Second

type setupOptions struct {
	appID, secretFile, caFile, caSHA256, action string
	yes                                         bool
}

func newSetup(a *app) *cobra.Command {
	var o setupOptions
	c := &cobra.Command{
		Use:   "setup [URL]",
		Short: "connect this machine to a Latch server",
		Long: `setup is the first command after installation, and may be run again. It asks for the server
(without a URL: the one that the configuration names, else Telefonica's cloud) and for the
application's id and secret on the terminal, checks the server's certificate, this machine's
clock and the credentials, and only then writes the configuration; other keys and comments
stay. Then it offers to pair.

A server with a private CA: setup shows the CA's SHA-256 and asks; compare it with the server's
own (openssl x509 -in ca.pem -noout -fingerprint -sha256). The CA is stored beside the
configuration. In scripts name the CA with --ca-file, or its digest with --ca-sha256.

It also asks what happens when the server does not answer, and writes the answer as action, so
that the decision is on record: latch doctor warns while there is none. In scripts say --action;
with --yes and no other option it changes nothing else.

The secret is never an argument: --secret-file reads it from a file, - from standard input.
` + cli.ExitHelp,
		Example: "  sudo latch setup\n  sudo latch setup https://latch.example.org --app-id ID --secret-file /root/secret --ca-sha256 HEX --action close --yes\n  sudo latch setup --action last --yes",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			address := ""
			if len(args) == 1 {
				address = args[0]
			}
			return a.setup(c.Context(), address, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.appID, "app-id", "", "the application's `id`")
	f.StringVar(&o.secretFile, "secret-file", "", "read the application's secret from `FILE`")
	f.StringVar(&o.caFile, "ca-file", "", "trust the CAs in `FILE` and no others")
	f.StringVar(&o.caSHA256, "ca-sha256", "", "trust the server's CA if it has this SHA-256 `HEX`")
	f.StringVar(&o.action, "action", "", "what happens when the server does not answer: `policy` open, close, last or otp")
	f.BoolVarP(&o.yes, "yes", "y", false, "keep server and action, change the application of paired users, and do not offer to pair, without asking")
	return c
}

// plan is a configuration in the making.
type plan struct {
	path  string
	text  []byte            // as it stands
	old   *config.Config    // what it says, nil where it is not complete
	set   map[string]string // what is to change
	ca    []byte            // PEM to store beside it, nil for none
	links bool              // the server pairs by link
	skew  time.Duration     // by how much the server's clock is ahead
}

func (a *app) setup(ctx context.Context, address string, o setupOptions) error {
	if err := checkAction(o.action); err != nil {
		return err
	}
	p, err := a.newPlan(ctx, address, o)
	if err != nil {
		return err
	}
	if err := a.confirmChange(ctx, p, o); err != nil {
		return err
	}
	c, err := config.Parse(p.path, p.draft())
	if err != nil {
		return err
	}
	p.set["latch_host"] = c.Host.String()
	if err := a.chooseAuthority(ctx, p, c, o); err != nil {
		return err
	}
	if err := a.tryOut(ctx, p); err != nil {
		return fmt.Errorf("nothing was written: %w", err)
	}
	if err := a.chooseAction(ctx, p, o); err != nil {
		return err
	}
	if err := a.write(ctx, p); err != nil {
		return err
	}
	if err := a.reportSetup(p, c); err != nil {
		return err
	}
	return a.offerPairing(ctx, p, o)
}

// reportSetup prints what was written on top of the configuration c.
func (a *app) reportSetup(p *plan, c *config.Config) error {
	fields := map[string]any{"config": p.path, "server": p.set["latch_host"], "action": cmp.Or(p.set["action"], c.Action.String()),
		"clock_offset_seconds": int(p.skew.Seconds())}
	if p.ca != nil {
		fields["ca_file"] = p.set["ca_file"]
	}
	return a.Report(fields, "%s is written", p.path)
}

// newPlan gathers what the flags or the person say, on top of the configuration that is there.
func (a *app) newPlan(ctx context.Context, address string, o setupOptions) (*plan, error) {
	path, _, err := a.files()
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	p := &plan{path: path, set: map[string]string{}}
	if p.text, err = readConfig(path); err != nil {
		return nil, err
	}
	p.old, err = config.Parse(path, p.text)
	if err := tolerable(p.old, err); err != nil {
		a.Say("%v", err)
	}
	if address == "" && o.onlyAction(p.old) {
		p.set["latch_host"], p.set["app_id"], p.set["secret_key"] = p.old.Host.String(), p.old.AppID, p.old.SecretKey.Reveal()
		return p, nil
	}
	if address == "" {
		if address, err = a.askServer(ctx, p.old, o); err != nil {
			return nil, err
		}
	}
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	p.set["latch_host"] = address
	p.set["app_id"], p.set["secret_key"], err = a.credentials(ctx, p.old, o)
	return p, err
}

// onlyAction reports whether a script changes nothing but action of a configuration that is complete.
func (o setupOptions) onlyAction(old *config.Config) bool {
	return old != nil && o.yes && o.action != "" && o.appID == "" && o.secretFile == "" && o.caFile == "" && o.caSHA256 == ""
}

// draft is the configuration as it will be.
func (p *plan) draft() []byte {
	text, err := config.SetKeys(p.text, p.set)
	if err != nil {
		return nil // Parse then says that there is no app_id; the values were on one line each
	}
	return text
}

// checkAddress says what is wrong with a server's address, before anything else is asked.
func checkAddress(address string) error {
	err := tolerable(config.Parse("", []byte("latch_host = "+address)))
	var wrong *config.LineError
	if errors.As(err, &wrong) {
		return cli.WithHint(cli.ExitUsage, errors.New(wrong.Problem), "as in latch setup https://latch.example.org")
	}
	return err
}

func (a *app) askServer(ctx context.Context, old *config.Config, o setupOptions) (string, error) {
	host := config.DefaultHost
	if old != nil {
		host = old.Host.String()
	}
	if o.yes || (o.appID != "" && o.secretFile != "") {
		return host, nil
	}
	answer, err := a.terminal.Ask(ctx, "Latch server", host)
	return answer, needs(err, "name the server, as in latch setup "+host)
}

// credentials come from the flags or from the terminal. An empty answer keeps what is there.
func (a *app) credentials(ctx context.Context, old *config.Config, o setupOptions) (id, secret string, err error) {
	present := ""
	if old != nil {
		present = old.AppID
	}
	if id = o.appID; id == "" {
		if id, err = a.terminal.Ask(ctx, "Application id", present); err != nil {
			return "", "", needs(err, "name it with --app-id")
		}
	}
	if !api.ValidAppID(id) {
		return "", "", cli.Usage("an application id has %d letters and digits, this has %d characters", api.AppIDLength, len(id))
	}
	if o.secretFile == "" {
		secret, err = a.terminal.AskSecret(ctx, "Secret")
		err = needs(err, "name a file with --secret-file")
	} else {
		var data []byte
		data, err = a.readInput(o.secretFile)
		secret = strings.TrimSpace(string(data))
	}
	if err == nil && secret == "" && o.secretFile == "" && id == present {
		secret = old.SecretKey.Reveal()
	}
	if err == nil && !api.ValidSecret(secret) {
		err = cli.Usage("a secret has %d printable characters, this has %d", api.SecretLength, len(secret))
	}
	return id, secret, err
}

// needs turns "nobody to ask" into a usage error that says what to do without a terminal.
func needs(err error, instead string) error {
	if errors.Is(err, cli.ErrNoTerminal) {
		return cli.WithHint(cli.ExitUsage, err, instead)
	}
	return err
}

// confirmChange asks before paired users get an application that does not know them.
func (a *app) confirmChange(ctx context.Context, p *plan, o setupOptions) error {
	now, err := config.Parse(p.path, p.draft())
	if err != nil {
		return err
	}
	refusals, err := a.configRefusals(p.old, now)
	if err != nil {
		return err
	}
	return a.confirmRefusals(ctx, refusals, "Change the application?", o.yes)
}

// tryOut asks for the status of an account that cannot be: "not paired" shows that address, certificate, clock and
// credentials are right, and nothing changes by it.
func (a *app) tryOut(ctx context.Context, p *plan) error {
	c, err := config.Parse(p.path, p.draft())
	if err != nil {
		return err
	}
	if p.ca != nil {
		// Beside the configuration, since a CA is trusted only below directories that are.
		dir, err := os.MkdirTemp(filepath.Dir(p.path), ".setup-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c.CAFile = filepath.Join(dir, "ca.pem")
		if err := securefile.Write(c.CAFile, p.ca, caMode); err != nil {
			return err
		}
	}
	p.links, p.skew, err = a.meetServer(ctx, c)
	return err
}

// write puts the CA and the configuration in their places.
func (a *app) write(ctx context.Context, p *plan) error {
	err := a.changeConfig(context.WithoutCancel(ctx), p.path, func(now []byte) ([]byte, error) {
		if string(now) != string(p.text) {
			return nil, fmt.Errorf("%s was changed by somebody else meanwhile; nothing was written", p.path)
		}
		if p.ca == nil {
			return p.draft(), nil
		}
		return p.draft(), storeAuthority(p.set["ca_file"], p.ca, p.old)
	})
	if err == nil && p.ca != nil {
		err = securefile.Write(p.set["ca_file"], p.ca, caMode)
	}
	return err
}

// offerPairing takes a code, or the word link where the server pairs by one.
func (a *app) offerPairing(ctx context.Context, p *plan, o setupOptions) error {
	if o.yes || a.JSON {
		return nil
	}
	const word = "link"
	question, later := "Pairing code from the phone (empty to pair later)", "latch pair CODE"
	if p.links {
		question, later = `Pairing code from the phone ("link" shows a link and a QR code instead; empty to pair later)`, "latch pair"
	}
	code, err := a.terminal.Ask(ctx, question, "")
	if err != nil || code == "" {
		a.Hint("pair with: %s", later)
		return nil
	}
	if p.links && strings.EqualFold(code, word) {
		code = ""
	} else if !api.ValidCode(code) {
		return errBadCode
	}
	if _, err := a.whoToPair(); cli.StatusOf(err) == cli.ExitUsage {
		if a.user, err = a.terminal.Ask(ctx, "Local user", ""); err != nil {
			return err
		}
	}
	return a.pair(ctx, code, pairOptions{})
}
