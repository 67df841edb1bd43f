package installer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/aymanbagabas/go-udiff"

	"github.com/latch-linux/latch/pkg/setup/openvpn"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
	"github.com/latch-linux/latch/pkg/setup/sshd"
)

// Change is what is to happen to one file: that of a service, or another one that the service needs.
type Change struct {
	Service string
	Kind    Kind
	Path    string
	Before  []byte // nil where the file is not there, or is the vendor's
	After   []byte // nil removes the file
	Mode    fs.FileMode
	Notes   []string // what the person should know
}

// Kind is what a file is, and so how our part of it is told from the rest.
type Kind string

// The kinds of files.
const (
	PAM  Kind = ""        // a service file of /etc/pam.d
	VPN  Kind = "openvpn" // the configuration of an OpenVPN server
	Unit Kind = "unit"    // a drop-in of systemd's, all of which is ours
)

// without returns a text without our part, nil where the whole of it is ours, and whether there was any.
func (k Kind) without(service string, text []byte) (rest []byte, ours bool) {
	switch k {
	case VPN:
		rest, lines := openvpn.Uninstall(text)
		return rest, lines > 0
	case SSHD:
		if bytes.HasPrefix(text, []byte(sshd.Head)) {
			return nil, true
		}
		return text, false
	case Unit:
		if oursAlone(text) {
			return nil, true
		}
		return text, false
	}
	f, lines := pamconf.Parse(service, text).Without()
	return f.Bytes(), lines > 0
}

// None reports whether there is nothing to do.
func (c Change) None() bool { return c.Before != nil && bytes.Equal(c.Before, c.After) }

// Diff shows the change in the unified format of diff(1).
func (c Change) Diff() string {
	from, to := c.Path, c.Path
	if c.Before == nil {
		from = "/dev/null"
	}
	if c.After == nil {
		to = "/dev/null"
	}
	return udiff.Unified(from, to, string(c.Before), string(c.After))
}

// generated belong to authselect(8), which rewrites them.
var generated = []string{"system-auth", "password-auth", "fingerprint-auth", "smartcard-auth", "postlogin"}

// unasked serve no person who could be refused, or refuse the machine itself.
var unasked = []string{"cron", "crond", "atd", "systemd-user", "runuser", "runuser-l", "other", "passwd", "chpasswd", "newusers",
	"lightdm-greeter", "gdm-launch-environment", "sddm-greeter", "greetd-greeter"}

// errEmpty means that ours would be the only module of a phase, which then refuses everybody whom it steps aside for.
var errEmpty = fmt.Errorf("%w: there is no other rule", ErrRefused)

// errPresentLine means that the phase already has one of our lines, and that it does not do what it should.
var errPresentLine = fmt.Errorf("%w: it has a line of pam_latch.so that does not work", ErrRefused)

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
}

// prepare gives the lines that stand in a file their new arguments. Where one is to be repaired, they all go, to be placed
// again.
func (s System) prepare(f *pamconf.File, w wanted) *pamconf.File {
	if w.Repair && s.faulty(f) {
		f, _ = f.Without()
		return f
	}
	return f.EditArgs(func(r pamconf.Rule) ([]string, bool) {
		return w.edit(r.Phase, r.Args), r.Phase != pamconf.Account || !w.special || w.everyUse()
	})
}

// lost is a phase in which a file had one of our lines and has none any more, "" for none.
func lost(before, after *pamconf.File) pamconf.Phase {
	now := ownArgs(after)
	for phase := range ownArgs(before) {
		if _, has := now[phase]; !has {
			return phase
		}
	}
	return ""
}

// faulty reports whether a file's own lines stand where they protect nothing, or too many times with the same arguments.
func (s System) faulty(f *pamconf.File) bool {
	var seen []pamconf.Rule
	for _, r := range f.Rules {
		if !r.IsLatch() {
			continue
		}
		if slices.ContainsFunc(seen, func(other pamconf.Rule) bool { return other.Phase == r.Phase && slices.Equal(other.Args, r.Args) }) {
			return true
		}
		seen = append(seen, r)
	}
	for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
		stack, err := pamconf.Load(f, phase, s)
		if at := stack.Asks(); err == nil && at >= 0 && stack.Steps[at].File == f.Name && len(stack.Judge()) > 0 {
			return true
		}
	}
	return false
}

