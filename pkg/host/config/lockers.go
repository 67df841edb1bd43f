package config

import "slices"

// screenLockers are the PAM services of programs that unlock a screen as the user whose screen it is, without root.
var screenLockers = []string{
	"cinnamon-screensaver", "cosmic-greeter", "gnome-screensaver", "gtklock", "hyprlock", "i3lock", "kde", "kde-fingerprint",
	"kde-smartcard", "kscreenlocker", "light-locker", "mate-screensaver", "phosh", "quickshell", "swaylock", "sxlock", "vlock", "waylock",
	"xfce4-screensaver", "xlock", "xscreensaver", "xsecurelock",
}

// ScreenLocker reports whether a PAM service is that of a screen locker, which runs as the user whose screen it is. An
// authenticator that such a program starts cannot read the configuration.
func ScreenLocker(service string) bool { return slices.Contains(screenLockers, service) }
