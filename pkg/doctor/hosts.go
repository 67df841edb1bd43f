package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/installer"
	"github.com/latch-linux/latch/pkg/openvpn"
	"github.com/latch-linux/latch/pkg/pamconf"
)

// Limits beyond which the doctor warns.
const (
	clockLimit = 30 * time.Second
	certLimit  = 30 * 24 * time.Hour
)

// server asks the Latch server: name, connection, certificate, credentials and clock, in one question.
func (e *examination) server() {
	c := e.config
	if c == nil {
		return
	}
	skew, err := e.Server(e.ctx, c)
	if err != nil {
		e.fail("server", "latch setup, if the server or its CA has changed", "%v", err)
	} else {
		e.ok("server", "%s answers and knows the application", c.Host)
	}
	if skew.Abs() > clockLimit {
		e.warn("clock", "timedatectl set-ntp true", "this machine's clock differs from the server's by %v", skew.Abs().Round(time.Second))
	} else if err == nil {
		e.ok("clock", "as the server's")
	}
	if err != nil {
		return
	}
	switch ends, err := e.Expiry(e.ctx, c); {
	case err != nil:
		e.warn("certificate", "", "%v", err)
	case ends.Sub(e.Now()) < certLimit:
		e.warn("certificate", "renew it on the server", "the server's certificate ends on %s", ends.Format(time.DateOnly))
	default:
		e.ok("certificate", "until %s", ends.Format(time.DateOnly))
	}
}

func (e *examination) sshd() {
	s, err := installer.SSHDSettings(e.ctx, e.Run, "")
	if err != nil {
		e.warn("sshd", "run sshd -t", "%v", err)
	}
	if s == nil {
		return
	}
	if s["usepam"] != "yes" {
		e.fail("sshd", "set UsePAM yes and reload sshd", "UsePAM is %s: sshd asks no PAM module", s["usepam"])
		return
	}
	e.ok("sshd", "UsePAM yes")
	if penalties := s["persourcepenalties"]; penalties != "" && penalties != "no" {
		e.warn("sshd", "exempt the addresses that many people share with PerSourcePenaltyExemptList",
			"PerSourcePenalties is on: a few refusals of one closed user block everybody who comes from the same address")
	}
	code := e.config != nil && e.config.OTP != "no"
	if code && s["kbdinteractiveauthentication"] == "no" && s["passwordauthentication"] == "yes" {
		e.warn("sshd", "set KbdInteractiveAuthentication yes and PasswordAuthentication no",
			"otp is set, and sshd's password method cannot ask for a code")
	}
}

// keys warns where a public key comes in unasked.
func (e *examination) keys(all []installer.Asking) {
	i := slices.IndexFunc(all, func(a installer.Asking) bool { return a.Service == "sshd" })
	if i < 0 || len(all[i].Phases) == 0 {
		return
	}
	if _, asks := all[i].Phases[pamconf.Account]; !asks {
		e.fail("service sshd", "latch uninstall sshd, then latch install sshd",
			"the account phase does not ask, so a public key comes in past the latch")
	}
}

func (e *examination) sudo() {
	if !e.PAM.Asks("sudo") {
		return
	}
	if _, err := e.PAM.Read("sudo-i"); err == nil && !e.PAM.Asks("sudo-i") {
		e.warn("service sudo-i", "latch install sudo-i", "sudo asks and sudo -i does not: with a closed latch it works still")
	}
	files, _ := filepath.Glob(e.Root + "/etc/sudoers.d/*") // a pattern without errors
	for _, path := range append([]string{e.Root + "/etc/sudoers"}, files...) {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(data), "\n") {
			line, _, _ = strings.Cut(line, "#")
			if strings.Contains(strings.ReplaceAll(line, " ", ""), "timestamp_timeout=0") {
				e.ok("sudo", "asks every time (timestamp_timeout=0)")
				return
			}
		}
	}
	e.ok("sudo", "does not ask again for a while after a password (15 minutes by default; Defaults timestamp_timeout=0 makes it)")
}

// openvpn looks for servers that never come to PAM, or in whose way something stands.
func (e *examination) openvpn() {
	for _, pattern := range []string{"/etc/openvpn/*.conf", "/etc/openvpn/server/*.conf"} {
		paths, _ := filepath.Glob(e.Root + pattern) // patterns without errors
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil && openvpn.IsServer(text) {
				e.vpnServer(strings.TrimPrefix(path, e.Root), text)
			}
		}
	}
}

func (e *examination) vpnServer(name string, text []byte) {
	install := "latch install openvpn --server-config " + name
	codes := e.Profile.Name == openvpn.Service && e.config != nil && e.config.OTP != "no"
	findings, err := openvpn.Examine(text, codes)
	if err != nil {
		e.warn("openvpn", "mend it: OpenVPN does not start with it", "%s: %v", name, err)
		return
	}
	if tight, err := installer.TightUnit(name); err == nil && tight != "" {
		findings = append(findings, openvpn.Finding{Text: tight})
	}
	if len(findings) == 0 && !e.PAM.Asks(openvpn.Service) {
		findings = []openvpn.Finding{{Text: "asks PAM, but /etc/pam.d/" + openvpn.Service + " does not ask the latch"}}
	}
	for _, f := range findings {
		state, fix := Warn, f.Fix
		if f.Grave {
			state = Fail
		}
		if fix == "" {
			fix = install
		}
		e.add("openvpn", state, fix, "%s: %s", name, f.Text)
	}
	if len(findings) == 0 {
		e.ok("openvpn", "%s asks the latch", name)
	}
}

func (e *examination) selinux() {
	enforces, loaded := installer.SELinux(e.Root, func(name string, args ...string) ([]byte, error) { return e.Run(e.ctx, name, args...) })
	switch {
	case enforces && loaded:
		e.ok("SELinux", "our policy module is loaded")
	case enforces:
		e.fail("SELinux", "load our policy module (semodule -i latch.pp)", "SELinux enforces and our policy module is not loaded: logins cannot reach the Latch server")
	}
}
