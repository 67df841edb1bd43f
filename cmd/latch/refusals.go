package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// confirmRefusals asks before a change after which people would be refused. A script confirms it with --yes.
func (a *app) confirmRefusals(ctx context.Context, refusals []string, question string, yes bool) error {
	for _, r := range refusals {
		a.Say("warning: %s", r)
	}
	if len(refusals) == 0 || yes {
		return nil
	}
	ok, err := a.terminal.Confirm(ctx, question)
	if err == nil && !ok {
		err = errors.New("nothing was written, and nothing was sent")
	}
	return needs(err, "confirm it with --yes: "+a.again("--yes"))
}

// configRefusals says whom a change of the configuration would refuse. Before the change old was read by logins; nil means that it
// could not be.
func (a *app) configRefusals(old, now *config.Config) ([]string, error) {
	if old == nil {
		return nil, nil
	}
	path, err := filepath.Abs(now.Path)
	if err != nil {
		return nil, err
	}
	lines, err := a.linesWhere(func(l installer.Line) bool { return l.Config == path })
	if err != nil {
		return nil, err
	}
	_, accounts, err := a.files()
	if err != nil {
		return nil, err
	}
	users, err := usersOf(lines, accounts)
	if err != nil {
		return nil, err
	}
	all := append(applicationRefusals(old, now, len(users)), lineRefusals(old, now, lines)...)
	codes, err := codeRefusals(old, now, users)
	return append(all, codes...), err
}

// usersOf returns the users who are paired in the files of these lines, and in further ones.
func usersOf(lines []installer.Line, files ...string) ([]string, error) {
	for _, l := range lines {
		files = append(files, l.Accounts)
	}
	slices.Sort(files)
	var users []string
	for _, file := range slices.Compact(files) {
		f, err := pairings.Load(file)
		if err != nil {
			return nil, err
		}
		for _, p := range f.All() {
			users = append(users, p.User)
		}
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// servicesOf lists the services of lines.
func servicesOf(lines []installer.Line) string {
	var names []string
	for _, l := range lines {
		if !slices.Contains(names, l.Service) {
			names = append(names, l.Service)
		}
	}
	return strings.Join(names, ", ")
}

// applicationRefusals is about users whose pairings belong to the old application, at the old server.
func applicationRefusals(old, now *config.Config, paired int) []string {
	const consequence = "does not know them: they are refused until they are unpaired (--local) and paired again"
	switch {
	case paired == 0:
	case old.AppID != now.AppID:
		return []string{fmt.Sprintf("users paired with the application %s: %d; the application %s %s", old.AppID, paired, now.AppID, consequence)}
	case old.Host.String() != now.Host.String():
		return []string{fmt.Sprintf("users paired with the application at %s: %d; if %s is another server, it %s", old.Host, paired, now.Host, consequence)}
	}
	return nil
}

// lineRefusals is about what the PAM lines need of the configuration.
func lineRefusals(old, now *config.Config, lines []installer.Line) []string {
	var all []string
	for _, l := range lines {
		_, before := old.Operation(l.Operation)
		if _, after := now.Operation(l.Operation); l.Operation != "" && before == nil && after != nil {
			all = append(all, fmt.Sprintf("%s asks about the operation %q, which is not configured any more: everybody is refused by %s", l.Where, l.Operation, l.Service))
		}
	}
	if len(lines) > 0 && old.Unpaired != config.Close && now.Unpaired == config.Close {
		all = append(all, "unpaired = close: every user without a pairing is refused by "+servicesOf(lines))
	}
	return all
}

// codeRefusals is about users who could not type a code that the configuration asks for.
func codeRefusals(old, now *config.Config, paired []string) ([]string, error) {
	var all []string
	before, after := adapters.CodeStore(old), adapters.CodeStore(now)
	enrolled, err := before.Users()
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil // not root, with a configuration of one's own
	}
	if err != nil {
		return nil, err
	}
	lost := count(enrolled, func(user string) bool { return loads(before, user) && !loads(after, user) })
	if lost > 0 {
		all = append(all, fmt.Sprintf("users whose one-time passwords could not be read any more: %d; they are refused", lost))
	}
	if requiresCodes(now) && !requiresCodes(old) {
		without := count(paired, func(user string) bool { return !loads(after, user) })
		all = append(all, fmt.Sprintf("otp_required = yes: paired users who are not enrolled: %d; they are refused, as is SSH by a key alone", without))
	}
	return all, nil
}

func requiresCodes(c *config.Config) bool { return c.OTPRequired && c.OTP != "no" }

// loads reports whether a login could read a user's record.
func loads(s otpstore.Store, user string) bool {
	_, err := s.Load(user)
	return err == nil
}

func count(users []string, holds func(string) bool) int {
	return len(slices.DeleteFunc(slices.Clone(users), func(u string) bool { return !holds(u) }))
}

// credentialRefusals tries what a query depends on, where that changes under paired users.
func (a *app) credentialRefusals(ctx context.Context, old, now *config.Config) ([]string, error) {
	if reachedBy(old) == reachedBy(now) {
		return nil, nil
	}
	_, accounts, err := a.files()
	if err != nil {
		return nil, err
	}
	users, err := usersOf(nil, accounts)
	if err != nil || len(users) == 0 {
		return nil, err
	}
	quiet := *a
	quiet.Err = io.Discard
	if _, err := quiet.proveServer(ctx, now); err != nil {
		return []string{fmt.Sprintf("with the new configuration the server gives no verdict (%v); paired users who would be refused, "+
			"unless action or on_error lets them in: %d", err, len(users))}, nil
	}
	return nil, nil
}

// reachedBy is what a query depends on.
func reachedBy(c *config.Config) string {
	return fmt.Sprint(c.AppID, c.SecretKey.Reveal(), c.Host, c.CAFile, c.Proxy, c.APIVersion)
}

// operationRefusals is about the lines that ask about one of these operations of an application.
func (a *app) operationRefusals(c *config.Config, ids []string) ([]string, error) {
	lines, err := a.linesWhere(func(l installer.Line) bool {
		used, err := l.Load()
		return err == nil && used.AppID == c.AppID && l.Operation != "" && slices.Contains(ids, used.Operations[l.Operation])
	})
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	users, err := usersOf(lines)
	return []string{fmt.Sprintf("PAM lines ask about this operation (%s); paired users who would be refused there: %d", servicesOf(lines), len(users))}, err
}

// unpairRefusals is about a user whose pairing in this file ends.
func (a *app) unpairRefusals(user, accounts string) ([]string, error) {
	lines, err := a.linesWhere(func(l installer.Line) bool {
		c, err := l.Load()
		return err == nil && l.Accounts == accounts && c.Unpaired == config.Close && !slices.Contains(c.ExemptUsers, user)
	})
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	return []string{fmt.Sprintf("with unpaired = close, users without a pairing are refused by %s: %s would be one", servicesOf(lines), user)}, nil
}

// enrolmentRefusals is about a user whose one-time passwords end.
func (a *app) enrolmentRefusals(conf *config.Config, user string) ([]string, error) {
	lines, err := a.linesWhere(func(l installer.Line) bool {
		c, err := l.Load()
		return err == nil && c.StateDir == conf.StateDir && requiresCodes(c)
	})
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	return []string{fmt.Sprintf("with otp_required = yes, users who are not enrolled are refused by %s: %s would be one", servicesOf(lines), user)}, nil
}
