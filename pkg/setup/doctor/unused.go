package doctor

import (
	"os"
	"slices"
	"strings"
)

// hosts are programs that log in by a PAM service of a fixed name, wherever a distribution puts them.
var hosts = map[string][]string{
	"cockpit": {"/usr/lib/cockpit/cockpit-session", "/usr/libexec/cockpit-session"}, "doas": {"/usr/bin/doas"},
	"gdm-password": {"/usr/sbin/gdm3", "/usr/sbin/gdm", "/usr/bin/gdm"}, "lightdm": {"/usr/sbin/lightdm", "/usr/bin/lightdm"},
	"login": {"/bin/login", "/usr/bin/login"}, "openvpn": {"/usr/sbin/openvpn", "/usr/bin/openvpn"},
	"polkit-1": {"/usr/bin/pkexec", "/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd"}, "sddm": {"/usr/bin/sddm"},
	"sshd": {"/usr/sbin/sshd", "/usr/bin/sshd"}, "su": {"/bin/su", "/usr/bin/su"}, "su-l": {"/bin/su", "/usr/bin/su"},
	"sudo": {"/usr/bin/sudo"}, "sudo-i": {"/usr/bin/sudo"}, "vsftpd": {"/usr/sbin/vsftpd"}, "xrdp-sesman": {"/usr/sbin/xrdp-sesman", "/usr/bin/xrdp-sesman"},
}

// unused finds services that have our line, but no program that would read it. Of a name that is not in hosts the package
// database knows whether its program is gone.
func (e *examination) unused(service string) {
	check, uninstall := "service "+service, "latch uninstall "+service
	if lower := strings.ToLower(service); e.PAM.NeverRead(service) {
		e.warn(check, uninstall+", then latch install "+lower, "nobody uses it: libpam reads the file %s, in lower case, instead", lower)
		return
	}
	programs, known := hosts[service]
	switch {
	case known && !slices.ContainsFunc(programs, func(path string) bool { _, err := os.Stat(e.Root + path); return err == nil }):
		e.warn(check, uninstall, "nobody uses it: there is no %s", strings.Join(programs, ", no "))
	case !known && e.packageGone(service):
		e.warn(check, uninstall, "nobody uses it: the package of its program is removed")
	}
}

// packageGone reports whether dpkg has kept a service file as the configuration of a removed package. rpm removes it.
func (e *examination) packageGone(service string) bool {
	out, err := e.Run(e.ctx, "dpkg-query", "-S", "/etc/pam.d/"+service)
	owner, _, found := strings.Cut(string(out), ":")
	if err != nil || !found {
		return false
	}
	out, err = e.Run(e.ctx, "dpkg-query", "-W", "-f", "${db:Status-Status}", owner)
	return err == nil && string(out) == "config-files"
}
