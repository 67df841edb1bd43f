package install

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	sshdConfig = "/etc/ssh/sshd_config"
	dropIn     = "/etc/ssh/sshd_config.d/00-latch.conf"
)

// startSSHD runs sshd with its own configuration, to which lines are added in front of everything but the include.
func startSSHD(t *testing.T, lines ...string) (address string) {
	t.Helper()
	shipped, err := os.ReadFile(sshdConfig)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	text := "Include /etc/ssh/sshd_config.d/*.conf\nPort " + port + "\nListenAddress 127.0.0.1\n" + strings.Join(lines, "\n") + "\n" + string(shipped)
	if err := os.WriteFile(sshdConfig, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-A").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	sshd := exec.Command("/usr/sbin/sshd", "-D", "-e")
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sshd.Process.Kill()
		_ = sshd.Wait()
		if err := os.WriteFile(sshdConfig, shipped, 0o644); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll("/run/sshd"); err != nil {
			t.Error(err)
		}
		_ = os.Remove("/run/sshd.pid")
	})
	return address
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
}

var offer = regexp.MustCompile(`Authentications that can continue: (\S+)`)

// offered are the methods that sshd offers a client which has shown nothing.
func offered(t *testing.T, address string) string {
	t.Helper()
	// A sshd that was told to read its configuration anew is away for a moment.
	time.Sleep(200 * time.Millisecond)
	await(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	host, port, _ := net.SplitHostPort(address)
	out, _ := exec.Command("ssh", "-v", "-p", port, "-o", "PreferredAuthentications=none", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", ana+"@"+host, "true").CombinedOutput()
	match := offer.FindSubmatch(out)
	if match == nil {
		t.Fatalf("no offer in %s", out)
	}
	return string(match[1])
}

// usesPAM is what sshd's effective configuration says.
func usesPAM(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("/usr/sbin/sshd", "-T").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(out), "\n") {
		if value, ok := strings.CutPrefix(line, "usepam "); ok {
			return value
		}
	}
	return ""
}

func TestSSHDAsksPAMAndOffersNoMore(t *testing.T) {
	before := tree(t)
	address := startSSHD(t, "UsePAM no", "KbdInteractiveAuthentication no")
	offers := offered(t, address)
	out := must(t, "install", "sshd", "--yes")
	if !strings.Contains(out, "+UsePAM yes") || strings.Contains(out, "+KbdInteractive") {
		t.Errorf("the diff: %s", out)
	}
	if usesPAM(t) != "yes" {
		t.Error("sshd would not ask PAM")
	}
	if after := offered(t, address); after != offers {
		t.Errorf("sshd offered %s and offers %s", offers, after)
	}
	must(t, "uninstall", "sshd", "--yes")
	if _, err := os.Stat(dropIn); err == nil || usesPAM(t) != "no" {
		t.Errorf("the drop-in stays: %v", err)
	}
	same(t, "uninstalling sshd", before)
}

func TestSSHDIsNotOpenedForPasswords(t *testing.T) {
	before := tree(t)
	for _, c := range []struct {
		name  string
		lines []string
		args  []string
		says  string
		other string // drop-in
	}{
		{"passwords off, PAM off", []string{"UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication yes"}, nil, "passwords", ""},
		{"passwords off, a code", []string{"UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no"}, []string{"--otp", "yes"}, "AuthenticationMethods", ""},
		{"passwords off for one, PAM off", []string{"UsePAM no", "KbdInteractiveAuthentication yes"}, nil, "Match User ana", "Match User ana\nPasswordAuthentication no\n"},
		{"passwords off for one, a code", []string{"UsePAM yes", "KbdInteractiveAuthentication no"}, []string{"--otp", "yes"}, "Match User ana", "Match User ana\n\tPasswordAuthentication=no\n"},
		{"interactive for one", []string{"UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no"}, nil, "Match User ana", "Match User ana\nChallengeResponseAuthentication yes\n"},
		{"another file comes first", []string{"UsePAM no", "KbdInteractiveAuthentication no"}, nil, "sets it first", "UsePAM no\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.other != "" {
				const other = "/etc/ssh/sshd_config.d/00-a.conf"
				if err := os.WriteFile(other, []byte(c.other), 0o644); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.Remove(other) })
			}
			address := startSSHD(t, c.lines...)
			offers := offered(t, address)
			_, errs, status := latch(t, nil, append([]string{"install", "sshd", "--yes"}, c.args...)...)
			if status == 0 || !strings.Contains(errs, c.says) {
				t.Errorf("%d %s", status, errs)
			}
			if after := offered(t, address); after != offers {
				t.Errorf("sshd offered %s and offers %s", offers, after)
			}
			same(t, c.name, before)
		})
	}
	t.Run("no include", func(t *testing.T) {
		startSSHD(t, "UsePAM no")
		if err := os.WriteFile(sshdConfig, []byte("PermitRootLogin no\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, errs, status := latch(t, nil, "install", "sshd", "--yes"); status == 0 || !strings.Contains(errs, `Include /etc/ssh/sshd_config.d/*.conf" first`) {
			t.Errorf("%d %s", status, errs)
		}
		if err := os.WriteFile(sshdConfig, []byte("UsePAM no\nKbdInteractiveAuthentication no\nInclude sshd_config.d/*.conf\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, errs, status := latch(t, nil, "install", "sshd", "--yes"); status == 0 || !strings.Contains(errs, "before it includes") {
			t.Errorf("%d %s", status, errs)
		}
		same(t, "no include", before)
	})
	t.Run("a code behind a key", func(t *testing.T) {
		address := startSSHD(t, "UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
			"AuthenticationMethods publickey publickey,keyboard-interactive:pam")
		offers := offered(t, address)
		out := must(t, "install", "sshd", "--otp", "yes", "--yes")
		if !strings.Contains(out, "+KbdInteractiveAuthentication yes") {
			t.Errorf("the diff: %s", out)
		}
		if after := offered(t, address); after != offers {
			t.Errorf("sshd offered %s and offers %s", offers, after)
		}
		must(t, "uninstall", "sshd", "--yes")
		same(t, "a code behind a key", before)
	})
	if left, _ := filepath.Glob("/etc/ssh/sshd_config.d/*"); len(left) > 0 {
		t.Error(fmt.Sprint("left: ", left))
	}
}
