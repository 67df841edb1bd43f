package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/setup/doctor"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// patient is a machine of files in a directory of its own, with a server that answers.
func patient(t *testing.T) doctor.Machine {
	t.Helper()
	root := t.TempDir()
	m := doctor.Machine{
		Profiles: []config.Profile{
			{Name: "system", Config: root + "/latch.conf", Accounts: root + "/latch.accounts"},
			{Name: "openvpn", Config: root + "/openvpn.conf", Accounts: root + "/openvpn.accounts"},
		},
		PAM:     installer.System{PamDirs: []string{root + "/etc/pam.d"}, StateDir: root + "/state", Root: root},
		Root:    root,
		Now:     time.Now,
		Server:  func(context.Context, *config.Config) (time.Duration, error) { return 0, nil },
		Connect: func(*config.Config) (doctor.LatchServer, error) { return &remote{}, nil },
		Expiry:  func(context.Context, *config.Config) (time.Time, error) { return time.Now().AddDate(1, 0, 0), nil },
		Find:    func(string) (int64, bool, error) { return 0, false, nil },
		Run:     func(context.Context, string, ...string) ([]byte, error) { return nil, errors.New("no program here") },
	}
	put(t, m.Profiles[0].Config, "app_id = "+strings.Repeat("a", 20)+"\nsecret_key = "+strings.Repeat("b", 40)+"\n")
	put(t, m.Profiles[0].Accounts, "")
	return m
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// configured adds a line to the system's configuration.
func configured(line string) func(*testing.T, *doctor.Machine) {
	return func(t *testing.T, m *doctor.Machine) {
		t.Helper()
		text, err := os.ReadFile(m.Profiles[0].Config)
		if err != nil {
			t.Fatal(err)
		}
		put(t, m.Profiles[0].Config, string(text)+line+"\n")
	}
}

// runs answers as one program with arguments.
func runs(command, output string) func(context.Context, string, ...string) ([]byte, error) {
	return func(_ context.Context, name string, args ...string) ([]byte, error) {
		if strings.HasPrefix(name+" "+strings.Join(args, " "), command) {
			return []byte(output), nil
		}
		return nil, errors.New("no such program here")
	}
}

// unknown is a server whose name neither /etc/hosts nor DNS knows.
func unknown(name string) func(context.Context, *config.Config) (time.Duration, error) {
	return func(context.Context, *config.Config) (time.Duration, error) {
		return 0, &client.Error{Kind: client.KindBadAnswer, Err: &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}}
	}
}

