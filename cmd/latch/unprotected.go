package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/openvpn"
)

// usualServices are the ways into a machine, most used first.
var usualServices = []string{"sshd", "login", "su", "sudo"}

// linesWhere returns our lines in PAM services that libpam can load and for which a condition holds.
func (a *app) linesWhere(holds func(installer.Line) bool) ([]installer.Line, error) {
	all, err := a.pam.Scan()
	if err != nil {
		return nil, err
	}
	var lines []installer.Line
	for _, s := range all {
		for _, l := range s.Ours() {
			if _, unused := a.pam.Unused(s.Service); s.Err == nil && l.Err == nil && !unused && holds(l) {
				lines = append(lines, l)
			}
		}
	}
	return lines, nil
}

// reportLatch reports a result about a latch, and warns where closing that latch keeps nobody out, or not everywhere.
func (a *app) reportLatch(c *config.Config, operation string, fields map[string]any, format string, args ...any) error {
	a.findPrograms(context.Background()) // each of them has a time limit of its own
	warnings, hints := []string{}, []string{}
	warning, hint, err := a.unprotected(c, operation)
	if err != nil {
		warning, hint = "the PAM services cannot be examined: "+err.Error(), "run: "+a.asRoot("latch doctor")
	}
	if warning != "" {
		warnings, hints = append(warnings, warning), append(hints, hint)
	}
	for _, door := range a.pam.SideDoors(nil) {
		warnings, hints = append(warnings, door.Text()), append(hints, "run: "+a.asRoot(door.Remedy()))
	}
	if len(warnings) > 0 {
		fields["warnings"] = warnings
	}
	if err := a.Report(fields, format, args...); err != nil {
		return err
	}
	for i := range warnings {
		a.Say("warning: %s", warnings[i])
		a.Hint("%s", hints[i])
	}
	return nil
}

// unprotected returns a warning, and what to do, where no PAM service uses the pairings, or none uses the operation that was
// named. A machine without any service file has nothing to protect.
func (a *app) unprotected(c *config.Config, operation string) (warning, hint string, err error) {
	services, err := a.pam.Services()
	if err != nil || len(services) == 0 {
		return "", "", err
	}
	_, accounts, err := a.files()
	if err != nil {
		return "", "", err
	}
	id, err := operationID(c, operation)
	if err != nil {
		return "", "", err
	}
	lines, err := a.linesWhere(func(l installer.Line) bool {
		return l.Accounts == accounts && (id == "" || usesOperation(l, c, id))
	})
	switch {
	case err != nil || len(lines) > 0:
		return "", "", err
	case id != "":
		return fmt.Sprintf("no service is protected by the operation %q, so closing it keeps nobody out", operation),
			a.operationHint(c, accounts, services, id), nil
	}
	return fmt.Sprintf("no service is protected by the pairings in %s, so a closed latch keeps nobody out", accounts),
		a.installHint(accounts, preferred(services, a.serviceOfProfile())), nil
}

// usesOperation reports whether a line asks about the operation with this id.
func usesOperation(l installer.Line, c *config.Config, id string) bool {
	return l.Operation != "" && l.Config == c.Path && c.Operations[l.Operation] == id
}

// operationHint is the command that makes a service ask about an operation, which it knows by its name in the configuration.
func (a *app) operationHint(c *config.Config, accounts string, services []string, id string) string {
	name := called(c, id)
	if name == "" {
		return fmt.Sprintf("write \"NAME = %s\" into [operations] of %s, for operation=NAME on a PAM line", id, c.Path)
	}
	return a.installHint(accounts, preferred(services, name)+" --operation "+name)
}

// serviceOfProfile is the service that a profile is made for, "" for the system's.
func (a *app) serviceOfProfile() string {
	if a.profile == openvpn.Service {
		return openvpn.Service
	}
	return ""
}

// preferred chooses the service to name: OpenVPN's, whose file install makes, one with this name, or the most used one.
func preferred(services []string, name string) string {
	if name == openvpn.Service || slices.Contains(services, name) {
		return name
	}
	for _, usual := range usualServices {
		if slices.Contains(services, usual) {
			return usual
		}
	}
	return services[0]
}

// installHint is the command that protects a service. Lines that install writes use the profile's own files.
func (a *app) installHint(accounts, arguments string) string {
	profile, err := config.ProfileByName(a.profile)
	if conf, _, failed := a.files(); errors.Join(err, failed) != nil || profile.Accounts != accounts || profile.Config != conf {
		return fmt.Sprintf("a PAM line uses these files by the arguments config=%s accounts=%s", conf, accounts)
	}
	return "run: " + a.asRoot("latch install "+arguments)
}
