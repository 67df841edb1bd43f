// Package hosts proves pam_latch.so where people meet it: Debian's own sshd, su, sudo and login, as `make install` and lines in /etc/pam.d leave them, on a machine of the tests' own (fixture.Isolate). Everything here needs root.
package hosts

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

const commonAuth = "/etc/pam.d/common-auth"

const (
	confFile     = "/etc/latch/latch.conf"
	accountsFile = "/etc/latch/latch.accounts"
	cli          = "/usr/local/bin/latch"
	authPath     = "/usr/local/libexec/latch/latch-auth"
)

// Users named after the state of their latch. All have fixture.Password, a key, and may use sudo.
const (
	opened   = "opened"
	closed   = "closed"
	unpaired = "unpaired"
)

// nowhere is an address on this machine's own loopback where nobody listens.
const nowhere = "https://127.0.0.1:1"

// theBed is what all tests of this package share: one installed product, one server, the users.
type theBed struct {
	server *fixture.Server
	tap    *fixture.Tap
	log    *fixture.Syslog
	users  map[string]fixture.User
	conf   fixture.Conf // the configuration in confFile unless a test changes it for its own time
	key    string       // the private key of every user

	hostKey string // of every sshd
}

var bed theBed

func TestMain(m *testing.M) {
	misbehave()
	os.Exit(fixture.Isolate(func() int {
		scratch, err := os.MkdirTemp("/run", "hosts-")
		if err == nil {
			err = bed.setUp(scratch)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "setting up: %v\n", err)
			return 1
		}
		code := m.Run()
		if lines := bed.neverOpened(); len(lines) > 0 {
			fmt.Fprintf(os.Stderr, "somebody whose latch was closed all the time was let in: %q\n", lines)
			code = 1
		}
		bed.tap.Close()
		if err := bed.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}))
}

func (b *theBed) setUp(scratch string) error {
	for _, step := range []func(string) error{b.install, b.addUsers, b.serve, b.pairUsers, b.ask, b.startSSHD} {
		if err := step(scratch); err != nil {
			return err
		}
	}
	return nil
}

// install installs the product as an administrator does.
func (b *theBed) install(string) (err error) {
	if err := fixture.MakeInstall(); err != nil {
		return err
	}
	if err := quicken(); err != nil {
		return err
	}
	b.log, err = fixture.ListenSyslog()
	return err
}

// ask makes the services ask.
func (b *theBed) ask(string) error {
	out, err := exec.Command(cli, "install", "sshd", "login", "su", "sudo", "--yes").CombinedOutput()
	if err != nil {
		return fmt.Errorf("latch install: %w: %s", err, out)
	}
	return nil
}

// quicken takes away what the tests would spend waiting after a refusal: pam_unix's two seconds, login's three and su's own one.
func quicken() error {
	for file, change := range map[string][2]string{
		commonAuth:         {"pam_unix.so nullok", "pam_unix.so nullok nodelay"},
		"/etc/pam.d/login": {"delay=3000000", "delay=0"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), change[0], change[1])), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile("/etc/default/su", []byte("FAIL_DELAY 0\n"), 0o644)
}

func (b *theBed) addUsers(scratch string) error {
	b.key = scratch + "/key"
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", b.key).CombinedOutput(); err != nil {
		return fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	public, err := os.ReadFile(b.key + ".pub")
	if err != nil {
		return err
	}
	names := append(append([]string{opened, closed, unpaired}, crowd()...), coders()...)
	b.users = make(map[string]fixture.User, len(names))
	for i, name := range names {
		u, err := fixture.AddUser(name, 5001+i)
		if err != nil {
			return err
		}
		if err := u.AuthorizeKey(public); err != nil {
			return err
		}
		if err := u.AllowSudo(); err != nil {
			return err
		}
		b.users[name] = u
	}
	return nil
}

// crowd are users without a pairing, for attacks that run side by side and stop everything of their user.
func crowd() []string {
	names := make([]string, 12)
	for i := range names {
		names[i] = fmt.Sprintf("crowd%d", i)
	}
	return names
}

// coders are users with an open latch, one for each host, who type codes side by side.
func coders() []string {
	var names []string
	for host := range terminals {
		names = append(names, coder(host))
	}
	return names
}

func (b *theBed) serve(scratch string) (err error) {
	if b.server, err = fixture.StartServer("/usr/local/bin/latch-server", scratch+"/data"); err != nil {
		return err
	}
	if b.tap, err = fixture.StartTap(b.server, "/etc/latch/tap.pem"); err != nil {
		return err
	}
	app, err := b.server.AddApp("hosts")
	if err != nil {
		return err
	}
	b.conf = fixture.NewConf(b.server, app).With("latch_host", b.tap.URL).With("ca_file", b.tap.CA)
	_, err = b.conf.Write(confFile)
	return err
}

func (b *theBed) pairUsers(string) error {
	for _, name := range append([]string{opened, closed}, coders()...) {
		if err := b.server.AddUser(name); err != nil {
			return err
		}
		if err := fixture.Pair(b.server, cli, confFile, accountsFile, name); err != nil {
			return err
		}
	}
	return b.server.Close(closed)
}

// neverOpened returns the log lines that cannot be: whatever a caller did, the closed user was never let in.
func (b *theBed) neverOpened() []string {
	return b.log.Lines(`opened user="` + closed + `"`)
}

// configure puts a configuration in place for the time of one test.
func configure(t *testing.T, conf fixture.Conf) {
	t.Helper()
	if _, err := conf.Write(confFile); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := bed.conf.Write(confFile); err != nil {
			t.Fatal(err)
		}
	})
}

// proof is what a command prints on the inside.
func proof(user string) string { return "in:" + user }

const proveIt = `echo "in:$(id -un)"`

// attempt is one run of a real host program by somebody.
type attempt struct {
	as       string   // the caller; "" is root
	prologue string   // shell text before the command, such as "ulimit -n 5"
	command  string   // shell text
	env      []string // added to a minimal environment
	stdin    string
}

// result is what the caller saw.
type result struct {
	stdout, stderr string
	err            error
}

func (r result) in(user string) bool { return strings.Contains(r.stdout, proof(user)) }

func (a attempt) cmd() *exec.Cmd {
	text := "exec " + a.command
	if a.prologue != "" {
		text = a.prologue + "; " + text
	}
	cmd := exec.Command("/bin/sh", "-c", text)
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}, a.env...)
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(a.stdin)
	if a.as != "" {
		cmd.SysProcAttr = bed.users[a.as].Process()
	}
	return cmd
}

func (a attempt) run() result {
	cmd := a.cmd()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return result{stdout.String(), stderr.String(), err}
}

// su is an attempt of caller to become user, knowing user's password.
func su(caller, user string) attempt {
	return attempt{as: caller, command: fmt.Sprintf("su %s -c '%s'", user, proveIt), stdin: fixture.Password + "\n"}
}

// sudo is an attempt of user to become root with the user's own password.
func sudo(user string) attempt {
	return attempt{as: user, command: fmt.Sprintf("sudo -k -S -p '' /bin/sh -c '%s'", proveIt), stdin: fixture.Password + "\n"}
}
