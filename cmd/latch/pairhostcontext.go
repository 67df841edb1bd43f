package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
)

// contextChoice is --host-context: "yes", "no", or "" to ask where there is somebody to ask.
type contextChoice string

func (o contextChoice) check() error {
	if o != "" && o != "yes" && o != "no" {
		return cli.Usage("--host-context is yes or no")
	}
	return nil
}

// offerContext lets latch-server be told which login a question is about, if the administrator wants that. It is offered once:
// the answer stands in the configuration. A server that is not latch-server is told nothing, whatever was chosen.
func (a *app) offerContext(ctx context.Context, client *client.Client, c *config.Config, choice contextChoice, user string) error {
	if !client.Can(api.CanContext) {
		if choice == "yes" {
			a.Say("host_context stays off: %s is not latch-server, and is told nothing beyond the Latch API", c.Host.Host)
		}
		return nil
	}
	text, err := readConfig(c.Path)
	if err != nil {
		return err
	}
	if choice == "" {
		if a.JSON || config.IsSet(text, "host_context") {
			return nil
		}
		if choice, err = a.askForContext(ctx, c, user); choice == "" {
			return err
		}
	}
	if c.HostContext == (choice == "yes") && config.IsSet(text, "host_context") {
		return nil
	}
	err = a.changeConfig(context.WithoutCancel(ctx), c.Path, func(now []byte) ([]byte, error) {
		return config.SetKeys(now, map[string]string{"host_context": string(choice)})
	})
	if err == nil {
		a.Say("host_context = %s is written to %s", choice, c.Path)
	}
	return err
}

// askForContext shows what would be told. Nobody to ask, or no answer, is no choice: the next pairing asks again.
func (a *app) askForContext(ctx context.Context, c *config.Config, user string) (contextChoice, error) {
	err := a.terminal.Show(fmt.Sprintf(`
%s is latch-server: its history and its notices can say which login it was ("sshd on %s from
203.0.113.7"). For that, each question about a login would also tell it, in signed headers:

  host     %s
  service  such as sshd, sudo or su
  phase    auth or account
  address  where the login comes from, such as 203.0.113.7
  user     who logs in, such as %s

`, cli.Clean(c.Host.Host), hostname(), hostname(), cli.Clean(user)))
	if err != nil {
		return "", ignoreNobody(err)
	}
	yes, err := a.terminal.Confirm(ctx, "Tell it that (host_context = yes in "+c.Path+")?")
	switch {
	case err != nil:
		return "", ignoreNobody(err)
	case yes:
		return "yes", nil
	}
	return "no", nil
}

// ignoreNobody forgets that nobody answered: the pairing is stored, and this was an offer.
func ignoreNobody(err error) error {
	if errors.Is(err, cli.ErrNoTerminal) || errors.Is(err, cli.ErrNotAnswered) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
