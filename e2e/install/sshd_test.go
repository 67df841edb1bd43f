package install

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

const (
	sshdConfig = "/etc/ssh/sshd_config"
	dropIn     = "/etc/ssh/sshd_config.d/00-latch.conf"
)

// sshd is one that runs with its own configuration.
type sshd struct {
	address string
	log     string // the file with what it says
}

// startSSHD runs sshd with its own configuration, to which lines are added in front of everything but the include.
func startSSHD(t *testing.T, lines ...string) sshd {
	t.Helper()
	shipped, err := os.ReadFile(sshdConfig)
	if err != nil {
		t.Fatal(err)
	}
	s, port := sshd{address: freeAddress(t), log: filepath.Join(t.TempDir(), "log")}, ""
	_, port, _ = net.SplitHostPort(s.address)
	text := "Include /etc/ssh/sshd_config.d/*.conf\nPort " + port + "\nListenAddress 127.0.0.1\n" + strings.Join(lines, "\n") + "\n" + string(shipped)
	if err := os.WriteFile(sshdConfig, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	layHostKey(t)
	s.run(t)
	t.Cleanup(func() {
		if err := os.WriteFile(sshdConfig, shipped, 0o644); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll("/run/sshd"); err != nil {
			t.Error(err)
		}
		_ = os.Remove("/run/sshd.pid")
	})
	return s
}

// run starts sshd, waits until it listens, and ends it with the test.
func (s sshd) run(t *testing.T, options ...string) {
	t.Helper()
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("/usr/sbin/sshd", append([]string{"-D", "-e"}, options...)...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	await(t, func() bool { return s.starts(t) > 0 })
}

// starts is how often sshd began to listen: once more each time that it has read its configuration again.
func (s sshd) starts(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "Server listening on ")
}

// rereads does what makes sshd read its configuration again, and waits until it has.
func (s sshd) rereads(t *testing.T, do func()) {
	t.Helper()
	before := s.starts(t)
	do()
	await(t, func() bool { return s.starts(t) > before })
}

// freeAddress is one of loopback at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// hostKey makes the key of every sshd once.
var hostKey = sync.OnceValues(func() (file string, err error) {
	dir, err := os.MkdirTemp("", "hostkey")
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "ssh_host_ed25519_key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
		return "", fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	return file, nil
})

// layHostKey puts a host key where sshd looks for one.
func layHostKey(t *testing.T) {
	t.Helper()
	file, err := hostKey()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", file, file+".pub", sshDir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	if !fixture.Await(done) {
		t.Fatal("it never happens")
	}
}

var offer = regexp.MustCompile(`Authentications that can continue: (\S+)`)

// offered are the methods that sshd offers a client which has shown nothing.
func offered(t *testing.T, address string) string {
	t.Helper()
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
	s := startSSHD(t, "UsePAM no", "KbdInteractiveAuthentication no")
	offers, out := offered(t, s.address), ""
	s.rereads(t, func() { out = must(t, "install", "sshd", "--yes") })
	if !strings.Contains(out, "+UsePAM yes") || strings.Contains(out, "+KbdInteractive") {
		t.Errorf("the diff: %s", out)
	}
	if usesPAM(t) != "yes" {
		t.Error("sshd would not ask PAM")
	}
	if after := offered(t, s.address); after != offers {
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
			s := startSSHD(t, c.lines...)
			offers := offered(t, s.address)
			_, errs, status := latch(t, nil, append([]string{"install", "sshd", "--yes"}, c.args...)...)
			if status == 0 || !strings.Contains(errs, c.says) {
				t.Errorf("%d %s", status, errs)
			}
			if after := offered(t, s.address); after != offers || s.starts(t) != 1 {
				t.Errorf("sshd offered %s and offers %s after %d starts", offers, after, s.starts(t))
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
		s := startSSHD(t, "UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
			"AuthenticationMethods publickey publickey,keyboard-interactive:pam")
		offers, out := offered(t, s.address), ""
		s.rereads(t, func() { out = must(t, "install", "sshd", "--otp", "yes", "--yes") })
		if !strings.Contains(out, "+KbdInteractiveAuthentication yes") {
			t.Errorf("the diff: %s", out)
		}
		if after := offered(t, s.address); after != offers {
			t.Errorf("sshd offered %s and offers %s", offers, after)
		}
		must(t, "uninstall", "sshd", "--yes")
		same(t, "a code behind a key", before)
	})
	if left, _ := filepath.Glob("/etc/ssh/sshd_config.d/*"); len(left) > 0 {
		t.Error(fmt.Sprint("left: ", left))
	}
}
