package installer

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// upstreamCopy ends the names of the copies that the setup of Telefónica's plugin made of the files that it replaced.
const upstreamCopy = ".lchsave"

// maxInclusions is how deep libpam follows inclusions.
const maxInclusions = 16

// Unworkable reports whether a line with this problem lets in or refuses the wrong people.
func Unworkable(p pamconf.Problem) bool {
	return p == pamconf.RefusesIgnored || p == pamconf.Bypassed || p == pamconf.DenialIgnored
}

// checkPresentLine refuses a phase whose line refuses users that it should ignore, has no effect, or has arguments with
// which everybody is refused.
func (s System) checkPresentLine(f *pamconf.File, phase pamconf.Phase) error {
	stack, err := pamconf.Load(f, phase, s)
	if err != nil {
		return err
	}
	line := stack.Steps[stack.Asks()]
	problem, remedy := "", s.Remedy(f.Name, phase)
	findings := slices.DeleteFunc(stack.Judge(), func(x pamconf.Finding) bool { return !Unworkable(x.Problem) })
	if len(findings) > 0 {
		problem = reasons(findings)
	} else if _, err := config.ParseArgs(line.Rule.Args); err != nil {
		problem, remedy = err.Error(), CorrectArguments(line.Where())
	} else {
		return nil
	}
	return fmt.Errorf("%s: %w: %s phase, %s: %s; %s", f.Name, errPresentLine, phase, line.Where(), problem, remedy)
}

// Remedy says how to replace the line that a service has in a phase, by commands that can be pasted where there are some.
func (s System) Remedy(service string, phase pamconf.Phase) string {
	stack, err := s.stack(service, phase)
	if err != nil || stack.Asks() < 0 {
		return "latch install " + service
	}
	line := stack.Steps[stack.Asks()]
	by := service
	if line.File != service {
		by = s.includer(service, line.File, 0)
	}
	own := filepath.Join(s.PamDirs[0], by)
	if base := s.upstreamBase(line.File); base != "" && line.File != service {
		text, err := s.Read(by)
		if err == nil {
			text = bytes.ReplaceAll(text, []byte(line.File), []byte(base))
		}
		return fmt.Sprintf("sed -i 's/%s/%s/g' %s && %s", line.File, base, own, s.with(by, text).installCommand(service, line.Rule.Args))
	}
	if text, err := readLinked(own + upstreamCopy); err == nil {
		return fmt.Sprintf("mv %s %s && %s", own+upstreamCopy, own, s.with(by, text).installCommand(service, line.Rule.Args))
	}
	if needsOpenLatch(stack) {
		return fmt.Sprintf("replace the line in %s by the rule that checks the password, or put the file of your distribution back, then latch install %s%s",
			line.Where(), service, optionsOf(line.Rule.Args))
	}
	return "latch install --repair " + line.File
}

// needsOpenLatch reports whether those who reach our line get in only with an open latch: without it nobody does.
func needsOpenLatch(s *pamconf.Stack) bool {
	return s.Admits(pamconf.Success) && !s.Admits(pamconf.Ignore)
}

// CorrectArguments says what to do about a line with wrong arguments.
func CorrectArguments(where string) string {
	return "correct the arguments in line " + where + " (man pam_latch)"
}

// installCommand is the command that gives a service a line with the arguments of another one, where there is a place for it.
func (s System) installCommand(service string, words []string) string {
	command := "latch install " + service + optionsOf(words)
	args, err := config.ParseArgs(words)
	text, unread := s.Read(service)
	if err != nil || unread != nil || s.Asks(service) {
		return command
	}
	f, everyUse := pamconf.Parse(service, text), true
	o := wanted{Options: Options{Operation: args.Operation, OTP: args.OTP}, service: service}
	if _, err := s.edit(f, o, &Change{}); err == nil {
		return command
	}
	o.EveryUse = &everyUse
	if _, err := s.edit(f, o, &Change{}); err == nil {
		command += " --every-use"
	}
	return command
}

