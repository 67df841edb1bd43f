package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/authlog"
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

// mode says which program decides about a login.
func (e *examination) mode() { e.ok("mode", "exec: every login starts %s", e.Authenticator) }

// log looks for the socket that receives the reasons of refusals, which no user sees.
func (e *examination) log() {
	path := e.Root + authlog.SyslogSocket
	socket, err := net.Dial("unixgram", path)
	if err != nil {
		e.warn("log", "systemctl start systemd-journald-dev-log.socket, or start rsyslog", "nobody receives the log lines, so the reason of a refusal is lost: %v", err)
		return
	}
	socket.Close()
	e.ok("log", "%s", authlog.SyslogSocket)
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
	e.lockers()
	if c.HostContext && c.Cloud() {
		e.warn("host_context", "set host_context = no", "host_context = yes is for latch-server; %s receives nothing of it", c.Host.Host)
	}
	if c.OnError == config.Open {
		e.warn("on_error", "set on_error = close", "on_error = open: everybody who can make the server's answers fail opens every latch")
	}
}

// lockers compares locker_services with the file that screen lockers read in its place.
func (e *examination) lockers() {
	published, err := config.ReadLockers(e.profile.Config)
	switch file := config.LockersFile(e.profile.Config); {
	case err != nil:
		e.fail("lockers", fixOf(err), "%v", err)
	case !slices.Equal(published, e.config.LockerServices):
		e.fail("lockers", "SUDO_EDITOR=true "+e.latch("config edit"), "locker_services and %s name different services; screen lockers read only that file", file)
	case len(published) > 0:
		e.ok("lockers", "%s unlock without being asked (%s)", strings.Join(published, ", "), file)
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

// pairings compares the pairing file with the users of the machine, and with the server's pairings.
func (e *examination) pairings() {
	f, err := pairings.Load(e.profile.Accounts)
	if err != nil {
		e.fail("pairings", orElse(fixOf(err), "repair the line that is named, or pair again"), "%v", err)
		return
	}
	wrong, unknown := 0, 0
	for _, p := range f.All() {
		uid, known, err := e.Find(p.User)
		unpair := e.latch("unpair" + forUser(p.User))
		switch {
		case err != nil:
			wrong++
			e.fail("pairings", "look at the name service (getent passwd "+p.User+")", "%q cannot be looked up: %v", p.User, err)
		case !known && e.profile.Name == "system":
			wrong++
			e.warn("pairings", unpair, "%q is paired and is no user of this machine", p.User)
		case !known:
			unknown++
		case known && p.UID >= 0 && p.UID != uid:
			wrong++
			e.warn("pairings", unpair, "%q was paired with the uid %d and has %d now: logins are refused", p.User, p.UID, uid)
		}
	}
	if wrong == 0 {
		e.ok("pairings", "%d in %s", len(f.All()), e.profile.Accounts)
	}
	e.pairedThere(f)
	if len(f.All()) == 0 {
		e.warn("pairings", e.latch("pair CODE"), "nobody is paired, so no login queries a latch")
	}
	if e.profile.Name == "system" {
		e.people(f)
		e.root(f)
	} else {
		e.spellings(unknown)
	}
}

// forUser is the option that names a user.
func forUser(name string) string { return " --user " + securefile.ShellWord(name) }

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
