package machines

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// openssh is the sshd of Debian 13, where ana logs in by a key.
type openssh struct {
	fixture.Debian
	port, key string
	process   *exec.Cmd
}

func newOpenSSH(t *testing.T) *openssh {
	t.Helper()
	d := fixture.NewDebian(t, bed.trixie, bed.scratch)
	d.MountDevices(t)
	d.Connect(t, bed.server, bed.app)
	d.AddUser(t, ana, anaID)
	s := &openssh{Debian: d, key: filepath.Join(t.TempDir(), "key")}
	s.must(t, "mkdir", "-p", "/run/sshd")
	s.must(t, "ssh-keygen", "-A")
	if out, err := exec.Command("ssh-keygen", "-q", "-N", "", "-f", s.key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	public, err := os.ReadFile(s.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	s.Write(t, "/home/ana/.ssh/authorized_keys", string(public), 0o644)
	code, err := bed.server.Code(ana)
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, "latch", "pair", code, "--user", ana)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	t.Cleanup(s.stop)
	return s
}

func (s *openssh) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.Command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (s *openssh) stop() {
	if s.process != nil {
		_ = syscall.Kill(s.process.Process.Pid, syscall.SIGKILL)
		_ = s.process.Wait()
	}
}

// configure starts sshd again with some lines in a file of its configuration.
func (s *openssh) configure(t *testing.T, lines string) {
	t.Helper()
	s.stop()
	s.Write(t, "/etc/ssh/sshd_config.d/names.conf", lines, 0o644)
	s.process = s.Command("/usr/sbin/sshd", "-D", "-e", "-p", s.port, "-o", "ListenAddress=127.0.0.1", "-o", "PerSourcePenalties=no")
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	if !fixture.Await(func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err == nil {
			c.Close()
		}
		return err == nil
	}) {
		t.Fatal("sshd does not listen")
	}
}

// letsIn reports whether ana's key lets her in.
func (s *openssh) letsIn() bool {
	out, _ := exec.Command("ssh", "-F", "none", "-i", s.key, "-p", s.port, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", ana+"@127.0.0.1", "echo inside").Output()
	return strings.Contains(string(out), "inside")
}

// TestPAMServiceName has sshd use PAM services of other names, for some users and for all.
func TestPAMServiceName(t *testing.T) {
	s := newOpenSSH(t)
	shipped, err := os.ReadFile(s.Root + "/etc/pam.d/sshd")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"ana-ssh", "corp-ssh"} {
		s.Write(t, "/etc/pam.d/"+service, string(shipped), 0o644)
	}
	s.configure(t, "")
	s.must(t, "latch", "install", "sshd", "--yes")
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.server.Open(ana); err != nil {
			t.Error(err)
		}
	})
	expect := func(when string, want bool) {
		t.Helper()
		if got := s.letsIn(); got != want {
			t.Errorf("%s: lets in: %v, want %v", when, got, want)
		}
	}
	expect("the usual name", false)

	s.configure(t, "Match User ana\nPAMServiceName Ana-ssh\n")
	expect("another name for ana", true)
	out, _ := s.Command("latch", "doctor", "--json").CombinedOutput()
	if !strings.Contains(string(out), "sshd uses the PAM service ana-ssh (PAMServiceName in sshd's configuration), which does not ask") ||
		!strings.Contains(string(out), `"fix":"latch install ana-ssh"`) {
		t.Errorf("the doctor:\n%s", out)
	}
	if out, _ := s.Command("latch", "status", "--user", ana).CombinedOutput(); !strings.Contains(string(out), "sshd uses the PAM service ana-ssh") {
		t.Errorf("status: %s", out)
	}
	s.must(t, "latch", "install", "ana-ssh", "--yes")
	expect("which is installed", false)

	s.configure(t, "PAMServiceName corp-ssh\n")
	expect("another name for all", true)
	out, err = s.Command("latch", "install", "sshd", "--yes").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "sshd uses the PAM service corp-ssh (PAMServiceName in sshd's configuration), and not sshd: latch install corp-ssh") {
		t.Errorf("installing what sshd does not use: %v %s", err, out)
	}
	out, err = s.Command("latch", "explain", "--user", ana, "--service", "sshd").CombinedOutput()
	if err != nil || strings.Count(string(out), "not asked") != 2 {
		t.Errorf("explain: %v %s", err, out)
	}
	s.must(t, "latch", "install", "corp-ssh", "--yes")
	expect("which is installed too", false)
	out, _ = s.Command("latch", "explain", "--user", ana).CombinedOutput()
	if !strings.Contains(string(out), "account: refused") || !strings.Contains(string(out), "corp-ssh:") {
		t.Errorf("explain: %s", out)
	}
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
	expect("open", true)
}
