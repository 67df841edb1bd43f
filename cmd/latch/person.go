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
	name string // canonical
	uid  int64
}

// errNoSuchUser means that the name service does not know the name.
var errNoSuchUser = errors.New("no such user on this machine")

// findPerson asks NSS through getent, since this program is static and would see /etc/passwd alone: people may come
// from LDAP. nameOrUID may be either, as for getent.
func findPerson(nameOrUID string) (person, error) {
	if strings.HasPrefix(nameOrUID, "-") {
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

// who is the user that a command is about: --user, else who called sudo, else who logged in, else who runs this.
func (a *app) who() (person, error) {
	switch {
	case a.user != "":
		return a.find(a.user)
	case a.uid == 0 && a.getenv("SUDO_USER") != "":
		return a.find(a.getenv("SUDO_USER"))
	}
	if uid, ok := loginUID(); ok {
		return a.find(uid)
	}
	return a.find(strconv.Itoa(a.uid))
}

// whoToPair is who, but never root by guess: in a root shell nobody has said whom the phone belongs to.
func (a *app) whoToPair() (person, error) {
	p, err := a.who()
	if err == nil && p.uid == 0 && a.user == "" {
		return person{}, cli.WithHint(cli.ExitUsage, errors.New("this is a root shell, and root is not guessed"), "name the user with --user NAME")
	}
	return p, err
}

// loginUID is the uid that this session logged in with, as the kernel keeps it across su and sudo.
func loginUID() (string, bool) {
	data, err := os.ReadFile("/proc/self/loginuid")
	uid := strings.TrimSpace(string(data))
	return uid, err == nil && uid != "" && uid != "4294967295"
}
