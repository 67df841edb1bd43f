package installer

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
)

// daemons are PAM services whose programs are known to call libpam without root.
var daemons = map[string]string{
	"apache2": "Apache's workers", "httpd": "Apache's workers", "nginx": "nginx's workers", "lighttpd": "lighttpd",
	"postgresql": "the PostgreSQL server", "pgbouncer": "PgBouncer", "pgpool": "Pgpool-II",
	"squid": "Squid's helper", "squid3": "Squid's helper",
	"radiusd": "FreeRADIUS", "freeradius": "FreeRADIUS",
	"exim": "Exim", "exim4": "Exim", "xmpp": "Prosody", "prosody": "Prosody", "gitea": "Gitea", "forgejo": "Forgejo",
}

// fallback is a screen locker that uses the service of another program.
type fallback struct{ program, service, own, remedy string }

// fallbacks are those that are known. One with a service file of its own does not fall back.
var fallbacks = []fallback{
	{"hyprlock", "su", "hyprlock", "give it a file of its own: cp /etc/pam.d/su /etc/pam.d/hyprlock"},
	{"quickshell", "login", "", "put locker_services = login into the configuration: latch config edit"},
}

// ScreenLocker reports whether a service is that of a screen locker, which unlocks unasked where it does not run as root.
func (s System) ScreenLocker(service string) bool {
	return config.ScreenLocker(service) || slices.Contains(s.Lockers, service)
}

// rooted are services of programs that call libpam as root, whatever other processes of the same name do.
var rooted = []string{"sshd", "login", "su", "su-l", "sudo", "sudo-i", "openvpn", "polkit-1"}

// Unprivileged returns why a service is used without root, "" where it is not known to be: the module starts latch-auth with
// the rights of its host then, and without those of root it cannot read the configuration and refuses everybody.
func (s System) Unprivileged(service string) string {
	if config.ScreenLocker(service) { // one of locker_services may have another host, which runs as root
		return "unlocks a screen without root: the line would do nothing, since it lets such a program unlock unasked"
	}
	if program, known := daemons[service]; known {
		return "is the service of " + program + ", without root: everybody would be refused there"
	}
	for _, f := range fallbacks {
		if f.service == service && !s.ScreenLocker(service) && s.hasProgram(f.program) && !s.hasService(f.own) {
			return fmt.Sprintf("is also the service by which %s unlocks screens, without root, and nobody could unlock any more: %s", f.program, f.remedy)
		}
	}
	if slices.Contains(rooted, service) {
		return ""
	}
	if unit, user := s.unitUser(service); user != "" {
		return fmt.Sprintf("is the service of %s, which runs as %s: everybody would be refused there", unit, user)
	}
	if pid, uid, found := s.unprivilegedProcess(service); found {
		return fmt.Sprintf("is the service of process %d, which runs as uid %d: everybody would be refused there", pid, uid)
	}
	return ""
}

// refuseUnprivileged refuses a service whose program is known to run without root, unless that is allowed, or was once.
func (s System) refuseUnprivileged(service string, o Options) error {
	why := s.Unprivileged(service)
	if why == "" || o.AllowUnprivileged || s.AllowedUnprivileged(service) {
		return nil
	}
	return refuse("%s %s (--allow-unprivileged installs it all the same)", service, why)
}

// AllowedUnprivileged reports whether a service was installed although its program is known to run without root.
func (s System) AllowedUnprivileged(service string) bool {
	r, err := s.loadRecord(service)
	return err == nil && r != nil && r.Options.AllowUnprivileged
}

func (s System) hasProgram(name string) bool {
	for _, dir := range []string{"/usr/bin", "/usr/local/bin", "/bin"} {
		if info, err := os.Stat(filepath.Join(s.Root, dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

func (s System) hasService(name string) bool {
	if name == "" {
		return false
	}
	_, err := s.Read(name)
	return err == nil
}

// unitUser returns the user that systemd runs the program as whose unit has the name of a service, "" for root.
func (s System) unitUser(service string) (unit, user string) {
	unit = service + ".service"
	u, err := s.units().Load(unit, "", nil)
	if u == nil || err != nil {
		return "", ""
	}
	user = u.Last("User").Text
	if user == "" && u.On("DynamicUser") {
		user = "a user of its own"
	}
	if user == "root" || user == "0" || strings.Contains(user, "%") {
		user = ""
	}
	return unit, user
}

// unprivilegedProcess returns a process of a service's name that runs without root, where there is none that runs as root.
func (s System) unprivilegedProcess(service string) (pid int, uid uint64, found bool) {
	processes, err := fs.Glob(os.DirFS(filepath.Join("/", s.Root, "proc")), "[0-9]*")
	if err != nil {
		return 0, 0, false
	}
	for _, name := range processes {
		id, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		comm, euid, ok := s.process(id)
		if !ok || comm != service[:min(len(service), 15)] { // as the kernel cuts it
			continue
		}
		if euid == 0 {
			return 0, 0, false
		}
		pid, uid, found = id, euid, true
	}
	return pid, uid, found
}

// process returns a process's name and effective uid.
func (s System) process(pid int) (comm string, euid uint64, ok bool) {
	status, err := os.ReadFile(filepath.Join("/", s.Root, "proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return "", 0, false // it has ended
	}
	for line := range bytes.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
		switch fields := strings.Fields(value); {
		case key == "Name":
			comm = strings.TrimSpace(value)
		case key == "Uid" && len(fields) > 1:
			euid, err = strconv.ParseUint(fields[1], 10, 32)
			return comm, euid, err == nil
		}
	}
	return "", 0, false
}
