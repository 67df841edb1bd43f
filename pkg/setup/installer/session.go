package installer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Moment is a point in time that no setting of the clock moves.
type Moment struct {
	Boot  string        `json:"boot"`  // the kernel's name for the time since it started
	Since time.Duration `json:"since"` // how long it had run, suspended or not
}

// ThisMoment is now.
func ThisMoment() (Moment, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Moment{}, err
	}
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return Moment{}, err
	}
	first, _, _ := bytes.Cut(data, []byte(" "))
	seconds, err := strconv.ParseFloat(string(first), 64)
	return Moment{string(bytes.TrimSpace(boot)), time.Duration(seconds * float64(time.Second))}, err
}

// doors are daemons that log people in: they are older than any session, and no part of one.
var doors = []string{"login", "gdm", "gdm3", "lightdm", "sddm", "dropbear", "xrdp-sesman", "cockpit-session"}

// ErrNoLogin means that a process hangs below no login: its server was started by hand, as that of a tmux or screen is.
var ErrNoLogin = errors.New("this process belongs to no login")

// process is what proc(5) says of one.
type process struct {
	parent int
	name   string
	title  string        // its command line, or what it made of it
	began  time.Duration // after the boot
}

// connection reports whether it is sshd's for one client, who has to log in to get further, and not the one that listens.
func (p process) connection() bool {
	return p.sshd() && (strings.HasPrefix(p.title, "sshd: ") || strings.HasPrefix(p.title, "sshd-session: ")) &&
		!strings.Contains(p.title, "[listener]")
}

// sshd reports whether it is one of sshd's, by any of the names that these have.
func (p process) sshd() bool { return p.name == "sshd" || strings.HasPrefix(p.name, "sshd-") }

// SessionStart tells how long after the boot the login began that a process belongs to. For SSH that is the connection:
// a further shell of an old one shows no login. Else it is the oldest ancestor below the daemon that let it in. A window
// of tmux or screen belongs to no login that can be told.
func SessionStart(pid int) (time.Duration, error) {
	all, err := ancestors(pid)
	if err != nil {
		return 0, err
	}
	began, login := time.Duration(-1), false
	for _, p := range all {
		if slices.Contains(doors, p.name) || p.sshd() && !p.connection() {
			login = true
			break
		}
		// The service manager of a user starts with the first login and ends with the last one.
		login = login || p.connection() || p.name == "systemd"
		began = p.began
	}
	if !login || began < 0 {
		return 0, ErrNoLogin
	}
	return began, nil
}

// Remote reports whether the person at a process may be far away: it or an ancestor came by SSH, whatever su and sudo left
// of its environment, or sits in a tmux or screen, to which one attaches from anywhere.
func Remote(pid int) (bool, error) {
	all, err := ancestors(pid)
	if err != nil {
		return false, err
	}
	for id, i := pid, 0; i < len(all); id, i = all[i].parent, i+1 {
		if all[i].sshd() || slices.Contains([]string{"dropbear", "mosh-server"}, all[i].name) {
			return true, nil
		}
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", id))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		for _, variable := range strings.Split(string(environment), "\x00") {
			name, value, _ := strings.Cut(variable, "=")
			if value != "" && slices.Contains([]string{"SSH_CONNECTION", "SSH_TTY", "TMUX", "STY"}, name) {
				return true, nil
			}
		}
	}
	return false, nil
}

// ancestors lists a process and those above it, up to the first one of the system or the container.
func ancestors(pid int) ([]process, error) {
	var all []process
	for pid > 1 {
		p, err := readProcess(pid)
		if err != nil {
			return nil, err
		}
		all, pid = append(all, p), p.parent
	}
	return all, nil
}

// ticksPerSecond is USER_HZ, which is 100 on every architecture of Linux that we build for.
const ticksPerSecond = 100

func readProcess(pid int) (process, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name stands in parentheses and may hold any character, parentheses included.
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("/proc/%d/stat has another form", pid)
	}
	fields := bytes.Fields(data[end+1:])
	if len(fields) < 20 {
		return process{}, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return process{}, err
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 63)
	if err != nil {
		return process{}, err
	}
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return process{parent, string(data[open+1 : end]), string(title), time.Duration(ticks) * time.Second / ticksPerSecond}, err
}
