package config

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// screenLockers are the PAM services of programs that unlock a screen as the user whose screen it is, without root.
var screenLockers = []string{
	"cinnamon-screensaver", "cosmic-greeter", "gnome-screensaver", "gtklock", "hyprlock", "i3lock", "kde", "kde-fingerprint",
	"kde-smartcard", "kscreenlocker", "light-locker", "mate-screensaver", "phosh", "quickshell", "swaylock", "sxlock", "vlock", "waylock",
	"xfce4-screensaver", "xlock", "xscreensaver", "xsecurelock",
}

// ScreenLocker reports whether a PAM service is that of a screen locker, which runs as the user whose screen it is. An
// authenticator that such a program starts cannot read the configuration.
func ScreenLocker(service string) bool { return slices.Contains(screenLockers, service) }

// LockersFile is where locker_services of a configuration stand for screen lockers to read, one name a line.
func LockersFile(path string) string { return strings.TrimSuffix(path, ".conf") + ".lockers" }

// lockersLimit bounds the file.
const lockersLimit = 16 << 10

// ReadLockers returns what a configuration's LockersFile says. A missing one says nothing.
func ReadLockers(path string) ([]string, error) {
	text, err := securefile.Read(LockersFile(path), lockersLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(text)), err
}

// PublishLockers makes the LockersFile say what locker_services says. It returns whether that was a change.
func (c *Config) PublishLockers() (bool, error) {
	switch published, err := ReadLockers(c.Path); {
	case err != nil:
		return false, err
	case slices.Equal(published, c.LockerServices):
		return false, nil
	}
	if len(c.LockerServices) == 0 {
		return true, os.Remove(LockersFile(c.Path))
	}
	return true, securefile.Write(LockersFile(c.Path), []byte(strings.Join(c.LockerServices, "\n")+"\n"), 0o644)
}
