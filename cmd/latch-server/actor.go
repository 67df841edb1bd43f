package main

import (
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/server/store"
)

// noLogin is what the kernel says of a process that no login leads to.
const noLogin = "4294967295"

// commandActor is who runs this command, for the audit log: the user that logged in, as the kernel keeps it through su and
// sudo, else who called sudo, else the user that the process is.
func commandActor() store.Actor {
	self := userName(strconv.Itoa(os.Getuid()))
	from := ""
	if id, err := os.ReadFile("/proc/self/loginuid"); err == nil && strings.TrimSpace(string(id)) != noLogin {
		from = userName(strings.TrimSpace(string(id)))
	} else if os.Getuid() == 0 {
		from = os.Getenv("SUDO_USER")
	}
	if from != "" && from != self {
		self = from + " as " + self
	}
	return store.Actor{Via: store.ViaCommand, Name: self}
}

func userName(uid string) string {
	u, err := user.LookupId(uid)
	if err != nil {
		return "uid " + uid
	}
	return u.Username
}
