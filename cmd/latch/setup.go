package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/latch"
	"github.com/latch-linux/latch/pkg/securefile"
)

// setupTimeout bounds each question of setup to the server.
const setupTimeout = 20 * time.Second

// clockLimit is how far the clocks may be apart before setup says so; servers refuse beyond a few minutes.
const clockLimit = 30 * time.Second

type setupOptions struct {
	appID, secretFile, caFile, caSHA256 string
	yes                                 bool
}

func newSetup(a *app) *cobra.Command {
	var o setupOptions
	c := &cobra.Command{
		Use:   "setup [URL]",
		Short: "connect this machine to a Latch server",
		Long: `setup is the first command after installation. It asks for the application's id and secret on the
terminal, checks the server's certificate, this machine's clock and the credentials, and then
writes the configuration. Without a URL the server is Telefonica's cloud.

A server with a private CA: setup shows the CA's SHA-256 and asks; compare it with the server's
own (openssl x509 -in ca.pem -noout -fingerprint -sha256). The CA is stored beside the
configuration. In scripts name the CA with --ca-file, or its digest with --ca-sha256.

The secret is never an argument: --secret-file reads it from a file.
` + cli.ExitHelp,
		Example: "  sudo latch setup\n  sudo latch setup https://latch.example.org --app-id ID --secret-file /root/secret --ca-sha256 HEX",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			address := config.DefaultHost
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
	f.BoolVar(&o.yes, "yes", false, "replace the server of an existing configuration without asking, and do not offer to pair")
	return c
}

func (a *app) setup(ctx context.Context, address string, o setupOptions) error {
	path, _, err := a.files()
	if err != nil {
		return err
	}
	set := map[string]string{"latch_host": address}
	if set["app_id"], set["secret_key"], err = a.credentials(o); err != nil {
		return err
	}
	draft, err := config.SetKeys(nil, set)
	if err != nil {
		return err
	}
	c, err := config.Parse("the new configuration", draft)
	if err != nil {
		return err
	}
	set["latch_host"] = c.Host.String()
	ca, err := a.authority(ctx, c.Host, filepath.Dir(path), o)
	if err != nil {
		return err
	}
	if ca != "" {
		set["ca_file"] = ca
	}
	if err := a.tryOut(ctx, set); err != nil {
		return err
	}
	if err := a.changeConfig(ctx, path, func(now []byte) ([]byte, error) { return config.SetKeys(now, set) }); err != nil {
		return err
	}
	if err := a.Report(map[string]any{"config": path, "server": set["latch_host"], "changed": true}, "%s is written", path); err != nil {
		return err
	}
	return a.offerPairing(ctx, o)
}

// credentials come from the flags or from the terminal.
func (a *app) credentials(o setupOptions) (id, secret string, err error) {
	if id = o.appID; id == "" {
		if id, err = a.terminal.Ask("Application id", ""); err != nil {
			return "", "", cli.WithHint(cli.ExitUsage, err, "name it with --app-id")
		}
	}
	if o.secretFile == "" {
		if secret, err = a.terminal.AskSecret("Secret"); err != nil {
			return "", "", cli.WithHint(cli.ExitUsage, err, "name a file with --secret-file")
		}
		return id, secret, nil
	}
	data, err := a.readInput(o.secretFile)
	return id, strings.TrimSpace(string(data)), err
}

// authority returns the file of the CA to trust, "" for the system's.
func (a *app) authority(ctx context.Context, host *url.URL, dir string, o setupOptions) (string, error) {
	if o.caFile != "" {
		data, err := a.readInput(o.caFile)
		if err != nil {
			return "", err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(data) {
			return "", fmt.Errorf("%s holds no certificate", o.caFile)
		}
		return a.storeAuthority(dir, data)
	}
	port := host.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	top, trusted, err := latch.FetchAuthority(ctx, host.Hostname(), port)
	if err != nil {
		return "", err
	}
	if trusted && o.caSHA256 == "" {
		a.Say("the server's certificate is vouched for by a CA that this machine trusts")
		return "", nil
	}
	if !top.IsCA {
		return "", cli.WithHint(cli.ExitError, errors.New("the server's certificate is not trusted, and it does not show its CA"),
			"copy the CA's certificate from the server and name it with --ca-file")
	}
	if err := a.confirmAuthority(top, o.caSHA256); err != nil {
		return "", err
	}
	return a.storeAuthority(dir, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: top.Raw}))
}

func (a *app) confirmAuthority(top *x509.Certificate, want string) error {
	sum := sha256.Sum256(top.Raw)
	digest := hex.EncodeToString(sum[:])
	if want != "" {
		if !strings.EqualFold(strings.ReplaceAll(want, ":", ""), digest) {
			return fmt.Errorf("the server's CA has SHA-256 %s, not the one that was named", digest)
		}
		return nil
	}
	a.Say("the server's CA is not one that this machine knows:\n  subject  %s\n  valid    until %s\n  SHA-256  %s",
		top.Subject, top.NotAfter.Format(time.DateOnly), colons(digest))
	yes, err := a.terminal.Confirm("Is this the CA of your server?")
	if err != nil {
		return cli.WithHint(cli.ExitUsage, err, "name the digest with --ca-sha256, or the file with --ca-file")
	}
	if !yes {
		return errors.New("the CA was not confirmed; nothing was written")
	}
	return nil
}

// colons writes a digest as openssl does.
func colons(digest string) string {
	var pairs []string
	for i := 0; i < len(digest); i += 2 {
		pairs = append(pairs, strings.ToUpper(digest[i:i+2]))
	}
	return strings.Join(pairs, ":")
}

func (a *app) storeAuthority(dir string, data []byte) (string, error) {
	if err := os.MkdirAll(dir, directoryMode); err != nil {
		return "", err
	}
	file, err := filepath.Abs(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return "", err
	}
	return file, securefile.Write(file, data, 0o644)
}

// tryOut asks the server for the application's operations: it checks certificate, clock and credentials and
// changes nothing.
func (a *app) tryOut(ctx context.Context, set map[string]string) error {
	data, err := config.SetKeys(nil, set)
	if err != nil {
		return err
	}
	client, _, err := clientOf("the new configuration", data)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if _, err := client.Operations(ctx, ""); err != nil {
		return fmt.Errorf("nothing was written: %w", err)
	}
	a.Say("the server knows the application")
	if skew := client.Skew(); skew.Abs() > clockLimit {
		a.Say("this machine's clock is off by %v; set it (timedatectl set-ntp true)", -skew.Round(time.Second))
	}
	return nil
}

func (a *app) offerPairing(ctx context.Context, o setupOptions) error {
	if o.yes || a.JSON {
		return nil
	}
	code, err := a.terminal.Ask("Pairing code from the phone (empty to pair later)", "")
	if err != nil || !api.ValidCode(code) {
		a.Say("pair with: latch pair CODE")
		return nil
	}
	return a.pair(ctx, code)
}
