package doctor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
	"github.com/latch-linux/latch/pkg/setup/sshd"
)

// services judges every service file.
func (e *examination) services() {
	if e.scanErr != nil {
		e.fail("services", "look at the mode and owner of /etc/pam.d", "%v", e.scanErr)
		return
	}
	protected := 0
	for _, s := range e.scan {
		e.about(s.Service)
		if s.Err != nil {
			e.warn("service "+s.Service, orElse(fixOf(s.Err), "repair or remove the file: nobody gets in by it"), "%v", s.Err)
			continue
		}
		if len(s.Phases) == 0 {
			continue
		}
		protected++
		before := len(e.findings)
		e.stack(s)
		e.exempt(s)
		e.units(s)
		e.unused(s.Service)
		if len(e.findings) == before {
			var phases []string
			for _, phase := range phasesOf(s) {
				phases = append(phases, string(phase))
			}
			e.ok("service "+s.Service, "asks in %s (%s)", strings.Join(phases, " and "), strings.Join(s.Where, ", "))
		}
	}
	e.profile = config.Profile{}
	if protected == 0 {
		e.warn("services", "latch install sshd login su sudo", "no service is protected: no PAM service has our line")
	}
}

// phasesOf names the phases that have our line.
func phasesOf(s installer.ServiceState) (phases []pamconf.Phase) {
	for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
		if _, asks := s.Phases[phase]; asks {
			phases = append(phases, phase)
		}
	}
	return phases
}

// stack judges the lines of a service file, and who runs it.
func (e *examination) stack(s installer.ServiceState) {
	check := "service " + s.Service
	for _, phase := range phasesOf(s) {
		for _, f := range s.Phases[phase] {
			e.add(check, severity(f.Problem), e.PAM.Remedy(s.Service, phase), "%s phase: %v", phase, f)
		}
	}
	if _, asks := s.Phases[pamconf.Account]; !asks && e.PAM.UsedBy(s.Service) == sshd.Service {
		e.fail(check, "latch install "+s.Service, "the account phase does not ask, so a public key comes in past the latch")
	}
	if p, unused := e.PAM.Unused(s.Service); unused {
		text, _ := p.Instead()
		e.warn(check, "latch uninstall "+s.Service, "it has our line, and nobody uses it: %s", text)
	}
	switch why := e.PAM.Unprivileged(s.Service); {
	case why == "" || e.PAM.AllowedUnprivileged(s.Service):
	case !e.PAM.ScreenLocker(s.Service):
		e.fail(check, "latch uninstall "+fileOf(s.Where[0]), "it %s", why)
	case fileOf(s.Where[0]) == s.Service:
		e.warn(check, "latch uninstall "+s.Service, "it %s", why)
	}
	if s.Lines > 1 {
		e.warn(check, fewerLines(s), "one phase has our line %d times", s.Lines)
	}
}

// units finds what keeps latch-auth from working where systemd runs the service's host.
func (e *examination) units(s installer.ServiceState) {
	problems, err := e.PAM.UnitProblems(s.Service)
	if err != nil {
		e.warn("service "+s.Service, "look at its unit: systemctl cat", "%v", err)
	}
	for _, p := range problems {
		fix := "change that file, then systemctl daemon-reload"
		if p.Install {
			fix = "latch install " + s.Service
		}
		e.fail("service "+s.Service, fix, "%s: users are refused, or let in where action = open", p.Text)
	}
}

// exempt finds services whose line the configuration makes ineffective.
func (e *examination) exempt(s installer.ServiceState) {
	c := e.configOf(s.Service)
	if c == nil {
		return
	}
	check, instead := "service "+s.Service, " of the configuration, or latch uninstall "+s.Service
	_, auth := s.Phases[pamconf.Auth]
	switch {
	case slices.Contains(c.ExemptServices, s.Service):
		e.warn(check, "take it out of exempt_services"+instead, "it has our line, and exempt_services keeps it from asking")
	case !auth && slices.Contains(c.AccountSkip, s.Service):
		e.fail(check, "take it out of account_skip_services"+instead,
			"only its account phase has our line, and account_skip_services keeps that from asking: nobody is asked")
	}
}

// fileOf is the service file that a place names, as in "common-auth:25".
func fileOf(where string) string { return where[:strings.LastIndex(where, ":")] }

// fewerLines is a command that leaves one line in each phase: the service's own goes where a file that it includes has one.
func fewerLines(s installer.ServiceState) string {
	if slices.ContainsFunc(s.Where, func(where string) bool { return fileOf(where) != s.Service }) {
		return "latch uninstall " + s.Service
	}
	return "latch install --repair " + s.Service
}

// severity tells what lets in or refuses the wrong people from a nuisance.
func severity(p pamconf.Problem) State {
	if installer.Unworkable(p) {
		return Fail
	}
	return Warn
}

func (e *examination) drift() {
	installed, err := e.PAM.Installed()
	if err != nil {
		e.fail("drift", "remove the file that is named, then latch install --repair with the name of its service", "%v", err)
		return
	}
	gone, err := e.PAM.Drifted()
	if err != nil {
		e.fail("drift", "remove the file that is named, then latch install --repair with the name of its service", "%v", err)
		return
	}
	for _, service := range slices.Sorted(maps.Keys(gone)) {
		if _, err := e.PAM.Read(service); errors.Is(err, installer.ErrNoService) {
			e.warn("drift", "latch uninstall "+service, "%s was installed, and its file is gone", service)
			continue
		}
		phases := ""
		if missing := gone[service]; len(missing) == 1 {
			phases = fmt.Sprintf(" in the %s phase", missing[0])
		}
		e.fail("drift", "latch install --repair", "%s was installed and asks no more%s; a package upgrade may have replaced /etc/pam.d/%s", service, phases, service)
	}
	if len(gone) == 0 {
		e.ok("drift", "installed services that ask still: %d", len(installed))
	}
}

func (e *examination) pending() {
	p, err := e.PAM.Pending()
	if err != nil {
		e.fail("change", "latch rollback", "%v", err)
		return
	}
	if p == nil {
		return
	}
	moment, err := installer.ThisMoment()
	switch {
	case err != nil:
		e.fail("change", "mount /proc", "%v", err)
	case p.Interrupted():
		e.fail("change", "latch rollback", "a change of service files was interrupted half-way")
	case p.Left(e.Now(), moment) <= 0:
		e.fail("change", "latch rollback", "a change should have been undone at %s", p.Due.Local().Format(time.TimeOnly))
	default:
		e.warn("change", "latch confirm in a new login, or latch rollback", "a change waits to be confirmed until %s", p.Due.Local().Format(time.TimeOnly))
	}
}