// TestWhatIsFound spoils one thing at a time and expects one finding.
func TestWhatIsFound(t *testing.T) {
	ends := func(days int) func(*testing.T, *doctor.Machine) {
		return func(_ *testing.T, m *doctor.Machine) {
			m.Expiry = func(context.Context, *config.Config) (time.Time, error) {
				return time.Now().AddDate(0, 0, days).Add(time.Hour), nil
			}
		}
	}
	skewed := func(by time.Duration) func(*testing.T, *doctor.Machine) {
		return func(_ *testing.T, m *doctor.Machine) {
			m.Server = func(context.Context, *config.Config) (time.Duration, error) { return by, nil }
		}
	}
	printed := func(command, output string) func(*testing.T, *doctor.Machine) {
		return func(_ *testing.T, m *doctor.Machine) { m.Run = runs(command, output) }
	}
	file := func(path, text string) func(*testing.T, *doctor.Machine) {
		return func(t *testing.T, m *doctor.Machine) { put(t, m.Root+path, text) }
	}
	for name, c := range map[string]struct {
		spoil        func(*testing.T, *doctor.Machine)
		check, state string
		says         string
	}{
		"a name that only a module of the name service knows": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/etc/nsswitch.conf", "passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns # last\n")
			m.Server = unknown("latch.local")
			m.Run = runs("getent ahosts latch.local", "192.0.2.7      STREAM latch.local\n192.0.2.7      DGRAM\n")
		}, "DNS", "fail", "only a module of the name service knows latch.local (hosts: in /etc/nsswitch.conf has mdns4_minimal, resolve)"},
		"a name that nobody knows": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/etc/nsswitch.conf", "hosts: files mdns4_minimal dns\n")
			m.Server = unknown("latch.local")
		}, "DNS", "fail", "no such host"},
		"services of lockers that no locker can read": {configured("locker_services = mylock"), "lockers", "fail", "latch.lockers name different services"},
		"services of lockers": {func(t *testing.T, m *doctor.Machine) {
			configured("locker_services = mylock yourlock")(t, m)
			put(t, m.Root+"/latch.lockers", "mylock\nyourlock\n")
		}, "lockers", "ok", "mylock, yourlock unlock without being asked"},
		"host context for the cloud": {configured("host_context = yes"), "host_context", "warn", "latch.tu.com receives nothing"},
		"a certificate for 31 days":  {ends(31), "certificate", "ok", "until"},
		"a certificate for 29 days":  {ends(29), "certificate", "warn", "ends on"},
		"a certificate of the past":  {ends(-1), "certificate", "warn", "ends on"},
		"a certificate behind a proxy": {func(t *testing.T, m *doctor.Machine) {
			ends(-1)(t, m)
			configured("proxy = http://proxy.example:3128")(t, m)
		}, "certificate", "ok", "behind a proxy"},
		"a clock that is right":    {skewed(20 * time.Second), "clock", "ok", ""},
		"a clock that is behind":   {skewed(40 * time.Second), "clock", "warn", "40s"},
		"a clock that is ahead":    {skewed(-40 * time.Second), "clock", "warn", "40s"},
		"sshd without PAM":         {printed("/usr/sbin/sshd -T", "usepam no\n"), "sshd", "fail", "asks no PAM module"},
		"everybody by one address": {printed("/usr/sbin/sshd -T", "usepam yes\npersourcepenalties crash:90 authfail:5\n"), "sshd", "ok", "block the address"},
		"SELinux without a policy": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/sys/fs/selinux/enforce", "1")
			m.Run = runs("semodule -l", "abrt\nlatchet2\n")
		}, "SELinux", "fail", "not loaded"},
		"SELinux with our policy": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/sys/fs/selinux/enforce", "1\n")
			m.Run = runs("semodule -l", "abrt\nlatch\t1.0\n")
		}, "SELinux", "ok", ""},
		"the kernel denied something": {printed("journalctl -k", "apparmor=\"DENIED\" name=\"/usr/libexec/latch/latch-auth\"\n"), "denials", "fail", "1 times"},
		"sudo by another name": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/etc/pam.d/sudo", "auth requisite pam_unix.so\nauth required pam_latch.so\n")
			put(t, m.Root+"/etc/pam.d/corp", "auth requisite pam_unix.so\n")
			m.Run = runs("env LC_ALL=C sudo -V", "PAM service name to use: corp\nPAM service name to use for login shells: sudo-i\n")
		}, "service corp", "fail", "sudo uses the PAM service corp (pam_service in sudoers), which does not ask"},
		"sshd by another name": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/etc/pam.d/sshd", "auth requisite pam_unix.so\nauth required pam_latch.so\naccount required pam_latch.so\n")
			m.Run = runs("/usr/sbin/sshd -T", "usepam yes\npamservicename corp-ssh\n")
		}, "service corp-ssh", "fail", "has no file, so /etc/pam.d/other decides"},
		"sshd by another name for some": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/etc/pam.d/sshd", "auth requisite pam_unix.so\nauth required pam_latch.so\naccount required pam_latch.so\n")
			put(t, m.Root+"/etc/pam.d/bob-ssh", "auth requisite pam_unix.so\n")
			put(t, m.Root+"/etc/ssh/sshd_config", "Match User bob\nPAMServiceName bob-ssh\n")
			m.Run = runs("/usr/sbin/sshd -T", "usepam yes\npamservicename sshd\n")
		}, "service bob-ssh", "warn", "sshd uses the PAM service bob-ssh"},
		"a service that nobody uses": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/etc/pam.d/sudo", "auth requisite pam_unix.so\nauth required pam_latch.so\n")
			m.Run = runs("env LC_ALL=C sudo -V", "PAM service name to use: corp\nPAM service name to use for login shells: corp\n")
		}, "service sudo", "warn", "nobody uses it"},
		"certificates alone": {file("/etc/openvpn/server/a.conf", "server 10.8.0.0 255.255.255.0\n"), "openvpn", "warn", "certificates alone"},
		"tokens as passwords": {file("/etc/openvpn/a.conf", "mode server\nplugin openvpn-plugin-auth-pam.so openvpn\nauth-gen-token 0 external-auth\n"),
			"openvpn", "fail", "every tunnel ends"},
		"people without a pairing": {printed("getent passwd", "root:x:0:0::/:/bin/sh\nana:x:1000:1000::/:/bin/sh\nsvc:x:1001:1::/:/usr/sbin/nologin\n"), "people", "warn", "no latch: ana"},
		"no action chosen":         {func(*testing.T, *doctor.Machine) {}, "action", "warn", "everybody with the right password gets in; nobody has chosen that"},
		"action = open, chosen":    {configured("action = open"), "action", "ok", "latch.conf:3)"},
		"on_error = open":          {configured("on_error = open"), "on_error", "warn", "opens every latch"},
		"a phase that is skipped":  {file("/etc/pam.d/polkit-1", "auth requisite pam_unix.so\naccount required pam_latch.so\naccount required pam_unix.so\n"), "service polkit-1", "fail", "nobody is asked"},
		"a line of Telefónica's plugin": {file("/etc/pam.d/door", "auth requisite pam_unix.so\nauth sufficient pam_latch.so\nauth required pam_deny.so\n"),
			"service door", "fail", "an unpaired or exempt user is refused"},
		"a line alone":                     {file("/etc/pam.d/door", "auth required pam_latch.so\n"), "service door", "fail", "an unpaired or exempt user is refused"},
		"a line for a daemon without root": {file("/etc/pam.d/nginx", "auth requisite pam_unix.so\nauth required pam_latch.so\n"), "service nginx", "fail", "nginx's workers, without root"},
		"a line by which hyprlock unlocks": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/usr/bin/hyprlock", "")
			put(t, m.Root+"/etc/pam.d/su", "auth requisite pam_unix.so\nauth required pam_latch.so\n")
		}, "service su", "fail", "cp /etc/pam.d/su /etc/pam.d/hyprlock"},
		"a service that is exempt": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/etc/pam.d/door", "auth requisite pam_unix.so\nauth required pam_latch.so\n")
			configured("exempt_services = door")(t, m)
		}, "service door", "warn", "exempt_services"},
		"wrappers of the old plugin": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/usr/sbin/unpairSYS", "")
			if err := os.Chmod(m.Root+"/usr/sbin/unpairSYS", os.ModeSetuid|0o755); err != nil {
				t.Fatal(err)
			}
		}, "leftovers", "fail", "set-uid"},
		"the old plugin's shell": {func(t *testing.T, m *doctor.Machine) {
			put(t, m.Root+"/usr/bin/latch-shell", "")
			if err := os.Chmod(m.Root+"/usr/bin/latch-shell", os.ModeSetuid|0o755); err != nil {
				t.Fatal(err)
			}
		}, "leftovers", "fail", "set-uid"},
		"files of the old plugin": {file("/etc/ftp-latch.conf", ""), "leftovers", "warn", "/etc/ftp-latch.conf belongs"},
	} {
		t.Run(name, func(t *testing.T) {
			m := patient(t)
			c.spoil(t, &m)
			findings := m.Examine(context.Background())
			found := false
			for _, f := range findings {
				found = found || f.Check == c.check && f.State.String() == c.state && strings.Contains(f.Text, c.says)
				if f.State != doctor.OK && f.Fix == "" {
					t.Errorf("nobody knows what to do about %v", f)
				}
			}
			if !found {
				t.Errorf("no %s of %s in %v", c.state, c.check, findings)
			}
		})
	}
}

