package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newInit(p *program) *cobra.Command {
	var address, owner, admin string
	c := &cobra.Command{
		Use:   "init",
		Short: "make the database and its key",
		Long: `init makes the data directory (0700), an empty database and the key that seals its
secrets. Called by root, it gives the directory to the user latch-server, if there is one. With --url
it also makes the first admin, and prints a link and a QR code of it by which they choose a password, once,
within a week; latch-server user reset makes another one.
` + cli.ExitHelp,
		Example: "  latch-server init --url https://latch.example.org",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.init(c.Context(), address, owner, admin)
		},
	}
	c.Flags().StringVar(&address, "url", "", "address that hosts and people use, https://NAME[:PORT]")
	c.Flags().StringVar(&admin, "admin", "admin", "name of the first admin, who is made with --url")
	c.Flags().StringVar(&owner, "owner", "", "user that the server runs as (root only)")
	return c
}

func (p *program) init(ctx context.Context, address, owner, admin string) error {
	if address != "" {
		if err := checkURL(address); err != nil {
			return cli.WithHint(cli.ExitUsage, err, "")
		}
	}
	if err := prepareDir(p.data, owner); err != nil {
		return err
	}
	if err := store.Create(p.data); err != nil {
		return err
	}
	fields, text := map[string]any{"data": p.data}, fmt.Sprintf("made %s; a backup needs its %s too", p.data, store.KeyFile)
	return p.withStore(func(s store.Backend) error {
		if address == "" {
			return p.Report(fields, "%s", text)
		}
		if err := s.SetSetting(ctx, store.SettingURL, address); err != nil {
			return err
		}
		u, err := s.AddUser(ctx, admin)
		if err != nil {
			return err
		}
		u.Role = store.RoleAdmin
		if err := s.ChangeProfile(ctx, u.Row, store.ProfileChange{Role: &u.Role}); err != nil {
			return err
		}
		if err := p.invite(ctx, s, u, fields, text); err != nil {
			return err
		}
		p.nextCommands()
		return nil
	})
}

// nextCommands says how to go on after init.
func (p *program) nextCommands() {
	if p.JSON {
		return
	}
	p.Hint("start the server: systemctl enable --now latch-server (or: latch-server serve --tls-self-signed)")
	p.Hint("make an application for your hosts: latch-server app add machines")
	p.Hint("add a person, then make a pairing code: latch-server user add ana && latch-server code ana")
}

// checkURL takes https://host[:port] and nothing more: links are made by adding paths.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("url %q: %w", address, errors.Unwrap(err))
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("url %q is not of the form https://NAME[:PORT]", address)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("url %q has no port from 1 to 65535", address)
		}
	}
	return nil
}
