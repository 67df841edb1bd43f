package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
)

// actions are the values of action in the order in which setup shows them, each with its consequence in one line.
var actions = []struct{ name, consequence string }{
	{"open", "let in: an outage stops nobody; a cut network opens closed latches"},
	{"close", "refused: an outage locks out every user who is paired"},
	{"last", "let in if the latch was open when this machine last saw it, else refused"},
	{"otp", "asked for a code (latch otp enroll); refused with none or by key alone"},
}

// actionTries is how often the answer may be mistyped.
const actionTries = 3

func actionNames() []string {
	var names []string
	for _, a := range actions {
		names = append(names, a.name)
	}
	return names
}

// others names the values of action but one.
func others(name string) string {
	rest := slices.DeleteFunc(actionNames(), func(other string) bool { return other == name })
	return strings.Join(rest[:len(rest)-1], ", ") + " or " + rest[len(rest)-1]
}

// checkAction judges the option --action.
func checkAction(name string) error {
	if name != "" && !slices.Contains(actionNames(), name) {
		return cli.Usage("--action is %s", strings.Join(actionNames(), ", "))
	}
	return nil
}

// chooseAction settles what happens when the server does not answer: by --action, else by asking. Its line in the
// configuration records that somebody has decided. Scripts are not asked, and keep the line that is there, or none.
func (a *app) chooseAction(ctx context.Context, p *plan, o setupOptions) error {
	if o.action != "" {
		return p.setAction(o.action)
	}
	c, err := config.Parse(p.path, p.draft())
	if err != nil || a.JSON {
		return err
	}
	if !o.yes {
		err = a.askAction(ctx, p, c.Action.String())
	}
	if (o.yes || errors.Is(err, cli.ErrNoTerminal)) && !config.IsSet(p.text, "action") {
		a.Say("action = %v applies when the server does not answer, and nobody has chosen it", c.Action)
		a.Hint("choose with latch setup --action %v --yes%s, or with %s", c.Action, a.options(), others(c.Action.String()))
	}
	if errors.Is(err, cli.ErrNoTerminal) {
		return nil
	}
	return err
}

func (a *app) askAction(ctx context.Context, p *plan, present string) error {
	text := "When the Latch server does not answer, a login with the right password or key is\n"
	for _, choice := range actions {
		text += fmt.Sprintf(" %-6s%s\n", choice.name, choice.consequence)
	}
	if err := a.terminal.Show(text); err != nil {
		return err
	}
	for range actionTries {
		answer, err := a.terminal.Ask(ctx, "action ("+strings.Join(actionNames(), ", ")+")", present)
		if err != nil {
			return err
		}
		if err = p.setAction(strings.ToLower(answer)); err == nil {
			return nil
		}
		a.Say("%v", err)
	}
	return errors.New("nothing was written: no answer was one of " + strings.Join(actionNames(), ", "))
}

// setAction puts the value into the plan if the configuration can have it.
func (p *plan) setAction(name string) error {
	before, had := p.set["action"]
	p.set["action"] = name
	_, err := config.Parse(p.path, p.draft())
	if err != nil {
		delete(p.set, "action")
		if had {
			p.set["action"] = before
		}
	}
	return err
}