// Plan works out how to make a service ask. A service that asks already has nothing to change.
func (s System) Plan(service string, o Options) (Change, error) {
	path, text, err := s.writable(service, o)
	c := Change{Service: service, Path: filepath.Join(s.PamDirs[0], service), Mode: 0o644}
	switch {
	case errors.Is(err, ErrNoService) && service == openvpn.Service:
		w, err := s.want(pamconf.Parse(service, nil), o)
		if err != nil {
			return Change{}, err
		}
		if text, err = s.vpnStack(w); err != nil {
			return Change{}, err
		}
	case err != nil:
		return Change{}, err
	case path == c.Path:
		if err := c.existing(text); err != nil {
			return Change{}, err
		}
	default:
		c.Notes = append(c.Notes, fmt.Sprintf("%s is copied to %s, and the copy goes with latch uninstall", path, c.Path))
	}
	f := pamconf.Parse(service, text)
	w, err := s.want(f, o)
	if err != nil {
		return Change{}, err
	}
	after, err := s.edit(s.prepare(f, w), w, &c)
	if err != nil {
		return Change{}, err
	}
	if w.Repair {
		if err := s.checkRepair(f, after, c.Notes); err != nil {
			return Change{}, err
		}
	}
	c.Notes = append(c.Notes, w.differences(after)...)
	c.After = after.Bytes()
	if bytes.Equal(c.After, text) {
		c.Before = c.After // the vendor's file needs no copy then
		return c, nil
	}
	return c, s.look(&c, o)
}

// checkRepair refuses to move lines where one would be lost, or where nobody could log in then.
func (s System) checkRepair(before, after *pamconf.File, notes []string) error {
	if gone := lost(before, after); gone != "" {
		return refuse("%s: there is no better place for its %s line: %s", before.Name, gone, strings.Join(notes, "; "))
	}
	return s.with(before.Name, after.Bytes()).checkAdmits(s, before.Name)
}

