package doctor

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/openvpn"
	"github.com/latch-linux/latch/pkg/setup/sshd"
)

// Limits beyond which the doctor warns.
const (
	clockLimit = 30 * time.Second
	certLimit  = 30 * 24 * time.Hour
)

// server asks the Latch server: name, connection, certificate, credentials and clock, in one question. What comes behind
// the one that fails is not known.
func (e *examination) server() {
	c := e.config
	if c == nil {
		return
	}
	skew, err := e.Server(e.ctx, c)
	e.answer(c.Host.String(), err)
	if skew.Abs() > clockLimit {
		e.warn("clock", "timedatectl set-ntp true", "this machine's clock differs from the server's by %v", skew.Abs().Round(time.Second))
	} else if err == nil {
		e.ok("clock", "as the server's")
	}
	if err != nil {
		return
	}
	remote, err := e.Connect(c)
	if err != nil {
		e.fail("server", "look at ca_file and proxy in the configuration", "%v", err)
		return
	}
	e.remote = remote
	if c.Proxy != nil { // which alone may reach the server
		e.ok("certificate", "its end is not known behind a proxy")
		return
	}
	switch ends, err := e.Expiry(e.ctx, c); {
	case err != nil:
		e.warn("certificate", "look at it by hand: openssl s_client -connect "+c.Host.Host, "%v", err)
	case ends.Sub(e.Now()) < certLimit:
		e.warn("certificate", "renew it on the server", "the server's certificate ends on %s", ends.Format(time.DateOnly))
	default:
		e.ok("certificate", "until %s", ends.Format(time.DateOnly))
	}
}

// answer says how far the question came.
func (e *examination) answer(host string, err error) {
	var name *net.DNSError
	kind := client.KindOf(err)
	if errors.As(err, &name) {
		e.unknownName(name, err)
		return
	}
	switch {
	case err != nil && kind == client.KindLocal:
		e.fail("server", "look at ca_file and proxy in the configuration, and at this machine's limits", "%v", err)
		return
	case kind == client.KindNoAnswer && err != nil:
		e.fail("server", "is it up, and does a firewall or the proxy let this machine through to "+host+"?", "%v", err)
		return
	}
	e.ok("DNS", "%s is found", host)
	if kind == client.KindCertificate {
		e.fail("TLS", "if the server or its CA has changed: "+e.latch("setup "+host), "%v", err)
		return
	}
	e.ok("TLS", "the certificate verifies")
	switch {
	case err == nil:
		e.ok("credentials", "the server knows the application")
		e.ok("server", "%s answers", host)
	case kind == client.KindBadAnswer:
		e.fail("server", "is latch_host a Latch server, and api_version right?", "%v", err)
	default:
		e.fail("credentials", "compare app_id and secret_key with the server's, or run "+e.latch("setup")+" again", "%v", err)
	}
}

func (e *examination) sshd() {
	e.about("sshd")
	s := e.PAM.SSHD
	if s == nil {
		return
	}
	if s.Set["usepam"] != "yes" {
		e.fail("sshd", "latch install sshd", "UsePAM is %s: sshd asks no PAM module", s.Set["usepam"])
		return
	}
	e.ok("sshd", "UsePAM yes")
	if penalises(s.Set) { // as OpenSSH 9.8 and newer are delivered
		e.ok("sshd", "PerSourcePenalties is on: a few refusals block the address that they come from for a while; "+
			"exempt one that many people share with PerSourcePenaltyExemptList")
	}
	c := e.configOf(s.Services()[0])
	if c == nil || !c.Asks() {
		return
	}
	if where, found := s.PasswordOnly(); found {
		e.passwordOnly(s, where)
	}
	if c.OTPRequired && c.OTP != "no" && s.Set["pubkeyauthentication"] == "yes" && s.KeyAlone() {
		e.warn("sshd", s.First("AuthenticationMethods publickey,keyboard-interactive:pam", "KbdInteractiveAuthentication yes")+
			", or exempt who logs in by key", "otp_required = yes refuses a key alone, which sshd takes for enough")
	}
}

// passwordOnly says that codes are wanted where sshd cannot ask for one.
func (e *examination) passwordOnly(s *sshd.State, where string) {
	if where != "" {
		where += ": "
	}
	fix := "latch install sshd"
	var obstacle *sshd.Obstacle
	if _, err := s.Need(sshd.WantedCode); errors.As(err, &obstacle) {
		fix = obstacle.Remedy
	}
	e.fail("sshd", fix, "%sotp is set, and sshd's password method cannot ask for a code: users who have one are refused", where)
}

// penalises reports whether refused logins close sshd to a whole address (OpenSSH 9.8 and newer), and nobody has seen to it.
func penalises(sshd map[string]string) bool {
	penalties, exempt := strings.Fields(sshd["persourcepenalties"]), sshd["persourcepenaltyexemptlist"]
	return len(penalties) > 0 && penalties[0] != "no" && !slices.Contains(penalties, "authfail:0") && (exempt == "" || exempt == "none")
}

// sideDoors finds the services by which sshd and sudo let in past a closed latch.
func (e *examination) sideDoors() {
	for _, p := range e.PAM.Programs() {
		if p.Err != nil {
			e.warn(p.Name, "repair its configuration: sshd -t, visudo -c", "%v", p.Err)
		}
	}
	for _, door := range e.PAM.SideDoors(nil) {
		state := Warn
		if door.Only {
			state = Fail
		}
		e.about(door.Program.Name)
		e.add("service "+door.Service, state, door.Remedy(), "%s", door.Text())
	}
}

func (e *examination) sudo() {
	e.about("sudo")
	if !slices.ContainsFunc(e.scan, func(a installer.ServiceState) bool { return e.PAM.UsedBy(a.Service) == "sudo" && len(a.Phases) > 0 }) {
		return
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
	e.about(openvpn.Service)
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
	c := e.configOf(openvpn.Service)
	findings, err := openvpn.Examine(text, c != nil && c.Asks())
	if err != nil {
		e.warn("openvpn", "correct the file: OpenVPN does not start with it", "%s: %v", name, err)
		return
	}
	if problems, err := e.PAM.VPNUnitProblems(name); err == nil {
		for _, p := range problems {
			findings = append(findings, openvpn.Finding{Text: p.Text})
		}
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
		e.fail("SELinux", "load our policy module ("+installer.LoadPolicy+")", "SELinux enforces and our policy module is not loaded: logins cannot reach the Latch server")
	}
}
