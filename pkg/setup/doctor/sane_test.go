package doctor_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/doctor"
)

// sane is a machine as it is after setup, pair and install, where every decision is on record.
func sane(t *testing.T) doctor.Machine {
	t.Helper()
	m := patient(t)
	m.Authenticator, m.ModuleDirs = m.Root+"/latch-auth", []string{m.Root + "/security"}
	put(t, m.Authenticator, "")
	put(t, m.Root+"/security/pam_latch.so", "")
	put(t, m.Root+"/usr/sbin/sshd", "")
	put(t, m.Root+"/etc/shadow", "root:*:1::\n")
	put(t, m.Root+"/etc/pam.d/sshd", "auth requisite pam_unix.so\nauth required pam_latch.so\naccount required pam_latch.so\naccount required pam_unix.so\n")
	put(t, m.Profiles[0].Accounts, "ana: "+accountOf("a")+"\n")
	configured("action = open\nexempt_users = deploy")(t, &m)
	if err := os.Chmod(m.Authenticator, 0o755); err != nil {
		t.Fatal(err)
	}
	listen(t, m.Root+"/dev/log")
	m.Find = func(string) (int64, bool, error) { return 1000, true, nil }
	m.Run = func(_ context.Context, name string, _ ...string) ([]byte, error) {
		switch name {
		case "getent":
			return []byte("root:x:0:0::/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\ndeploy:x:1001:1001::/home/deploy:/bin/sh\n"), nil
		case "/usr/sbin/sshd":
			return []byte("usepam yes\npermitrootlogin no\npersourcepenalties authfail:5\n"), nil
		}
		return nil, os.ErrNotExist
	}
	return m
}

// listen makes a socket that takes log lines.
func listen(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(path)) // a socket's name is short
	socket, err := net.ListenPacket("unixgram", filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
}

// TestSaneMachineHasNoWarning, and each thing that is taken away has one.
func TestSaneMachineHasNoWarning(t *testing.T) {
	for _, c := range []struct {
		name, path  string
		check, says string
	}{
		{"nothing", "", "", ""},
		{"no log", "/dev/log", "log", "the reason of a refusal is lost"},
		{"no sshd", "/usr/sbin/sshd", "service sshd", "nobody uses it: there is no /usr/sbin/sshd, no /usr/bin/sshd"},
		{"no authenticator", "/latch-auth", "authenticator", "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sane(t)
			if c.path != "" {
				if err := os.Remove(m.Root + c.path); err != nil {
					t.Fatal(err)
				}
			}
			var found []doctor.Finding
			mode := false
			for _, f := range m.Examine(t.Context()) {
				mode = mode || f.Check == "mode" && strings.HasPrefix(f.Text, "exec: ")
				if f.State != doctor.OK {
					found = append(found, f)
				}
			}
			switch {
			case !mode:
				t.Error("nothing says which program decides")
			case c.check == "" && len(found) > 0:
				t.Errorf("found %+v", found)
			case c.check != "" && (len(found) != 1 || found[0].Check != c.check || !strings.Contains(found[0].Text, c.says) || found[0].Fix == ""):
				t.Errorf("want %s of %s alone, found %+v", c.says, c.check, found)
			}
		})
	}
}

// TestServicesThatNobodyUses: libpam reads lower-case names alone, and dpkg leaves the files of removed packages.
func TestServicesThatNobodyUses(t *testing.T) {
	for service, says := range map[string]string{
		"MyApp":  "warn nobody uses it: libpam reads the file myapp, in lower case, instead [latch uninstall MyApp, then latch install myapp]",
		"gone":   "warn nobody uses it: the package of its program is removed [latch uninstall gone]",
		"kept":   "ok asks in auth",
		"manual": "ok asks in auth",
		"login":  "warn nobody uses it: there is no /bin/login, no /usr/bin/login",
	} {
		m := sane(t)
		put(t, m.Root+"/etc/pam.d/"+service, "auth requisite pam_unix.so\nauth required pam_latch.so\n")
		m.Run = func(_ context.Context, name string, args ...string) ([]byte, error) {
			switch command := name + " " + strings.Join(args, " "); command {
			case "dpkg-query -S /etc/pam.d/gone":
				return []byte("goned: /etc/pam.d/gone\n"), nil
			case "dpkg-query -S /etc/pam.d/kept":
				return []byte("keptd:amd64: /etc/pam.d/kept\n"), nil
			case "dpkg-query -W -f ${db:Status-Status} goned":
				return []byte("config-files"), nil
			case "dpkg-query -W -f ${db:Status-Status} keptd":
				return []byte("installed"), nil
			}
			return nil, os.ErrNotExist
		}
		if got := lookedAt(m, "service "+service); !strings.Contains(got, says) {
			t.Errorf("%s: got %s", service, got)
		}
	}
}
