package doctor

import (
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// line is one of our lines in a service file: the files that it works on, and its own otp= and operation=.
type line struct {
	service   string
	where     string // file and line
	profile   config.Profile
	otp       string
	operation string
}

// lines reads the arguments of every line of ours. One that cannot be read refuses everybody, and so does the trial of it.
func (e *examination) lines() []line {
	var lines []line
	for _, s := range e.scan {
		for _, l := range s.Ours() {
			if l.Err != nil {
				e.fail("service "+s.Service, installer.CorrectArguments(l.Where), "%s: %v: everybody is refused", l.Where, l.Err)
				continue
			}
			lines = append(lines, line{s.Service, l.Where, e.filesOf(l.Args), l.OTP, l.Operation})
		}
	}
	return lines
}

// filesOf are the files of a line: those that it names, else its profile's.
func (e *examination) filesOf(args config.Args) config.Profile {
	files := e.named(args.Profile)
	if usual, err := config.ProfileByName(args.Profile); err == nil {
		if args.Config != usual.Config {
			files.Config = args.Config
		}
		if args.Accounts != usual.Accounts {
			files.Accounts = args.Accounts
		}
	}
	return files
}

func (e *examination) named(profile string) config.Profile {
	return e.Profiles[slices.IndexFunc(e.Profiles, func(p config.Profile) bool { return p.Name == profile })]
}

// used are the sets of files to be looked at: the one that was asked for, else those that lines work on, else the system's.
func (e *examination) used() []config.Profile {
	if e.Only != "" {
		return []config.Profile{e.named(e.Only)}
	}
	var used []config.Profile
	for _, l := range e.ours {
		if !slices.Contains(used, l.profile) {
			used = append(used, l.profile)
		}
	}
	if len(used) == 0 {
		used = []config.Profile{e.named("system")}
	}
	// The system's come first, as in every other list.
	slices.SortStableFunc(used, func(a, b config.Profile) int { return strings.Compare(b.Name, a.Name) })
	return used
}

// files looks at every set of files that is used, and says which, unless it is the system's alone.
func (e *examination) files() {
	used := e.used()
	system := e.named("system")
	for _, p := range used {
		e.profile, e.config, e.remote = p, nil, nil
		if e.Only == "" && (len(used) > 1 || p != system) {
			e.sayProfile(slices.Contains(used, system))
		}
		for _, check := range profileChecks {
			check(e)
		}
	}
}

func (e *examination) sayProfile(system bool) {
	var services []string
	for _, l := range e.ours {
		if l.profile == e.profile && !slices.Contains(services, l.service) {
			services = append(services, l.service)
		}
	}
	omitted := ""
	if !system {
		omitted = "; no service uses " + e.named("system").Config + ", so it is not examined"
	}
	e.ok("profile", "%s for %s%s", e.profile.Config, strings.Join(services, ", "), omitted)
}

// configOf is the configuration that a service's line works on, with the line's own otp=; nil where the service does not
// ask, or the configuration cannot be read.
func (e *examination) configOf(service string) *config.Config {
	l, found := e.lineOf(service)
	if !found {
		return nil
	}
	c, err := config.Load(l.profile.Config)
	if err != nil {
		return nil // which the configuration's own check tells
	}
	if l.otp != "" {
		c.OTP = l.otp
	}
	return c
}

// lineOf is the first of our lines in a service.
func (e *examination) lineOf(service string) (line, bool) {
	i := slices.IndexFunc(e.ours, func(l line) bool { return l.service == service })
	if i < 0 {
		return line{}, false
	}
	return e.ours[i], true
}

// about makes the rows that follow rows of a service's profile; of the whole machine where it has none of our lines.
func (e *examination) about(service string) {
	l, _ := e.lineOf(service)
	e.profile = l.profile
}

// latch is a command of ours that works on the files that are looked at.
func (e *examination) latch(command string) string {
	return "latch " + command + e.profile.Options()
}
