package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/pages"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newAppWebhook(p *program) *cobra.Command {
	list := &cobra.Command{
		Use: "list APP", Short: "list an application's webhooks and how they fare", Args: cobra.ExactArgs(1),
		Long: "list shows where an application's changes are told, with the last problem.\n" + cli.ExitHelp,
		RunE: func(_ *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				list, err := s.Webhooks(a.Row)
				if err != nil {
					return err
				}
				rows := make([]cli.Row, 0, len(list))
				for _, h := range list {
					rows = append(rows, cli.Row{{Name: "url", Value: h.Settings.URL}, {Name: "secret", Value: h.Settings.Secret},
						{Name: "last_ok", Value: rfc3339(h.LastOK)}, {Name: "failing", Value: rfc3339(h.Failing)}, {Name: "problem", Value: h.Problem},
						{Name: "given_up", Value: h.GivenUp}})
				}
				return p.Table("webhooks", rows)
			})
		},
	}
	remove := newWebhookChange(p, "remove APP URL", "stop telling an application's changes to an address",
		"remove forgets a webhook and what waits for it.\n", func(ctx context.Context, s store.Backend, a store.Application, h store.Channel) (string, error) {
			return "removed", s.RemoveChannel(ctx, 0, a.Row, h.Row)
		})
	test := newWebhookChange(p, "test APP URL", "ask a webhook for the challenge again",
		"test sends the challenge of the set-up. One that was given up goes on when it is repeated.\n",
		func(ctx context.Context, s store.Backend, a store.Application, h store.Channel) (string, error) {
			return "works:", tryWebhook(ctx, s, a, h.Row)
		})
	return group("webhook", "tell an application's changes to an address, signed", newWebhookAdd(p), list, test, remove)
}

func newWebhookAdd(p *program) *cobra.Command {
	var secret string
	c := &cobra.Command{
		Use: "add APP URL", Short: "tell an application's changes to an address", Args: cobra.ExactArgs(2),
		Long: `add has every change of a latch of this application told to URL, by whomever it was made: a POST of JSON as
the Latch API has it, signed with the application's secret in X-11Paths-Authorization. First the address is
asked ?challenge=… and must answer with the same text. Without --secret the oldest secret signs.
` + cli.ExitHelp,
		Example: "  latch-server app webhook add servers https://portal.example.org/latch",
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				return p.addWebhook(c.Context(), s, a, args[1], secret)
			})
		},
	}
	c.Flags().StringVar(&secret, "secret", "", "`NAME` of the secret that signs")
	return c
}

// addWebhook keeps a webhook that repeats the challenge, and no other.
func (p *program) addWebhook(ctx context.Context, s store.Backend, a store.Application, address, secret string) error {
	private, err := s.Setting(store.SettingPrivateReceivers)
	if err != nil {
		return err
	}
	if err := notify.CheckURL(address, private == "yes"); err != nil {
		return cli.Usage("%q: %w", address, err)
	}
	if secret != "" {
		if err := hasSecret(s, a, secret); err != nil {
			return err
		}
	}
	row, err := s.SaveChannel(ctx, store.Channel{App: a.Row, Kind: store.ChannelWebhook, Label: address,
		Settings: store.ChannelSettings{URL: address, Secret: secret}})
	if err != nil {
		return err
	}
	if err := tryWebhook(ctx, s, a, row); err != nil {
		return errors.Join(err, s.RemoveChannel(ctx, 0, a.Row, row))
	}
	return p.Report(map[string]any{"app_id": a.ID, "url": address}, "changes of %s are told to %s", a.Name, address)
}

func hasSecret(s store.Backend, a store.Application, name string) error {
	_, list, err := s.Credentials(a.ID)
	for _, c := range list {
		if c.Name == name {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: %q", store.ErrNoSecret, name)
	}
	return err
}

// tryWebhook sends the challenge. An error says in words what was wrong.
func tryWebhook(ctx context.Context, s store.Backend, a store.Application, row int64) error {
	site, err := pages.New(pages.Options{Store: s})
	if err != nil {
		return err
	}
	problem, err := site.TestChannel(ctx, 0, a.Row, row)
	if err == nil && problem != "" {
		err = errors.New(problem)
	}
	return err
}

// newWebhookChange makes a command for one webhook of an application.
func newWebhookChange(p *program, use, short, long string, change func(context.Context, store.Backend, store.Application, store.Channel) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long + cli.ExitHelp, Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				list, err := s.Webhooks(a.Row)
				if err != nil {
					return err
				}
				for _, h := range list {
					if h.Settings.URL != args[1] {
						continue
					}
					done, err := change(c.Context(), s, a, h)
					if err != nil {
						return err
					}
					return p.Report(map[string]any{"app_id": a.ID, "url": h.Settings.URL}, "%s %s", done, h.Settings.URL)
				}
				return cli.WithHint(cli.ExitError, fmt.Errorf("%s has no webhook %q", a.Name, args[1]), "see latch-server app webhook list "+a.Name)
			})
		},
	}
}
