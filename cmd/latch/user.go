package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/cli"
)

// person is a local user.
type person struct {
	name string // canonical, or as given where the name service does not know it
	uid  int64  // -1 where the name service does not know it
}

// unknown tells whether the name service does not know the person.
func (p person) unknown() bool { return p.uid < 0 }

// errNoSuchUser means that the name service does not know the name.
var errNoSuchUser = errors.New("no such user on this machine")

// findPerson asks NSS through getent, since this program is static and would see /etc/passwd alone: people may come
// from LDAP. nameOrUID may be either, as for getent.
func findPerson(nameOrUID string) (person, error) {
	if nameOrUID == "" || strings.HasPrefix(nameOrUID, "-") {
		return person{}, fmt.Errorf("%q: %w", nameOrUID, errNoSuchUser)
	}
	out, err := exec.Command("getent", "passwd", nameOrUID).Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 2:
		return person{}, fmt.Errorf("%q: %w", nameOrUID, errNoSuchUser)
	case errors.Is(err, exec.ErrNotFound):
		return findLocal(nameOrUID)
	case err != nil:
		return person{}, fmt.Errorf("getent passwd %q: %w", nameOrUID, err)
	}
	fields := strings.Split(strings.TrimSpace(string(out)), ":")
	if len(fields) < 3 {
		return person{}, fmt.Errorf("getent passwd %q: an answer of another form", nameOrUID)
	}
	uid, err := strconv.ParseUint(fields[2], 10, 32)
	return person{fields[0], int64(uid)}, err
}

// findLocal serves systems without getent.
func findLocal(name string) (person, error) {
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return person{}, fmt.Errorf("%q: %w", name, errNoSuchUser)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	return person{u.Username, int64(uid)}, err
}

// loginName is who this session logged in as, through su and sudo: the uid that the kernel keeps, else the name
// that belongs to the terminal, else "".
func loginName() string {
	const unset = "4294967295"
	data, err := os.ReadFile("/proc/self/loginuid")
	if uid := strings.TrimSpace(string(data)); err == nil && uid != "" && uid != unset {
		return uid
	}
	logname := exec.Command("logname")
	logname.Stdin = os.Stdin // it looks up the terminal there
	out, err := logname.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// who is the user that a command is about: --user, else who called sudo, else who logged in, else who runs this.
// A name given with --user may be one that the name service does not know, or no longer.
func (a *app) who() (person, error) {
	if a.user != "" {
		p, err := a.find(a.user)
		if errors.Is(err, errNoSuchUser) {
			return person{name: a.user, uid: -1}, nil
		}
		return p, err
	}
	if name := a.getenv("SUDO_USER"); a.uid == 0 && name != "" {
		return a.find(name)
	}
	if name := a.login(); name != "" {
		return a.find(name)
	}
	return a.find(strconv.Itoa(a.uid))
}

// whoToPair is who, but root is never guessed, and only OpenVPN has names that the name service does not know.
func (a *app) whoToPair() (person, error) {
	rootShell := cli.WithHint(cli.ExitUsage, errors.New("this is a root shell, and whose phone it is cannot be guessed"),
		"name the user with --user NAME")
	if a.user == "" && a.uid == 0 && a.getenv("SUDO_USER") == "" {
		return person{}, rootShell
	}
	p, err := a.who()
	if err == nil && p.uid == 0 && a.user == "" {
		return person{}, rootShell
	}
	if err == nil && p.unknown() && a.profile != "openvpn" {
		err = fmt.Errorf("%q: %w", p.name, errNoSuchUser)
	}
	return p, err
}
