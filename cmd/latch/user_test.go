package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/cli"
)

// sitter is somebody before a pseudo terminal.
type sitter struct {
	t      testing.TB
	screen *os.File
	seen   string
}

func newPerson(t testing.TB, screen *os.File) *sitter {
	t.Helper()
	if err := screen.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &sitter{t: t, screen: screen}
}

// sit gives the world's commands a terminal to ask on, with somebody before it.
func (w *world) sit() *sitter {
	w.t.Helper()
	screen, tty, err := pty.Open()
	w.must(err)
	w.t.Cleanup(func() { screen.Close(); tty.Close() })
	w.terminal = tty.Name()
	return newPerson(w.t, screen)
}

// sees reads until the screen shows text.
func (p *sitter) sees(text string) {
	p.t.Helper()
	buffer := make([]byte, 1024)
	for !strings.Contains(p.seen, text) {
		n, err := p.screen.Read(buffer)
		if err != nil {
			p.t.Fatalf("waiting for %q: %v; the screen shows %q", text, err, p.seen)
		}
		p.seen += string(buffer[:n])
	}
}

// forgets makes sees look at what comes from now on.
func (p *sitter) forgets() { p.seen = "" }

func (p *sitter) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.screen, text); err != nil {
		p.t.Fatal(err)
	}
}

// TestUser checks whom a command is about: --user, else who called sudo, else who logged in.
func TestUser(t *testing.T) {
	w := newWorld(t)
	w.configure("latch_host = " + nowhere) // who is not paired is found before the server is asked
	sudo := map[string]string{"SUDO_USER": "ana"}
	for _, c := range []struct {
		what  string
		env   map[string]string
		uid   int
		login string
		user  string
		want  string // whose pairing status looks for
		pair  string // whose pairing pair makes, "" where it does not guess
	}{
		{"sudo", sudo, 0, "", "", "ana", "ana"},
		{"sudo in a login of somebody else", sudo, 0, "7002", "", "ana", "ana"},
		{"sudo by root", map[string]string{"SUDO_USER": "root"}, 0, "", "", "root", ""},
		{"--user", sudo, 0, "7002", "eva", "eva", "eva"},
		{"--user with a uid", sudo, 0, "", "7002", "bob", "bob"},
		{"--user root", nil, 0, "", "root", "root", "root"},
		{"root shell of a login", nil, 0, "7002", "", "bob", ""},
		{"root shell", nil, 0, "", "", "root", ""},
		{"login name", nil, 7001, "ana", "", "ana", "ana"},
		{"no root, SUDO_USER forged", map[string]string{"SUDO_USER": "bob"}, 7001, "", "", "ana", "ana"},
	} {
		w.env, w.uid, w.login = c.env, c.uid, c.login
		var user []string
		if c.user != "" {
			user = []string{"--user", c.user}
		}
		w.fails(cli.ExitNotPaired, []string{`"` + c.want + `": not paired`}, append(user, "status")...)
		if c.pair == "" {
			w.fails(cli.ExitUsage, []string{"root shell", "hint: name the user with --user NAME"}, append(user, "pair", "AbC7xY")...)
			continue
		}
		who, err := (&app{uid: c.uid, user: c.user, find: findPerson, getenv: func(name string) string { return c.env[name] },
			login: func() string { return c.login }}).whoToPair()
		if err != nil || who.name != c.pair {
			t.Errorf("%s: pair is for %+v, %v, want %s", c.what, who, err, c.pair)
		}
	}
	w.env, w.uid, w.login = map[string]string{"SUDO_USER": "nobody-here"}, 0, ""
	w.fails(cli.ExitError, []string{`"nobody-here": no such user`}, "status")
	w.fails(cli.ExitNotPaired, nil, "status", "--user", "--help")
}

// TestLoginUser gives a process the uid that the kernel keeps of a login.
func TestLoginUser(t *testing.T) {
	w := newWorld(t)
	w.pair("bob")
	const service = "/etc/pam.d/latch-test"
	w.must(os.WriteFile(service, []byte("auth required pam_latch.so config="+w.conf+" accounts="+w.accounts+"\n"), 0o644))
	t.Cleanup(func() { os.Remove(service) })
	script := `echo 7002 >/proc/self/loginuid && exec "$0" "$@" --config ` + w.conf + ` --accounts ` + w.accounts
	for want, args := range map[outcome][]string{
		{cli.ExitOK, "open\n", ""}: {"status"},
		{cli.ExitUsage, "", "latch: error: this is a root shell, and whose phone it is cannot be guessed\nlatch: hint: name the user with --user NAME\n"}: {"pair", "AbC7xY"},
	} {
		cmd := command("latch")
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", script, cmd.Path}, args...)
		if o := process(t, cmd); o != want {
			t.Errorf("%q: %v, want %v", args, o, want)
		}
	}
}

// TestRealSudo has somebody call sudo with a password, as the README says.
func TestRealSudo(t *testing.T) {
	w := newWorld(t)
	user := fixture.User{Name: "eva", ID: locals["eva"]}
	w.must(user.AllowSudo())
	cmd := exec.Command("sudo", "-S", "-p", "password? ", playVariable+"=yes", installed+"/latch", "pair", w.code("eva"),
		"--config", w.conf, "--accounts", w.accounts)
	cmd.SysProcAttr = user.Process()
	cmd.Stdin = strings.NewReader(fixture.Password + "\n")
	if o := process(t, cmd); o.status != cli.ExitOK || o.out != "eva is paired\n" {
		t.Errorf("%v", o)
	}
	if p, ok := w.pairing("eva"); !ok || p.UID != int64(user.ID) {
		t.Errorf("stored %+v, %v", p, ok)
	}
	// Without sudo the configuration is out of reach, and that is said.
	cmd = command("latch", "status", "--config", w.conf, "--accounts", w.accounts)
	cmd.SysProcAttr = user.Process()
	if o := process(t, cmd); o.status != cli.ExitError || !strings.Contains(o.err, "permission denied") || !strings.Contains(o.err, "hint: run it as root, with sudo") {
		t.Errorf("%v", o)
	}
}
