package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// TestNotRoot: a host that is not root is served from files of its own user's, and of root's, and of nobody else's.
func TestNotRoot(t *testing.T) {
	const host, other = 4242, 4243
	for name, c := range map[string]struct {
		owner  int
		want   byte
		reason string
	}{
		"its own files":   {host, relay.Success, "open"},
		"somebody else's": {other, relay.Refuse, "bad-config"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none")
			for _, path := range []string{filepath.Dir(s.conf), s.conf, s.accounts, s.settings["ca_file"]} {
				must(t, os.Chown(path, c.owner, c.owner))
			}
			must(t, os.Chmod(filepath.Dir(s.conf), 0o755))
			a := begin(t, &syscall.Credential{Uid: host, Gid: host})
			a.greet(s.hello(func(g *relay.Greeting) { g.HostUID, g.HostEUID = host, host }))
			if v := a.verdict(); v != c.want {
				t.Errorf("verdict %d, want %d; log: %q", v, c.want, a.log())
			}
			a.logged("reason=" + strconv.Quote(c.reason))
		})
	}
}

// TestHostsWithoutRoot: a locker that asks about its own user is let alone. Any other host that cannot read root's files refuses, and
// the log names the cause.
func TestHostsWithoutRoot(t *testing.T) {
	const host = 4242
	for name, c := range map[string]struct {
		edit   func(*relay.Greeting)
		listed os.FileMode // of the file that names further lockers; 0 for none
		want   byte
		reason string
	}{
		"a locker":                         {nil, 0, relay.Ignore, "screen-locker"},
		"a locker, account phase":          {func(g *relay.Greeting) { g.Phase = relay.Account }, 0, relay.Ignore, "screen-locker"},
		"a locker about somebody else":     {func(g *relay.Greeting) { g.UID = 1000 }, 0, relay.Refuse, "host-not-root"},
		"a locker about root":              {func(g *relay.Greeting) { g.UID, g.Canonical = 0, "root" }, 0, relay.Refuse, "host-not-root"},
		"a locker whose user NSS misses":   {func(g *relay.Greeting) { g.NSS = relay.Unknown }, 0, relay.Refuse, "host-not-root"},
		"a locker whose user NSS fails on": {func(g *relay.Greeting) { g.NSS = relay.Failed }, 0, relay.Refuse, "host-not-root"},
		"a locker of another real uid":     {func(g *relay.Greeting) { g.HostUID = 1000 }, 0, relay.Refuse, "host-not-root"},
		"a locker that claims to be root":  {func(g *relay.Greeting) { g.HostUID, g.HostEUID = 0, 0 }, 0, relay.Refuse, "host-not-root"},
		"a daemon about its own account":   {func(g *relay.Greeting) { g.Service = "postgresql" }, 0, relay.Refuse, "host-not-root"},
		"su of a locker that falls back":   {func(g *relay.Greeting) { g.Service = "su" }, 0, relay.Refuse, "host-not-root"},
		"a locker of the list":             {func(g *relay.Greeting) { g.Service = "mylock" }, 0o644, relay.Ignore, "screen-locker"},
		"a locker that is not in it":       {func(g *relay.Greeting) { g.Service = "yourlock" }, 0o644, relay.Refuse, "host-not-root"},
		"a list that others can write":     {func(g *relay.Greeting) { g.Service = "mylock" }, 0o666, relay.Refuse, "host-not-root"},
		"a list for root alone":            {func(g *relay.Greeting) { g.Service = "mylock" }, 0o600, relay.Refuse, "host-not-root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("none, closed")
			must(t, os.Chmod(filepath.Dir(s.conf), 0o755))
			if c.listed != 0 {
				must(t, os.WriteFile(config.LockersFile(s.conf), []byte("otherlock\nmylock\n"), 0o600))
				must(t, os.Chmod(config.LockersFile(s.conf), c.listed))
			}
			a := begin(t, &syscall.Credential{Uid: host, Gid: host})
			a.greet(s.hello(func(g *relay.Greeting) {
				g.Service, g.UID, g.HostUID, g.HostEUID = "swaylock", host, host, host
				if c.edit != nil {
					c.edit(g)
				}
			}))
			if v := a.verdict(); v != c.want {
				t.Errorf("verdict %d, want %d; log: %q", v, c.want, a.log())
			}
			a.logged("reason=" + strconv.Quote(c.reason))
			if c.want == relay.Refuse {
				a.logged("the PAM host does not run as root")
			}
		})
	}
}

// TestLockersOfRoot: one that runs as root can ask, and so does.
func TestLockersOfRoot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("none, closed")
	decides(t, s.hello(func(g *relay.Greeting) { g.Service = "xscreensaver" }), relay.Refuse, "closed")
}

// TestLockerOfAUser goes through libpam and the module, in a process that is not root: only the locker's service lets its user in.
func TestLockerOfAUser(t *testing.T) {
	const name, id = "locker", 4300
	_, err := fixture.AddUser(name, id)
	must(t, err)
	s := newSite(t)
	s.serve("none, closed")
	s.pair("#uid " + name + " " + strconv.Itoa(id) + "\n" + name + ": " + strings.Repeat("a", 64) + "\n")
	dir := filepath.Dir(s.conf)
	must(t, os.Chmod(dir, 0o755))
	for service, want := range map[string]string{"swaylock": "", "nginx": "the auth phase: Authentication failure"} {
		must(t, fixture.WriteService(dir, service, "auth required pam_permit.so",
			"auth required "+built.Module+" authenticator="+built.Auth+" config="+s.conf+" accounts="+s.accounts,
			"account required pam_permit.so"))
		cmd := exec.Command(built.Probe, "ask", dir, service, name)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
		out, err := cmd.CombinedOutput()
		if (err == nil) != (want == "") || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s, want %q", service, err, out, want)
		}
	}
}
