package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/doctor"
)

// Where things are installed; the Makefile sets them.
var (
	authenticator = "/usr/local/libexec/latch/latch-auth"
	moduleDir     = "/usr/lib/security"
)

func newDoctor(a *app) *cobra.Command {
	var drift bool
	c := &cobra.Command{
		Use: "doctor", Short: "examine this machine and say what to do", Args: cobra.NoArgs,
		Long: `doctor examines everything that a login depends on: module, authenticator, log, configuration, server,
clock, certificate, pairings, operations, codes, and every PAM service that has our line, with what
libpam makes of it. Each row names its state, the profile whose files it is about (- for the whole
machine), and where something is wrong, what to do. It changes nothing, and the phone shows nothing.

It examines the configuration and pairings that the services use, OpenVPN's too; --profile, --config
and --accounts name others. A decision that is on record is no warning: action in latch.conf, users in
exempt_users, a key that latch otp key --backed-up confirmed.

--drift only looks for services that were installed and have lost their line, as after an upgrade.

Exit status, as monitoring plugins have it: 0 all is well, 1 something to think about, 2 something is
wrong.
`,
		Example: "  sudo latch doctor\n  sudo latch doctor --drift --json",
		RunE:    func(c *cobra.Command, _ []string) error { return a.doctor(c, drift) },
	}
	c.Flags().BoolVar(&drift, "drift", false, "only look for services that have lost their line")
	return c
}

// healthError ends a command whose findings have been printed, with the exit status of a monitoring plugin.
type healthError struct{ worst doctor.State }

func (e *healthError) Error() string { return e.worst.String() }

// machine is this one. A profile that the flags name, or give files, is the only one that is looked at.
func (a *app) machine(c *cobra.Command) (doctor.Machine, error) {
	conf, accounts, err := a.files()
	if err != nil {
		return doctor.Machine{}, err
	}
	profiles, only := config.Profiles(), ""
	if slices.ContainsFunc([]string{"profile", "config", "accounts"}, c.Flags().Changed) {
		only = a.profile
	}
	for i := range profiles {
		if profiles[i].Name == a.profile {
			profiles[i].Config, profiles[i].Accounts = conf, accounts
		}
	}
	quiet := *a
	quiet.Err = io.Discard // the findings say it
	pam := a.pam
	pam.Lockers, _ = config.ReadLockers(conf) // which the check of the configuration names
	return doctor.Machine{Profiles: profiles, Only: only, PAM: pam, Authenticator: authenticator,
		ModuleDirs: []string{moduleDir, "/usr/lib64/security", "/usr/lib/security", "/lib/security"},
		Now:        a.now, Server: quiet.proveServer, Connect: connectTo, Expiry: expiry, Run: doctor.RunProgram,
		Find: func(name string) (int64, bool, error) {
			p, err := a.find(name)
			if errors.Is(err, errNoSuchUser) {
				return 0, false, nil
			}
			return p.uid, err == nil, err
		}}, nil
}

func (a *app) doctor(c *cobra.Command, driftOnly bool) error {
	if err := a.needRoot(cli.Exit(doctor.Fail)); err != nil {
		return err
	}
	m, err := a.machine(c)
	if err != nil {
		return err
	}
	examine := m.Examine
	if driftOnly {
		examine = m.Drift
	}
	findings := examine(c.Context())
	if err := a.printFindings(findings); err != nil {
		return err
	}
	if worst := doctor.Worst(findings); worst != doctor.OK {
		return &healthError{worst}
	}
	return nil
}

// connectTo makes the client that a configuration describes.
func connectTo(c *config.Config) (doctor.LatchServer, error) { return adapters.NewClient(c, nil) }

// expiry returns when the first certificate ends of those that the server shows.
func expiry(ctx context.Context, c *config.Config) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	chain, err := client.FetchChain(ctx, c.Host.Hostname(), portOf(c))
	if err != nil {
		return time.Time{}, err
	}
	first := chain[0].NotAfter
	for _, cert := range chain {
		if cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
	return first, nil
}

// portOf is the port of the Latch server.
func portOf(c *config.Config) string {
	if port := c.Host.Port(); port != "" {
		return port
	}
	return "443"
}
