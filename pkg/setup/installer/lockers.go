package installer

import (
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// lockers unlock a screen without privileges: they cannot read our configuration, so a line in their stack would keep
// their people out.
var lockers = []string{"swaylock", "i3lock", "hyprlock", "waylock", "gtklock", "vlock", "physlock", "xscreensaver", "xlock", "kde",
	"kscreenlocker", "cinnamon-screensaver", "mate-screensaver", "xfce4-screensaver"}

// Unprivileged reports whether a service unlocks a screen without the rights to ask.
func Unprivileged(service string) bool { return slices.Contains(lockers, service) }

// look follows a change into the services that include the file: one that could not ask refuses it, and of the others
// the person is told.
func (s System) look(c *Change) error {
	with := s.with(c.Service, c.After)
	names, err := s.Services()
	if err != nil {
		return err
	}
	var others []string
	for _, name := range names {
		switch {
		case name == c.Service || !s.includes(name, c.Service) || !with.Asks(name):
		case Unprivileged(name):
			return refuse("%s would also guard %s, which has no rights to ask and could not unlock any more", c.Service, name)
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