// lookedAt returns the findings of some checks as lines.
func lookedAt(m doctor.Machine, checks ...string) string {
	var b strings.Builder
	for _, f := range m.Examine(context.Background()) {
		if slices.Contains(checks, f.Check) {
			fmt.Fprintf(&b, "%s %v %s [%s]\n", f.Check, f.State, f.Text, f.Fix)
		}
	}
	return b.String()
}

// TestProfilesThatServicesUse has a machine on which OpenVPN alone asks, one on which sshd asks as well, and lines with files
// of their own.
func TestProfilesThatServicesUse(t *testing.T) {
	m := patient(t)
	root := m.Root
	const asks = "auth requisite pam_unix.so\nauth required pam_latch.so "
	put(t, m.Profiles[0].Config, "# app_id =\n") // as installed, not filled in
	put(t, m.Profiles[1].Config, "app_id = "+strings.Repeat("a", 20)+"\nsecret_key = "+strings.Repeat("b", 40)+"\nlatch_host = https://vpn.example\n")
	put(t, m.Profiles[1].Accounts, "")
	if got := lookedAt(m, "configuration", "profile"); !strings.Contains(got, m.Profiles[0].Config+": there is no app_id") || !strings.Contains(got, "[latch setup --config "+m.Profiles[0].Config) || strings.Contains(got, "profile ") {
		t.Errorf("nothing asks:\n%s", got)
	}

	put(t, root+"/etc/pam.d/openvpn", asks+"profile=openvpn\n")
	got := lookedAt(m, "profile", "configuration", "server", "pairings", "root")
	for _, want := range []string{m.Profiles[1].Config + " for openvpn; no service uses " + m.Profiles[0].Config,
		"configuration ok " + m.Profiles[1].Config, "https://vpn.example answers", "[latch pair CODE --profile openvpn --config " + m.Profiles[1].Config} {
		if !strings.Contains(got, want) {
			t.Errorf("OpenVPN alone: no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "fail") || strings.Contains(got, "root") && strings.Contains(got, "PermitRootLogin") {
		t.Errorf("OpenVPN alone:\n%s", got)
	}

	only := m
	only.Only = "system"
	if got := lookedAt(only, "profile", "configuration"); !strings.Contains(got, "configuration fail") || strings.Contains(got, "openvpn") {
		t.Errorf("the system's by name:\n%s", got)
	}

	put(t, root+"/etc/pam.d/sshd", asks+"\n")
	got = lookedAt(m, "profile", "configuration")
	system, vpn := strings.Index(got, "configuration fail"), strings.Index(got, "configuration ok")
	if system < 0 || vpn < system || !strings.Contains(got, "for sshd") || strings.Contains(got, "not examined") {
		t.Errorf("both:\n%s", got)
	}

	put(t, root+"/etc/pam.d/sshd", asks+"config="+root+"/own.conf accounts="+root+"/own.accounts\n")
	if got := lookedAt(m, "configuration"); !strings.Contains(got, "[latch setup --config "+root+"/own.conf --accounts "+root+"/own.accounts]") {
		t.Errorf("files of its own:\n%s", got)
	}
	put(t, root+"/etc/pam.d/sshd", asks+"colour=blue\n")
	if got := lookedAt(m, "service sshd"); !strings.Contains(got, "fail") || !strings.Contains(got, "colour=blue") {
		t.Errorf("an unknown argument:\n%s", got)
	}
}

// TestUsersOfADirectory: a directory may accept more names for a user than can be told here, so unpaired = open is worth a thought
// until somebody has had it.
func TestUsersOfADirectory(t *testing.T) {
	const text = "users whom the name service does not know: 1"
	for line, want := range map[string]string{"": "unpaired warn", "unpaired = open": "unpaired ok", "unpaired = close": ""} {
		m := patient(t)
		m.Only = "openvpn"
		put(t, m.Profiles[1].Config, "app_id = "+strings.Repeat("a", 20)+"\nsecret_key = "+strings.Repeat("b", 40)+"\n"+line+"\n")
		put(t, m.Profiles[1].Accounts, "zoe: "+strings.Repeat("z", 64)+"\nana: "+strings.Repeat("a", 64)+"\n")
		m.Find = func(name string) (int64, bool, error) { return 1000, name == "ana", nil }
		if got := lookedAt(m, "unpaired"); !strings.Contains(got, want) || strings.Contains(got, text) != (want != "") {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// TestCodesAreToldOnce has two profiles whose users have their one-time passwords in one place, first with no key to open them.
func TestCodesAreToldOnce(t *testing.T) {
	m := patient(t)
	for i, service := range []string{"sshd", "openvpn"} {
		put(t, m.Profiles[i].Config, "app_id = "+strings.Repeat("a", 20)+"\nsecret_key = "+strings.Repeat("b", 40)+"\nstate_dir = "+m.Root+"/var\notp_key = "+m.Root+"/otp.key\n")
		put(t, m.Profiles[i].Accounts, "")
		put(t, m.Root+"/etc/pam.d/"+service, "auth requisite pam_unix.so\nauth required pam_latch.so profile="+m.Profiles[i].Name+"\n")
	}
	put(t, m.Root+"/var/otp/ana", "broken")
	if got := lookedAt(m, "codes"); !strings.Contains(got, "fail the key") || strings.Contains(got, "[]") {
		t.Errorf("without a key:\n%s", got)
	}
	put(t, m.Root+"/otp.key", strings.Repeat("k", 32))
	if got := lookedAt(m, "codes"); strings.Count(got, "\n") != 1 || strings.Contains(got, "[]") {
		t.Errorf("want one line of two profiles:\n%s", got)
	}
}

// TestCodesAtRest: a key in no backup, records in the clear and authenticators that have ended are told, with what to do.
func TestCodesAtRest(t *testing.T) {
	m := patient(t)
	conf := "app_id = " + strings.Repeat("a", 20) + "\nsecret_key = " + strings.Repeat("b", 40) + "\nstate_dir = " + m.Root + "/var\notp_key = " + m.Root + "/otp.key\n"
	put(t, m.Profiles[0].Accounts, "")
	put(t, m.Root+"/etc/pam.d/sshd", "auth requisite pam_unix.so\nauth required pam_latch.so\n")
	store := otpstore.At(m.Root+"/var", m.Root+"/otp.key")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := store.CreateKey(t.Context())
	must(err)
	v := otpstore.Authenticator{Parameters: otp.Standard(), Secret: otp.Standard().NewSecret(), Window: otpstore.UsualWindow, Enrolled: time.Now().Unix() - 3600}
	must(store.Enrol(t.Context(), "ana", -1, v))
	told := func(lines string, present bool, want ...string) {
		t.Helper()
		put(t, m.Profiles[0].Config, conf+lines)
		got := lookedAt(m, "codes")
		for _, text := range want {
			if strings.Contains(got, text) != present {
				t.Errorf("%q is told: %v, in\n%s", text, !present, got)
			}
		}
	}
	const backup, sealed, ended = "is in no confirmed backup", "not sealed: ana", `the authenticator of "ana" has expired`
	told("", true, "warn "+m.Root+"/otp.key "+backup, "latch otp key --backed-up --config")
	told("", false, sealed, ended)
	must(store.Confirm(t.Context(), "eva"))
	told("", false, backup, sealed, ended)
	told("otp_lifetime = 1h\n", true, ended, "latch otp enroll --replace --user ana --config")
	store.Clear = true
	must(store.Enrol(t.Context(), "ana", -1, v))
	told("", true, sealed, "[latch otp encrypt --all --config")
	told("otp_encrypt = no\n", true, "otp_encrypt = no: everybody who can read")
	told("otp_refuse_clear = yes\n", true, "fail", "is not sealed")
	must(os.Remove(m.Root + "/otp.key"))
	told("", false, "restore", backup)
	put(t, m.Root+"/otp.key", "any")
	must(os.RemoveAll(store.Dir))
	told("otp = totp\n", true, "fail "+store.Dir+" is missing", "mkdir -m 700")

}

// TestSSHDAndCodes: what sshd lets in by, and whether a code can be asked for there.
func TestSSHDAndCodes(t *testing.T) {
	const password, key = "password method cannot ask for a code", "refuses a key alone"
	for _, c := range []struct{ keys, sshd, says string }{
		{"otp = totp", "kbdinteractiveauthentication no\npasswordauthentication yes", password},
		{"otp = totp", "kbdinteractiveauthentication yes\npasswordauthentication yes", ""},
		{"action = otp", "kbdinteractiveauthentication no\npasswordauthentication yes", password},
		{"otp = no", "kbdinteractiveauthentication no\npasswordauthentication yes", ""},
		{"otp = totp\notp_required = yes", "authenticationmethods any\nkbdinteractiveauthentication yes", key},
		{"otp = totp\notp_required = yes", "kbdinteractiveauthentication yes", key},
		{"otp = totp\notp_required = yes", "authenticationmethods publickey,keyboard-interactive:pam\nkbdinteractiveauthentication yes", ""},
		{"otp = totp\notp_required = yes", "authenticationmethods publickey,keyboard-interactive publickey\nkbdinteractiveauthentication yes", key},
		{"otp = totp", "authenticationmethods any\nkbdinteractiveauthentication yes", ""},
	} {
		m := patient(t)
		put(t, m.Profiles[0].Config, "app_id = "+strings.Repeat("a", 20)+"\nsecret_key = "+strings.Repeat("b", 40)+"\n"+c.keys+"\n")
		put(t, m.Root+"/etc/pam.d/sshd", "auth requisite pam_unix.so\nauth required pam_latch.so\naccount required pam_latch.so\n")
		m.Run = runs("/usr/sbin/sshd -T", "usepam yes\npubkeyauthentication yes\n"+c.sshd+"\n")
		got := lookedAt(m, "sshd")
		if c.says != "" && !strings.Contains(got, c.says) || c.says == "" && strings.Contains(got, "warn") {
			t.Errorf("%q, %q: want %q in\n%s", c.keys, c.sshd, c.says, got)
		}
	}
}
