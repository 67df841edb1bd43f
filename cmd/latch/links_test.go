package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

// newGuide is a machine without configuration and the latch.conf that a how-to guide hands over. Root's sudo was
// called by ana.
func newGuide(t *testing.T, lines ...string) (w *world, file string) {
	t.Helper()
	w = newWorld(t)
	w.must(os.RemoveAll("/etc/latch"))
	t.Cleanup(func() { os.RemoveAll("/etc/latch") })
	file = filepath.Join(t.TempDir(), "latch.conf")
	text := "app_id = " + w.app.ID + "\nsecret_key = " + w.secret + "\n" + strings.Join(append(lines, ""), "\n")
	w.must(os.WriteFile(file, []byte(text), 0o666)) // from a download, wherever it came from
	return w, file
}

// link runs one of the links.
func (w *world) link(name string, args ...string) outcome {
	w.t.Helper()
	cmd := command(name, args...)
	cmd.Env = append(cmd.Env, "SUDO_USER=ana")
	o := process(w.t, cmd)
	if strings.Contains(o.out+o.err, w.secret) {
		w.t.Errorf("%s %q shows the secret: %v", name, args, o)
	}
	return o
}

func TestLinksAsTheGuidesTell(t *testing.T) {
	for _, c := range []struct {
		pair, unpair, conf, accounts, user string
		uid                                int64
	}{
		{"pairSYS", "unpairSYS", "/etc/latch/latch.conf", "/etc/latch/latch.accounts", "ana", 7001},
		{"pairOVPN", "unpairOVPN", "/etc/latch/openvpn.conf", "/etc/latch/openvpn.accounts", "ana", 7001},
	} {
		w, file := newGuide(t, "latch_host = "+shared.url, "ca_file = "+shared.ca, "action = close")
		o := w.link(c.pair, w.code("ana"), "-f", file)
		if o.status != cli.ExitOK || o.out != "ana is paired\n" || !strings.Contains(o.err, c.pair+": the credentials of "+file+" are now in "+c.conf) {
			t.Fatalf("%s: %v", c.pair, o)
		}
		conf, err := config.Load(c.conf)
		w.must(err)
		if conf.AppID != w.app.ID || conf.SecretKey.Reveal() != w.secret || conf.Host.String() != shared.url || conf.Action != config.Open {
			t.Errorf("%s wrote %+v", c.pair, conf)
		}
		accounts, err := pairings.Load(c.accounts)
		w.must(err)
		if p, ok := accounts.Find(c.user); !ok || p.UID != c.uid {
			t.Errorf("%s stored %+v, %v", c.pair, p, ok)
		}
		for _, file := range []string{c.conf, c.accounts} {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s left %s with mode %v, %v", c.pair, file, info.Mode(), err)
			}
		}
		if o := w.link(c.unpair); o != (outcome{cli.ExitOK, "ana is no longer paired\n", ""}) || w.pairedAtServer("ana") != 0 {
			t.Errorf("%s: %v", c.unpair, o)
		}
		if o := w.link(c.unpair); o.status != cli.ExitNotPaired {
			t.Errorf("%s again: %v", c.unpair, o)
		}
		if o := w.link(c.pair, w.code("ana")); o.status != cli.ExitOK {
			t.Errorf("%s without a file: %v", c.pair, o)
		}
	}
}

// TestLinksKeepTheConfiguration has a configuration with other keys, comments and another application.
func TestLinksKeepTheConfiguration(t *testing.T) {
	const path = "/etc/latch/latch.conf"
	w, file := newGuide(t)
	sample, err := os.ReadFile("../../conf/latch.conf")
	w.must(err)
	text := strings.NewReplacer("#app_id = REPLACE_APP_ID_HERE", "app_id = "+strings.Repeat("a", 20),
		"#secret_key = REPLACE_SECRET_KEY_HERE", "secret_key = "+strings.Repeat("s", 40), "#action = open", "action = close",
		"#latch_host = https://latch.tu.com", "latch_host = "+shared.url, "#ca_file =", "ca_file = "+shared.ca).Replace(string(sample))
	w.must(os.Mkdir("/etc/latch", 0o755))
	w.must(os.WriteFile(path, []byte(text), 0o644))
	before, err := os.Stat(path)
	w.must(err)
	open, err := os.Open(path) // as a login that reads it at this moment
	w.must(err)
	defer open.Close()
	if o := w.link("pairSYS", w.code("ana"), "-f", file); o.status != cli.ExitOK {
		t.Fatalf("%v", o)
	}
	want := strings.NewReplacer(strings.Repeat("a", 20), w.app.ID, strings.Repeat("s", 40), w.secret).Replace(text)
	if got := w.read(path); got != want {
		t.Errorf("written %q, want %q", got, want)
	}
	after, err := os.Stat(path)
	w.must(err)
	if after.Mode().Perm() != 0o600 || os.SameFile(before, after) {
		t.Errorf("mode %v; replaced as a whole: %v", after.Mode(), !os.SameFile(before, after))
	}
	old := make([]byte, len(text))
	if n, err := open.Read(old); err != nil || string(old[:n]) != text {
		t.Errorf("a reader of the old file gets %d bytes of something else, %v", n, err)
	}
	if info, err := os.Stat(path); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("it belongs to somebody else (%v)", err)
	}
}

