package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// services gives the world a directory of PAM service files, in which nothing is protected yet.
func (w *world) services(names ...string) {
	w.t.Helper()
	dir := w.t.TempDir()
	w.pam = installer.System{PamDirs: []string{dir}, StateDir: filepath.Join(dir, "state")}
	for _, name := range names {
		w.write(filepath.Join(dir, name), "auth required pam_unix.so\naccount required pam_unix.so\n")
	}
}

// protect writes a service file with our line, which uses the world's files.
func (w *world) protect(service string, more ...string) {
	w.t.Helper()
	line := strings.Join(append([]string{"required pam_latch.so config=" + w.conf, "accounts=" + w.accounts}, more...), " ")
	w.write(filepath.Join(w.pam.PamDirs[0], service), "auth required pam_unix.so\nauth "+line+"\naccount "+line+"\naccount required pam_unix.so\n")
}

// TestNoServiceIsProtected: a pairing without a PAM service that uses it keeps nobody out, and every command about the latch says so.
func TestNoServiceIsProtected(t *testing.T) {
	const warning = "warning: no service is protected"
	w := newWorld(t)
	w.services("sshd", "su")
	commands := [][]string{{"pair", w.code("ana"), "--user", "ana"}, {"status", "--user", "ana"}, {"close", "--user", "ana"}, {"status", "--user", "ana"}}
	for _, args := range commands {
		if o := w.run(args...); !strings.Contains(o.err, warning) || !strings.Contains(o.err, "config="+w.conf+" accounts="+w.accounts) {
			t.Errorf("%q: %v", args, o)
		}
	}
	if told := w.object(cli.ExitOK, "close", "--user", "ana")["warnings"]; told == nil || !strings.Contains(told.([]any)[0].(string), "no service is protected") {
		t.Errorf("close --json: warnings %v", told)
	}
	id := strings.TrimSpace(w.ok("operation", "add", "sudo", "--save"))
	w.protect("su")
	w.pair("bob")
	for _, args := range [][]string{{"pair", w.code("eva"), "--user", "eva"}, {"status", "--user", "bob"}, {"close", "--user", "bob"}} {
		if o := w.run(args...); o.err != "" {
			t.Errorf("%q with a protected service: %v", args, o)
		}
	}
	for _, operation := range []string{"sudo", id} {
		if o := w.run("close", "--user", "bob", "--operation", operation); !strings.Contains(o.err, `no service is protected by the operation "`+operation) {
			t.Errorf("%v", o)
		}
	}
	w.protect("sshd", "operation=sudo")
	if o := w.run("close", "--user", "bob", "--operation", id); o.err != "" {
		t.Errorf("an operation with a protected service: %v", o)
	}
}

// TestGuideEndsWithTheCommandThatProtects: the old guides end with pairSYS or pairOVPN, which protect nothing by themselves.
func TestGuideEndsWithTheCommandThatProtects(t *testing.T) {
	const service = "/etc/pam.d/sshd"
	for _, c := range []struct{ pair, user, hint string }{
		{"pairSYS", "ana", "hint: run: sudo latch install sshd\n"},
		{"pairOVPN", "bob", "hint: run: sudo latch install openvpn\n"},
	} {
		w, file := newGuide(t, "latch_host = "+shared.url, "ca_file = "+shared.ca)
		w.must(os.WriteFile(service, []byte("auth required pam_unix.so\naccount required pam_unix.so\n"), 0o644))
		if o := w.link(c.pair, w.code(c.user), "-f", file, "--user", c.user); o.status != cli.ExitOK ||
			!strings.Contains(o.err, "warning: no service is protected by the pairings in /etc/latch/") || !strings.Contains(o.err, c.hint) {
			t.Errorf("%s: %v", c.pair, o)
		}
		profile := map[string]string{"pairSYS": "system", "pairOVPN": "openvpn"}[c.pair]
		latch := func(verb string) outcome { // in a root shell
			return process(t, command("latch", verb, "--user", c.user, "--profile", profile))
		}
		if o := latch("close"); o.out != "closed\n" || !strings.Contains(o.err, "warning: no service is protected") ||
			!strings.Contains(o.err, strings.Replace(c.hint, "sudo ", "", 1)) {
			t.Errorf("%s: close: %v", c.pair, o)
		}
		line := "required pam_latch.so profile=" + profile
		w.must(os.WriteFile(service, []byte("auth required pam_unix.so\nauth "+line+"\naccount "+line+"\n"), 0o644))
		for _, verb := range []string{"close", "status"} {
			if o := latch(verb); o.out != "closed\n" || o.err != "" {
				t.Errorf("%s: %s with a protected service: %v", c.pair, verb, o)
			}
		}
	}
}
