package main

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// Modes of what this program writes. The configuration holds a secret.
const (
	configMode    = 0o600
	directoryMode = 0o755
)

func newConfig(a *app) *cobra.Command {
	return group("config", "check and edit the configuration", newConfigCheck(a), newConfigEdit(a))
}

func newConfigCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "read the configuration as a login would", Args: cobra.MaximumNArgs(1),
		Long: `check reads a configuration file, and the ca_file that it names, as a login would and says what is
wrong, with the line and the remedy. A file that others can read is wrong too: it holds the
application's secret.
` + cli.ExitHelp,
		Example: "  sudo latch config check",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.config = args[0]
			}
			return a.checkConfig()
		},
	}
}

func (a *app) checkConfig() error {
	path, _, err := a.files()
	if err != nil {
		return err
	}
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	if err := securefile.CheckPrivate(path); err != nil {
		return err
	}
	if c.CAFile != "" {
		data, err := securefile.Read(c.CAFile, inputLimit)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
			err = fmt.Errorf("%s holds no certificate", c.CAFile)
		}
		if err != nil {
			return fmt.Errorf("ca_file: %w", err)
		}
	}
	return a.Report(map[string]any{"config": path, "valid": true}, "%s: ok", path)
}

func newConfigEdit(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "edit", Short: "edit the configuration safely", Args: cobra.NoArgs,
		Long: `edit opens a copy of the configuration in an editor ($SUDO_EDITOR, $VISUAL, $EDITOR, or else editor,
nano, vi) and puts it in place when a login could read it. A copy with a mistake never reaches
the logins: edit it again, keep it aside, or give it up. A change after which people would be refused
has to be confirmed.
` + cli.ExitHelp,
		Example: "  sudo latch config edit",
		// The editor takes its interrupts itself.
		RunE: func(c *cobra.Command, _ []string) error { return a.editConfig(context.WithoutCancel(c.Context()), yes) },
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask about people who would be refused")
	return c
}
