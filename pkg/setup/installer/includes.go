package installer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// look follows a change into the services that include the file: one whose program runs without root refuses it, and the
// others are named.
func (s System) look(c *Change, o Options) error {
	with := s.with(c.Service, c.After)
	names, err := s.Services()
	if err != nil {
		return err
	}
	var others []string
	for _, name := range names {
		switch {
		case name == c.Service || !s.includes(name, c.Service) || !with.Asks(name):
		case s.ScreenLocker(name):
			c.Notes = append(c.Notes, name+" includes it: where it does not run as root it unlocks the screen unasked")
		case s.refuseUnprivileged(name, o) != nil:
			return fmt.Errorf("%s is part of %s: %w", c.Service, name, s.refuseUnprivileged(name, o))
		case with.serviceState(name).Lines > 1:
			c.Notes = append(c.Notes, name+" includes it and has a line of its own, which is not needed any more: latch uninstall "+name)
		default:
			others = append(others, name)
		}
	}
	if strings.HasPrefix(c.Service, "common-") {
		c.Notes = append(c.Notes, c.Service+" is part of every service: cron, screen lockers and what is installed later would ask too; better install the services themselves")
	} else if len(others) > 0 {
		c.Notes = append(c.Notes, "it is part of other services, which then ask as well: "+strings.Join(others, ", "))
	}
	return nil
}

// includes reports whether a service's file takes another one in, at whatever depth.
func (s System) includes(service, other string) bool {
	text, err := s.Read(service)
	if err != nil {
		return false
	}
	for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
		stack, err := pamconf.Load(pamconf.Parse(service, text), phase, s)
		if err == nil && slices.ContainsFunc(stack.Steps, func(step pamconf.Step) bool { return step.File == other }) {
			return true
		}
	}
	return false
}
