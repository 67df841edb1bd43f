package openvpn

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// jail makes a directory for chroot in which an unprivileged server can keep its temporary files.
func jail(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "jail-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run("install", "-d", "-m", "1777", dir+"/tmp"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestChroot has a server that locks itself in after its start. The plugin's process, and with it PAM, stays outside: it
// asks the latch. Where its answer is to come later, the file for it must have the same path inside and outside.
func TestChroot(t *testing.T) {
	plain, linked := jail(t), jail(t)
	// Inside, the path that the directory has outside leads back to the top.
	if err := os.MkdirAll(linked+"/var/lib", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../..", linked+"/var/lib/"+filepath.Base(linked)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		before string
		defers bool
	}{
		"alone":                   {"chroot " + plain, false},
		"with a tmp-dir for both": {"chroot " + linked + "\ntmp-dir " + linked + "/tmp", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", "/tmp") // inside, there is no other
			v := startVPN(t, setting{before: c.before + "\n"})
			if strings.Contains(v.config, "deferred_auth_pam") != c.defers {
				t.Errorf("the configuration defers: %v\n%s", !c.defers, v.config)
			}
			closeLatch(t, ana)
			v.expect(t, map[string]bool{ana: false, bob: true})
		})
	}
}

// TestWithoutCertificates has a server that wants none, and says that it could do without a password: the plugin cannot.
func TestWithoutCertificates(t *testing.T) {
	v := startVPN(t, setting{before: "verify-client-cert none\nauth-user-pass-optional\n"})
	v.anybody = true
	closeLatch(t, ana)
	v.expect(t, map[string]bool{ana: false, bob: true})
	v.anybody = false
	if v.gotIn(t, v.connect(t, nil, inNull...)) {
		t.Error("a certificate alone is enough")
	}
}

// TestWithoutAPassword has a client that shows its certificate and sends no password.
func TestWithoutAPassword(t *testing.T) {
	v := startVPN(t, setting{})
	client := v.connect(t, nil, inNull...)
	if got := v.await("Username/Password was not provided", "Peer Connection Initiated"); !strings.HasPrefix(got, "Username") {
		t.Errorf("%q\n%s", got, v.text())
	}
	if strings.Contains(client.text(), clientIn) {
		t.Error("a certificate alone is enough")
	}
}

// TestDoctor has latch doctor look at a server before and after.
func TestDoctor(t *testing.T) {
	doctor := func() string {
		out, _ := latch(t, "doctor", "--profile", "openvpn", "--json")
		var answer struct{ Findings []struct{ Found string } }
		if err := json.Unmarshal([]byte(out), &answer); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var rows []string
		for _, f := range answer.Findings {
			if strings.Contains(f.Found, vpnConf) {
				rows = append(rows, f.Found)
			}
		}
		return strings.Join(rows, "\n")
	}
	writeConfig(t, vpnConf, serverText("127.0.0.1", 1194))
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "certificates alone open it"},
		{func() { must(t, "install", "openvpn", "--yes") }, "from one address"},
		{func() { must(t, "uninstall", "openvpn", "--yes") }, "certificates alone open it"},
		{func() {
			writeConfig(t, vpnConf, strings.Replace(serverText("127.0.0.1", 1194), "local 127.0.0.1\n", "", 1))
			must(t, "install", "openvpn", "--yes")
		}, "asks the latch"},
		{func() { writeStack(t, "auth required pam_unix.so", "account required pam_unix.so") }, "does not ask the latch"},
	} {
		step.do()
		if got := doctor(); !strings.Contains(got, step.want) {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
	t.Cleanup(func() { must(t, "uninstall", "openvpn", "--yes") })
}