// includer returns the file that includes another one, beginning with the file of a service; "" where there is none.
func (s System) includer(file, included string, depth int) string {
	text, err := s.Read(file)
	if err != nil || depth > maxInclusions {
		return ""
	}
	rules := pamconf.Parse(file, text).Rules
	for _, r := range rules {
		if r.Inclusion != pamconf.NotIncluding && r.Module == included {
			return file
		}
	}
	for _, r := range rules {
		if r.Inclusion != pamconf.NotIncluding {
			if found := s.includer(r.Module, included, depth+1); found != "" {
				return found
			}
		}
	}
	return ""
}

// upstreamBase returns the file that Telefónica's setup made a copy of under this name, "" if there is none: its
// password-auth-sshd-latch is a password-auth with a line of pam_latch.so.
func (s System) upstreamBase(name string) string {
	base, ok := strings.CutSuffix(name, "-latch")
	for ok {
		if _, err := s.Read(base); err == nil {
			return base
		}
		i := strings.LastIndex(base, "-")
		if ok = i > 0; ok {
			base = base[:i]
		}
	}
	return ""
}

// optionsOf returns the options of latch install that give a line the arguments of another one.
func optionsOf(words []string) string {
	args, err := config.ParseArgs(words)
	if err != nil {
		return ""
	}
	options := ""
	if args.Operation != "" {
		options += " --operation " + args.Operation
	}
	if args.OTP != "" {
		options += " --otp " + args.OTP
	}
	return options
}

// with is the machine with a service file that is not written yet.
func (s System) with(service string, text []byte) System {
	planned := maps.Clone(s.planned)
	if planned == nil {
		planned = map[string][]byte{}
	}
	planned[service] = text
	s.planned = planned
	return s
}

// stack loads one phase of a service.
func (s System) stack(service string, phase pamconf.Phase) (*pamconf.Stack, error) {
	text, err := s.Read(service)
	if err != nil {
		return nil, err
	}
	return pamconf.Load(pamconf.Parse(service, text), phase, s)
}

// CheckRemoval refuses to take lines out where nobody could log in without them: in the files of Telefónica's plugin for
// CentOS and Fedora only the line lets anybody in.
func (s System) CheckRemoval(plans []Change) error {
	after := s
	for _, c := range plans {
		if c.Kind == PAM && c.After != nil {
			after = after.with(c.Service, c.After)
		}
	}
	names, err := s.Services()
	if err != nil {
		return err
	}
	var shut []string
	for _, name := range names {
		if s.upstreamBase(name) != "" { // a part of services, whose names are in the list as well
			continue
		}
		for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
			if s.shuts(after, name, phase) {
				shut = append(shut, fmt.Sprintf("without the %s line of %s nobody could log in there: %s", phase, name, s.Remedy(name, phase)))
			}
		}
	}
	if len(shut) > 0 {
		return refuse("%s", strings.Join(shut, "; "))
	}
	return nil
}

// checkAdmits refuses a change after which nobody could log in by a service, where one of our lines had let people in.
func (s System) checkAdmits(before System, service string) error {
	for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
		now, err := before.stack(service, phase)
		if err != nil || now.Asks() < 0 || !now.Admits(pamconf.Success) {
			continue
		}
		if then, err := s.stack(service, phase); err == nil && !then.Admits(pamconf.Success) {
			return refuse("only the %s line of %s lets anybody in: %s", phase, service, before.Remedy(service, phase))
		}
	}
	return nil
}

// shuts reports whether a change takes a line away without which nobody gets in by the way that leads over it.
func (s System) shuts(after System, service string, phase pamconf.Phase) bool {
	now, err := s.stack(service, phase)
	if err != nil || !needsOpenLatch(now) {
		return false
	}
	then, err := after.stack(service, phase)
	if err != nil || then.Asks() >= 0 {
		return false
	}
	if len(then.Steps) > 0 {
		return true
	}
	if names, err := s.Services(); err != nil || s.included(service, names) {
		return false // a part of services that has nothing but our line
	}
	// libpam takes a phase without rules from the service "other".
	other, err := after.stack("other", phase)
	return err != nil || !other.Admits(pamconf.Success)
}

// included reports whether a file is part of other services: nobody logs in by its own name then.
func (s System) included(name string, services []string) bool {
	return slices.ContainsFunc(services, func(other string) bool { return other != name && s.includes(other, name) })
}
