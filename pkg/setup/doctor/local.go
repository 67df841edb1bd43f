package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

const reinstall = "install the package again, or run make install"

// programs looks for the module, where libpam would, and for the authenticator, where the module would.
func (e *examination) programs() {
	module := ""
	for _, dir := range e.ModuleDirs {
		path := filepath.Join(dir, pamconf.ModuleFile)
		if _, err := os.Stat(path); err == nil {
			module = path
			break
		}
	}
	switch err := trusted(module); {
	case module == "":
		e.fail("module", reinstall, "%s is in none of %s", pamconf.ModuleFile, strings.Join(e.ModuleDirs, ", "))
	case err != nil:
		e.fail("module", orElse(fixOf(err), reinstall), "%v", err)
	default:
		e.ok("module", "%s", module)
	}
	info, err := os.Stat(e.Authenticator)
	switch {
	case err != nil:
		e.fail("authenticator", reinstall, "%v", err)
	case info.Mode()&0o111 == 0:
		e.fail("authenticator", "chmod 755 "+e.Authenticator, "%s cannot be executed", e.Authenticator)
	default:
		if err := trusted(e.Authenticator); err != nil {
			e.fail("authenticator", orElse(fixOf(err), reinstall), "%v", err)
			return
		}
		e.ok("authenticator", "%s", e.Authenticator)
	}
}

// trusted opens a program as the module does. A directory that is a link of the distribution's (/lib) is followed.
func trusted(path string) error {
	if path == "" {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	f, err := securefile.Open(real)
	if err != nil {
		return err
	}
	return f.Close()
}

func fixOf(err error) string {
	var untrusted *securefile.TrustError
	if errors.As(err, &untrusted) {
		return untrusted.Fix
	}
	return ""
}

func orElse(fix, other string) string {
	if fix == "" {
		return other
	}
	return fix
}

func (e *examination) configuration() {
	c, err := config.Load(e.profile.Config)
	switch {
	case missing(err):
		e.fail("configuration", e.latch("setup"), "there is no %s: every service that works on it refuses everybody", e.profile.Config)
		return
	case errors.Is(err, config.ErrNotSetUp):
		e.fail("configuration", e.latch("setup"), "%v", err)
		return
	case err != nil:
		e.fail("configuration", e.latch("config edit"), "%v", err)
		return
	}
	e.config = c
	if err := securefile.CheckPrivate(e.profile.Config); err != nil {
		e.warn("configuration", fixOf(err), "%v, and holds the application's secret", err)
	} else {
		e.ok("configuration", "%s", e.profile.Config)
	}
	e.action()
	if c.HostContext && c.Cloud() {
		e.warn("host_context", "set host_context = no", "host_context = yes is for latch-server; %s is told nothing of it", c.Host.Host)
	}
	if c.OnError == config.Open {
		e.warn("on_error", "set on_error = close", "on_error = open: whoever can make the server's answers fail opens every latch")
	}
}

// action shows what an outage does. A line in the configuration means that somebody has chosen.
func (e *examination) action() {
	effect := map[config.Policy]string{config.Open: "everybody with the right password gets in", config.Close: "nobody who is paired gets in",
		config.Last: "users whose latch was open when last seen get in", config.OTP: "a code is asked for"}[e.config.Action]
	text := fmt.Sprintf("action = %v: while the Latch server does not answer, %s", e.config.Action, effect)
	switch line, err := config.FindLine(e.profile.Config, "action"); {
	case err != nil: // the configuration changed under our feet; the next run shows it
	case line > 0:
		e.ok("action", "%s (%s:%d)", text, e.profile.Config, line)
	default:
		e.warn("action", e.latch("setup --action open --yes")+", or close, last or otp in place of open", "%s; nobody has chosen that", text)
	}
}

// pairings compares the pairing file with the users of the machine.
func (e *examination) pairings() {
	f, err := pairings.Load(e.profile.Accounts)
	if err != nil {
		e.fail("pairings", orElse(fixOf(err), "mend the line that is named, or pair anew"), "%v", err)
		return
	}
	root := false
	wrong := 0
	for _, p := range f.All() {
		uid, known, err := e.Find(p.User)
		root = root || uid == 0 && known
		unpair := e.latch("unpair --user " + p.User)
		switch {
		case err != nil:
			wrong++
			e.fail("pairings", "look at the name service (getent passwd "+p.User+")", "%q cannot be looked up: %v", p.User, err)
		case !known && e.profile.Name == "system":
			wrong++
			e.warn("pairings", unpair, "%q is paired and is no user of this machine", p.User)
		case known && p.UID >= 0 && p.UID != uid:
			wrong++
			e.warn("pairings", unpair, "%q was paired with the uid %d and has %d now: logins are refused", p.User, p.UID, uid)
		}
	}
	if wrong == 0 {
		e.ok("pairings", "%d in %s", len(f.All()), e.profile.Accounts)
	}
	if e.profile.Name == "system" {
		e.people(f)
	}
	if len(f.All()) == 0 {
		e.warn("pairings", e.latch("pair CODE"), "nobody is paired, so nobody is asked about")
	} else if !root && e.profile.Name == "system" {
		e.warn("root", e.latch("pair --user root CODE")+", or keep root from logging in (PermitRootLogin no, passwd -l root)",
			"root is not paired: whoever has root's password or key is not asked about")
	}
}

// firstPerson is where the numbers of people begin, as login.defs(5) has it everywhere that we know.
const firstPerson = 1000

// people names who can log in and is not paired.
func (e *examination) people(paired *pairings.File) {
	out, err := e.Run(e.ctx, "getent", "passwd")
	if err != nil {
		return // no getent, or a name service that lists nobody
	}
	var without []string
	for _, line := range strings.Split(string(out), "\n") {
		fields := strings.Split(line, ":")
		if len(fields) < 7 || fields[0] == "nobody" || strings.HasSuffix(fields[6], "nologin") || strings.HasSuffix(fields[6], "false") {
			continue
		}
		if uid, err := strconv.Atoi(fields[2]); err != nil || uid < firstPerson {
			continue
		}
		if _, ok := paired.Find(fields[0]); !ok {
			without = append(without, fields[0])
		}
	}
	const shown = 5
	switch n := len(without); {
	case n > shown:
		e.warn("people", e.latch("pair --user NAME CODE"), "%d users can log in and are not paired, such as %s", n, strings.Join(without[:shown], ", "))
	case n > 0:
		e.warn("people", e.latch("pair --user NAME CODE"), "not paired: %s", strings.Join(without, ", "))
	}
}

// denials looks for what a mandatory access control kept from us, in the kernel's log of this boot.
func (e *examination) denials() {
	out, err := e.Run(e.ctx, "journalctl", "-k", "-b", "--no-pager", "-o", "cat", "-g", "DENIED|denied")
	if err != nil {
		return // no journal here, or nothing in it
	}
	n, last := 0, ""
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "latch") {
			n, last = n+1, line
		}
	}
	if n > 0 {
		e.fail("denials", "allow it in the profile or policy of the program that is named", "the kernel kept something from us %d times, lastly: %.200s", n, last)
	}
}
