package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// isLocker reports whether a screen locker that does not run as root asks about its own user. Neither can read the configuration, and
// the user is logged in already.
func isLocker(g relay.Greeting, args config.Args) bool {
	self := uint32(os.Geteuid())
	own := self != 0 && g.HostEUID == self && g.HostUID == self && g.NSS == relay.Found && g.UID == self
	if !own || config.ScreenLocker(g.Service) {
		return own
	}
	more, err := config.ReadLockers(args.Config)
	return err == nil && slices.Contains(more, g.Service)
}

// orNotRoot names the cause where a file cannot be read because the host does not run as root.
func orNotRoot(why policy.Reason, err error) policy.Reason {
	if os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
		return policy.HostNotRoot
	}
	return why
}

// notRoot says what an administrator can do about that.
func notRoot(g relay.Greeting) string {
	return fmt.Sprintf("the PAM host does not run as root but as uid %d, which may not read this; run it as root, or run: latch uninstall %s", g.HostEUID, g.Service)
}