// TestLinksChangeNothingWithABadFile spends no code either.
func TestLinksChangeNothingWithABadFile(t *testing.T) {
	w, file := newGuide(t)
	code := w.code("ana")
	good := w.read(file)
	for _, text := range []string{"", "app_id = short\n", good + "acton = open\n", strings.Replace(good, "secret_key", "#", 1)} {
		w.write(file, text)
		if o := w.link("pairSYS", code, "-f", file); o.status != cli.ExitError || o.out != "" {
			t.Errorf("%q: %v", text, o)
		}
		if _, err := os.Stat("/etc/latch/latch.conf"); !os.IsNotExist(err) {
			t.Errorf("%q was installed (%v)", text, err)
		}
	}
	if o := w.link("pairSYS", code, "-f", file+".missing"); o.status != cli.ExitError || !strings.Contains(o.err, "no such file") {
		t.Errorf("%v", o)
	}
	if o := w.link("pairSYS", "short", "-f", file); o.status != cli.ExitUsage {
		t.Errorf("%v", o)
	}
	w.write(file, good+"latch_host = "+shared.url+"\nca_file = "+shared.ca+"\n")
	if o := w.link("pairSYS", code, "-f", file); o.status != cli.ExitOK {
		t.Errorf("%v", o)
	}
}

// TestLinkConfirmsAnotherApplication has somebody paired with the application that goes.
func TestLinkConfirmsAnotherApplication(t *testing.T) {
	first, file := newGuide(t, "latch_host = "+shared.url, "ca_file = "+shared.ca)
	if o := first.link("pairOVPN", first.code("bob"), "-f", file, "--user", "Bob at home"); o.status != cli.ExitOK {
		t.Fatalf("%v", o)
	}
	second := newWorld(t)
	second.write(file, "app_id = "+second.app.ID+"\nsecret_key = "+second.secret+"\n")
	code, before := second.code("ana"), second.read("/etc/latch/openvpn.conf")
	o := second.link("pairOVPN", code, "-f", file)
	if o.status != cli.ExitUsage || !strings.Contains(o.err, "users paired with the application "+first.app.ID+": 1;") ||
		!strings.Contains(o.err, "hint: confirm it with --yes: sudo pairOVPN "+code+" -f "+file+" --yes\n") {
		t.Errorf("%v", o)
	}
	if after := second.read("/etc/latch/openvpn.conf"); after != before {
		t.Errorf("written without a confirmation: %q", after)
	}
	if o := second.link("pairOVPN", code, "-f", file, "--yes"); o.status != cli.ExitOK || !strings.Contains(o.err, "the credentials of "+file+" are now in") {
		t.Errorf("%v", o)
	}
	entries, err := os.ReadDir("/etc/latch")
	second.must(err)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	if want := []string{".lock", "openvpn.accounts", "openvpn.conf"}; !slices.Equal(names, want) {
		t.Errorf("/etc/latch holds %v, want %v", names, want)
	}
}

// TestUnpairingOneProfileKeepsTheOther has a person who logs in and uses OpenVPN, which the server knows as one account.
func TestUnpairingOneProfileKeepsTheOther(t *testing.T) {
	w, file := newGuide(t, "latch_host = "+shared.url, "ca_file = "+shared.ca)
	for _, pair := range []string{"pairSYS", "pairOVPN"} {
		if o := w.link(pair, w.code("ana"), "-f", file); o.status != cli.ExitOK {
			t.Fatalf("%s: %v", pair, o)
		}
	}
	o := w.link("unpairOVPN")
	if o.status != cli.ExitOK || !strings.Contains(o.err, "the server was not told") || w.pairedAtServer("ana") != 1 {
		t.Errorf("%v, %d pairings at the server", o, w.pairedAtServer("ana"))
	}
	if o := process(t, command("latch", "status", "--user", "ana")); o.status != cli.ExitOK {
		t.Errorf("the login that is left: %v", o)
	}
	if o := w.link("unpairSYS"); o.status != cli.ExitOK || w.pairedAtServer("ana") != 0 {
		t.Errorf("%v, %d pairings at the server", o, w.pairedAtServer("ana"))
	}
}
