package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Password is the password of every user that AddUser makes.
const Password = "open sesame 7"

// Its crypt(5) form, with few rounds: these accounts exist for seconds on a machine of their own.
const passwordHash = "$5$rounds=1000$latchtestbed$TVy62aYzqfBWwJFAT2qgToIGptfe66xxr29C/L//8yD"

// User is a local user of the isolated machine, with a group of the same name and number.
type User struct {
	Name string
	ID   int
	Home string
}

// AddUser makes a user. Only for work that Isolate runs: it writes to /etc.
func AddUser(name string, id int) (User, error) {
	u := User{Name: name, ID: id, Home: filepath.Join("/var/home", name)}
	lines := map[string]string{
		"/etc/passwd": fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, id, id, u.Home),
		"/etc/group":  fmt.Sprintf("%s:x:%d:\n", name, id),
		"/etc/shadow": fmt.Sprintf("%s:%s:19000:0:99999:7:::\n", name, passwordHash),
	}
	for file, line := range lines {
		if err := appendTo(file, line); err != nil {
			return u, err
		}
	}
	if err := os.MkdirAll(u.Home, 0o755); err != nil {
		return u, err
	}
	return u, os.Chown(u.Home, id, id)
}

// AllowSudo lets the user run anything as anybody by sudo, after the user's own password.
func (u User) AllowSudo() error {
	rule := u.Name + " ALL=(ALL:ALL) ALL\n"
	return os.WriteFile(filepath.Join("/etc/sudoers.d", u.Name), []byte(rule), 0o440)
}

// AuthorizeKey lets a public key (a line as in a .pub file) log in as the user.
func (u User) AuthorizeKey(line []byte) error {
	dir := filepath.Join(u.Home, ".ssh")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chown(dir, u.ID, u.ID); err != nil {
		return err
	}
	file := filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(file, line, 0o600); err != nil {
		return err
	}
	return os.Chown(file, u.ID, u.ID)
}

// Process returns the attributes that start a process as this user, without root's privileges.
func (u User) Process() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.ID), Gid: uint32(u.ID)}, Setpgid: true}
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