// Arguments lists the arguments that our lines have in the service files of a plan, sorted, each set once.
func Arguments(plans []Change) []string {
	var all []string
	for _, c := range plans {
		if c.Kind != PAM {
			continue
		}
		for _, r := range pamconf.Parse(c.Service, c.After).Rules {
			if r.IsLatch() {
				all = append(all, strings.Join(r.Args, " "))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// existing notes what stands at the path of a change.
func (c *Change) existing(text []byte) error {
	info, err := os.Stat(c.Path)
	if err != nil {
		return err
	}
	c.Before, c.Mode = text, info.Mode().Perm()
	if c.Before == nil {
		c.Before = []byte{} // an empty file is one
	}
	return nil
}

// PlanAll plans several services, each on top of what the others will be: a service that includes another one of them
// needs no line of its own. The plans come in the order in which they are to be made.
func (s System) PlanAll(options map[string]Options) ([]Change, error) {
	s.planned = map[string][]byte{}
	var plans []Change
	for _, service := range s.inOrder(slices.Sorted(maps.Keys(options))) {
		c, err := s.Plan(service, options[service])
		if err != nil {
			return nil, err
		}
		s.planned[service] = c.After
		plans = append(plans, c)
		more, err := s.planBeside(service, options[service])
		if err != nil {
			return nil, err
		}
		plans = append(plans, more...)
	}
	return plans, nil
}

// planBeside plans what the program of a service needs in addition to its service file, as that is planned.
func (s System) planBeside(service string, o Options) ([]Change, error) {
	asked, configured := s.asksForCode(service)
	switch {
	case service == openvpn.Service:
		return s.planVPN(o.Server, asked || configured)
	case s.UsedBy(service) == sshd.Service:
		plans, err := s.planUnits(service)
		if err != nil {
			return nil, err
		}
		code := sshd.NoCode
		if asked && o.OTP != "" {
			code = sshd.WantedCode
		} else if asked || configured {
			code = sshd.ConfiguredCode
		}
		c, err := planSSHD(s.SSHD, service, code)
		if c != nil {
			plans = append(plans, *c)
		}
		return plans, err
	}
	return s.planUnits(service)
}

// inOrder puts services behind those that they include.
func (s System) inOrder(services []string) []string {
	var ordered []string
	var visit func(service string, depth int)
	visit = func(service string, depth int) {
		if slices.Contains(ordered, service) || depth > len(services) {
			return
		}
		if text, err := s.Read(service); err == nil {
			for _, r := range pamconf.Parse(service, text).Rules {
				if r.Inclusion != pamconf.NotIncluding && slices.Contains(services, r.Module) && r.Module != service {
					visit(r.Module, depth+1)
				}
			}
		}
		if !slices.Contains(ordered, service) {
			ordered = append(ordered, service)
		}
	}
	for _, service := range services {
		visit(service, 0)
	}
	return ordered
}

// writable finds a service that may be changed.
func (s System) writable(service string, o Options) (path string, text []byte, err error) {
	switch {
	case !serviceName.MatchString(service) || leftover(service):
		return "", nil, fmt.Errorf("%q is no name of a PAM service", service)
	case slices.Contains(generated, service):
		return "", nil, refuse("authselect rewrites %s; install the services themselves, or make a profile of your own with authselect create-profile", service)
	case slices.Contains(unasked, service):
		return "", nil, refuse("%s has nobody to ask, and must not depend on a latch", service)
	}
	if err := s.refuseUnprivileged(service, o); err != nil {
		return "", nil, err
	}
	if err := s.unknown(service); err != nil {
		return "", nil, err
	}
	if p, unused := s.Unused(service); unused {
		text, command := p.Instead()
		return "", nil, refuse("%s, and not %s: %s", text, service, command)
	}
	if path, text, err = s.find(service); err != nil {
		return "", nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
	case info.Mode()&fs.ModeSymlink != 0:
		err = refuse("%s is a symbolic link, which somebody else manages", path)
	case filepath.Dir(path) == s.PamDirs[0] && info.Sys().(*syscall.Stat_t).Nlink > 1:
		err = refuse("%s has a second name (a hard link), which would keep the text of before", path)
	}
	return path, text, err
}

// edit puts our lines into a service file.
func (s System) edit(f *pamconf.File, o wanted, c *Change) (*pamconf.File, error) {
	after, authErr := s.editAuth(f, o, c)
	if errors.Is(authErr, errPresentLine) {
		return nil, authErr
	}
	switch skipped := slices.Contains(s.AccountSkip, f.Name); {
	case authErr != nil && skipped:
		return nil, fmt.Errorf("%w; and account_skip_services of the configuration keeps the account phase of %s from asking", authErr, f.Name)
	case skipped:
		c.Notes = append(c.Notes, "its account phase does not ask (account_skip_services of the configuration)")
		return after, nil
	case o.special && !o.everyUse():
		if authErr != nil {
			return nil, fmt.Errorf("%w; --every-use asks in the account phase instead, which root and commands without a password pass too", authErr)
		}
		return after, nil
	}
	both, err := s.editPhase(after, pamconf.Account, o)
	switch {
	case errors.Is(err, errEmpty) && authErr == nil:
		c.Notes = append(c.Notes, "it has no account rules, so only the auth phase asks")
	case err != nil && authErr == nil && f.Name != sshd.Service && !errors.Is(err, errPresentLine): // at sshd a key passes by the auth phase
		c.Notes = append(c.Notes, "only the auth phase asks: "+reason(f, err))
		return after, nil
	case err != nil:
		return nil, err
	case authErr != nil:
		c.Notes = append(c.Notes, "only the account phase asks: "+reason(f, authErr)+"; a closed latch then looks different from a wrong password")
	}
	return both, nil
}

// reason is why a service file is refused, without what every refusal begins with.
func reason(f *pamconf.File, err error) string {
	return strings.TrimPrefix(err.Error(), f.Name+": "+ErrRefused.Error()+": ")
}

// editAuth places the auth line. An error says why there is no place; the file then is as it was.
func (s System) editAuth(f *pamconf.File, o wanted, c *Change) (*pamconf.File, error) {
	after, err := s.editPhase(f, pamconf.Auth, o)
	otp := value(o.args(pamconf.Auth), "otp")
	if err == nil || otp == "" || otp == "no" {
		return after, err
	}
	// Only the auth phase can ask for a code, so a place that guesses reach is better than none.
	guessed, again := s.editPhase(f, pamconf.Auth, o, pamconf.ReachedWithoutPassword)
	if again != nil {
		return f, err
	}
	note := "a wrong password reaches the latch here, and may show on the phone"
	if otp != "yes" {
		note += "; people without a password can use up a user's guesses at a code; after that codes are taken only from addresses where one was right"
	}
	c.Notes = append(c.Notes, note)
	return guessed, nil
}

// editPhase places one line. Without any rule in the phase, or with one of ours already, there is nothing to do.
func (s System) editPhase(f *pamconf.File, phase pamconf.Phase, o wanted, allowed ...pamconf.Problem) (*pamconf.File, error) {
	after, findings, err := pamconf.Insert(f, phase, s, o.args(phase), allowed...)
	switch {
	case err != nil:
		return f, err
	case after != nil:
		return after, nil
	case findings[0].Problem == pamconf.AlreadyPresent:
		if there := findings[0].Step; there.File != f.Name && !slices.Equal(there.Rule.Args, o.edit(phase, there.Rule.Args)) {
			return f, fmt.Errorf("%s: %w: the line of %s decides, and has the arguments %q: install %s with these options", f.Name, errPresentLine,
				there.Where(), strings.Join(there.Rule.Args, " "), there.File)
		}
		return f, s.checkPresentLine(f, phase)
	case findings[0].Problem == pamconf.Empty:
		return f, fmt.Errorf("%s: %w in the %s phase", f.Name, errEmpty, phase)
	}
	return f, fmt.Errorf("%s: %w: no place for the %s line: %s", f.Name, ErrRefused, phase, reasons(findings))
}

func reasons(findings []pamconf.Finding) string {
	var all []string
	for _, finding := range findings {
		all = append(all, finding.String())
	}
	return strings.Join(all, "; ")
}
