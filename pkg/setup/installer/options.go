package installer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/openvpn"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// Options are what the lines of a service should say. What is not given keeps its value: that of the lines that stand there,
// or of those that were installed and have gone.
type Options struct {
	Operation string // name of an operation of latch.conf, or NoOperation
	OTP       string // a mode, or ConfiguredOTP
	EveryUse  *bool  // su, sudo: the account phase too, for root and every NOPASSWD command, with no notice to the phone
	Server    string // openvpn: the server's configuration, "" for the only one that there is
	Repair    bool   `json:"-"` // lines that protect nothing where they stand are placed again

	AllowUnprivileged bool `json:",omitempty"` // install although a program that uses the service is known to run without root
}

// The values that take an argument away.
const (
	NoOperation   = "none"   // the latch of the whole application decides
	ConfiguredOTP = "config" // otp of latch.conf decides
)

// authOnly are services whose account phase is used too often: root's own su, and every sudo without a password.
var authOnly = []string{"su", "su-l", "sudo", "sudo-i"}

// authOnly reports whether a service is one of them, by whatever name.
func (s System) authOnly(service string) bool {
	return slices.Contains(authOnly, service) || s.UsedBy(service) == "sudo"
}

// wanted are the options for one service, on top of what its lines say.
type wanted struct {
	Options
	service string
	special bool                       // it asks in its auth phase alone, unless somebody says every use
	lines   map[pamconf.Phase][]string // arguments of our first line of each phase, as it is or was
}

// want finds out what the lines of a service file say, or said when they were installed.
func (s System) want(f *pamconf.File, o Options) (wanted, error) {
	w := wanted{Options: o, service: f.Name, special: s.authOnly(f.Name), lines: ownArgs(f)}
	if len(w.lines) > 0 {
		return w, nil
	}
	r, err := s.loadRecord(f.Name)
	if err != nil || r == nil {
		return w, err
	}
	w.lines = r.Lines
	return w, nil
}

// lines are the arguments that options alone give the lines of a service: what a record without lines stands for.
func (o Options) lines(service string, phases []pamconf.Phase) map[pamconf.Phase][]string {
	w := wanted{Options: o, service: service, special: slices.Contains(authOnly, service)}
	lines := map[pamconf.Phase][]string{}
	for _, phase := range phases {
		lines[phase] = w.args(phase)
	}
	return lines
}

// ownArgs are the arguments of our first line of each phase in the service's own file.
func ownArgs(f *pamconf.File) map[pamconf.Phase][]string {
	lines := map[pamconf.Phase][]string{}
	for _, r := range f.Rules {
		if _, known := lines[r.Phase]; r.IsLatch() && !known {
			lines[r.Phase] = append([]string{}, r.Args...)
		}
	}
	return lines
}

// everyUse reports whether a service that asks in its auth phase alone by default asks in the account phase too.
func (w wanted) everyUse() bool {
	if w.EveryUse != nil {
		return *w.EveryUse
	}
	_, now := w.lines[pamconf.Account]
	return now
}

// args are the arguments of a line that is to be added.
func (w wanted) args(phase pamconf.Phase) []string {
	base, found := w.lines[phase]
	if !found { // as the other phase, but for what is the account phase's own
		for _, other := range w.lines {
			base = slices.DeleteFunc(slices.Clone(other), func(arg string) bool { return strings.HasPrefix(arg, "notify=") })
		}
	}
	return w.edit(phase, base)
}

// edit changes the arguments of a line as far as the options say.
func (w wanted) edit(phase pamconf.Phase, args []string) []string {
	args = slices.Clone(args)
	if w.service == openvpn.Service && value(args, "profile") == "" {
		args = slices.Insert(args, 0, "profile="+openvpn.Service)
	}
	args = set(args, "operation", w.Operation, NoOperation)
	args = set(args, "otp", w.OTP, ConfiguredOTP)
	if w.EveryUse != nil && *w.EveryUse && phase == pamconf.Account && w.special {
		args = set(args, "notify", "no", "") // a phone that shows every command is one that nobody looks at
	}
	return args
}

// set changes one argument: "" leaves it as it is, and none takes it away.
func set(args []string, name, to, none string) []string {
	at := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, name+"=") })
	switch {
	case to == "" || to == none && at < 0:
		return args
	case to == none:
		return slices.Delete(args, at, at+1)
	case at >= 0:
		args[at] = name + "=" + to
		return args
	}
	return append(args, name+"="+to)
}

// value is that of an argument, "" where it is not there.
func value(args []string, name string) string {
	for _, arg := range args {
		if v, found := strings.CutPrefix(arg, name+"="); found {
			return v
		}
	}
	return ""
}

// differences says what of the arguments changes, and which ones stay without being named.
func (w wanted) differences(after *pamconf.File) (notes []string) {
	now := ownArgs(after)
	for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
		before, had := w.lines[phase]
		args, has := now[phase]
		if !had {
			continue
		}
		if !has {
			notes = append(notes, fmt.Sprintf("the %s line goes", phase))
			continue
		}
		var kept []string
		for _, arg := range before {
			name, _, _ := strings.Cut(arg, "=")
			switch to := value(args, name); {
			case slices.Contains(args, arg) && name != "profile":
				kept = append(kept, arg)
			case slices.Contains(args, arg):
			case to == "":
				notes = append(notes, fmt.Sprintf("the %s line loses %s", phase, arg))
			default:
				notes = append(notes, fmt.Sprintf("the %s line has %s instead of %s", phase, name+"="+to, arg))
			}
		}
		if len(kept) > 0 {
			notes = append(notes, fmt.Sprintf("the %s line keeps %s", phase, strings.Join(kept, " ")))
		}
	}
	return notes
}

// asksForCode reports whether a login by a service may be asked for a code: because its line says so, or because the
// configuration does that the line names. One that cannot be read is found when the change is tried.
func (s System) asksForCode(service string) (line, configured bool) {
	for _, given := range s.serviceState(service).Args {
		args, err := config.ParseArgs(given)
		if err != nil {
			continue
		}
		if args.OTP != "" {
			return args.OTP != "no", false
		}
		c, err := args.Load()
		return false, err == nil && c.Asks()
	}
	return false, false
}
