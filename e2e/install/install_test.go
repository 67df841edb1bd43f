// Package install proves `latch install`, `latch uninstall` and what makes a change undo itself, on a machine of the
// tests' own (fixture.Isolate) with Debian's service files, sshd and su. Everything here needs root.
package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/latch-linux/latch/e2e/fixture"
)

const (
	cli      = "/usr/local/bin/latch"
	confFile = "/etc/latch/latch.conf"
	accounts = "/etc/latch/latch.accounts"
	pamDir   = "/etc/pam.d"
	ana      = "ana"
)

var bed struct {
	server *fixture.Server
	conf   fixture.Conf
	user   fixture.User
	log    *fixture.Syslog
}

func TestMain(m *testing.M) {
	os.Exit(fixture.Main(m, func() { _ = bed.server.Stop() }, setUp))
}

func setUp() (err error) {
	if err := fixture.MakeInstall(); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("/run", "install-")
	if err != nil {
		return err
	}
	if bed.server, err = fixture.StartServer("/usr/local/bin/latch-server", scratch+"/data"); err != nil {
		return err
	}
	app, err := bed.server.AddApp("machine")
	if err != nil {
		return err
	}
	bed.conf = fixture.NewConf(bed.server, app)
	if _, err := bed.conf.Write(confFile); err != nil {
		return err
	}
	if bed.log, err = fixture.ListenSyslog(); err != nil {
		return err
	}
	if bed.user, err = fixture.AddUser(ana, 7101); err != nil {
		return err
	}
	if err := bed.server.AddUser(ana); err != nil {
		return err
	}
	return fixture.Pair(bed.server, cli, confFile, accounts, ana)
}

// latch runs the installed program as root and returns its streams and its exit status.
func latch(t *testing.T, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(cli, args...)
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must runs latch and expects success.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, status := latch(t, nil, args...)
	if status != 0 {
		t.Fatalf("latch %q: %d\n%s%s", args, status, out, errs)
	}
	return out
}

// tree is every file of /etc/pam.d with a digest of its bytes, its mode and its owner.
func tree(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(pamDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		sum := sha256.Sum256(text)
		all[path] = fmt.Sprint(hex.EncodeToString(sum[:]), info.Mode())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, what string, before map[string]string) {
	t.Helper()
	after := tree(t)
	for path := range before {
		if before[path] != after[path] {
			t.Errorf("%s: %s is not as it was", what, path)
		}
	}
	for path := range after {
		if _, known := before[path]; !known {
			t.Errorf("%s: %s is new", what, path)
		}
	}
}

// throughTap has every question of a test go through a tap.
func throughTap(t *testing.T) *fixture.Tap {
	t.Helper()
	tap, err := fixture.StartTap(bed.server, "/etc/latch/tap.pem")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tap.Close)
	if _, err := bed.conf.With("latch_host", tap.URL).With("ca_file", tap.CA).Write(confFile); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := bed.conf.Write(confFile); err != nil {
			t.Error(err)
		}
	})
	return tap
}

func TestInstallCloseUninstall(t *testing.T) {
	before := tree(t)
	must(t, "install", "sshd", "login", "su", "su-l", "sudo", "sudo-i", "--yes")
	if !fixture.Su(ana, fixture.Password) {
		t.Error("an open latch refuses")
	}
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	if fixture.Su(ana, fixture.Password) {
		t.Error("a closed latch lets in")
	}
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]int{"sshd": 2, "login": 2, "su": 1, "su-l": 0, "sudo": 1, "sudo-i": 1} {
		text, err := os.ReadFile(filepath.Join(pamDir, service))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(text), "pam_latch.so"); got != want {
			t.Errorf("%s has %d lines of ours, want %d", service, got, want)
		}
	}
	installed := tree(t)
	if _, errs, status := latch(t, nil, "install", "sshd", "su", "su-l", "--yes"); status != 0 || !strings.Contains(errs, "nothing to change") {
		t.Errorf("a second time: %d %s", status, errs)
	}
	same(t, "installing twice", installed)
	must(t, "uninstall", "--all", "--yes")
	same(t, "uninstalling", before)
	if !fixture.Su(ana, fixture.Password) {
		t.Error("su is broken after uninstall")
	}
}

func TestDryRunAndCheckChangeNothing(t *testing.T) {
	before := tree(t)
	out := must(t, "install", "sshd", "--dry-run")
	for _, want := range []string{"--- /etc/pam.d/sshd", "+++ /etc/pam.d/sshd", "+auth ", "+account "} {
		if !strings.Contains(out, want) {
			t.Errorf("the diff has no %q:\n%s", want, out)
		}
	}
	if _, _, status := latch(t, nil, "install", "sshd", "--check"); status != 3 {
		t.Errorf("--check: %d, want 3", status)
	}
	out, _, status := latch(t, nil, "install", "sshd", "--check", "--json")
	var answer struct {
		Changed     bool `json:"changed"`
		WouldChange bool `json:"would_change"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || status != 3 || answer.Changed || !answer.WouldChange {
		t.Errorf("--check --json: %d %s %v", status, out, err)
	}
	same(t, "--dry-run and --check", before)
}

// onTerminal runs latch on a terminal of its own, where somebody types the answer.
func onTerminal(t *testing.T, answer string, args ...string) string {
	t.Helper()
	cmd := exec.Command(cli, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "TERM=dumb"}
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if _, err := terminal.WriteString(answer + "\n"); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	_, _ = seen.ReadFrom(terminal) // ends with EIO when the program does
	_ = cmd.Wait()
	return seen.String()
}

func TestAsksBeforeItWrites(t *testing.T) {
	before := tree(t)
	if out := onTerminal(t, "n", "install", "su"); !strings.Contains(out, "Make this change?") || !strings.Contains(out, "nothing was written") {
		t.Errorf("no: %s", out)
	}
	if _, errs, status := latch(t, nil, "install", "su"); status != 2 || !strings.Contains(errs, "--yes") {
		t.Errorf("nobody to ask: %d %s", status, errs)
	}
	same(t, "saying no", before)
	if out := onTerminal(t, "y", "install", "su"); !strings.Contains(out, "installed: su") {
		t.Errorf("yes: %s", out)
	}
	must(t, "uninstall", "su", "--yes")
	same(t, "taking it back", before)
}

func TestRefusesWhatDoesNotWork(t *testing.T) {
	before := tree(t)
	moved := "/usr/local/libexec/latch/aside"
	const auth = "/usr/local/libexec/latch/latch-auth"
	cases := []struct {
		name        string
		spoil, mend func() error
		says        string
	}{
		{"server gone", bed.server.Stop, bed.server.Start, "nothing was written"},
		{"wrong secret", func() error {
			_, err := bed.conf.With("secret_key", strings.Repeat("z", 40)).Write(confFile)
			return err
		},
			func() error { _, err := bed.conf.Write(confFile); return err }, "nothing was written"},
		{"no configuration", func() error { return os.Rename(confFile, confFile+".aside") },
			func() error { return os.Rename(confFile+".aside", confFile) }, "latch setup"},
		{"no authenticator", func() error { return os.Rename(auth, moved) }, func() error { return os.Rename(moved, auth) }, "does not work"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := c.spoil(); err != nil {
				t.Fatal(err)
			}
			out, errs, status := latch(t, nil, "install", "su", "--yes")
			if err := c.mend(); err != nil {
				t.Fatal(err)
			}
			if status == 0 || !strings.Contains(errs, c.says) {
				t.Errorf("%d %s%s", status, out, errs)
			}
			same(t, c.name, before)
		})
	}
	for _, service := range []string{"cron", "other", "system-auth", "nosuch", "../passwd"} {
		if _, errs, status := latch(t, nil, "install", service, "--yes"); status == 0 {
			t.Errorf("%s was installed: %s", service, errs)
		}
	}
	same(t, "refusing", before)
}

var overSSH = []string{"SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22"}

func TestUndoesItselfOverSSH(t *testing.T) {
	before := tree(t)
	_, errs, status := latch(t, overSSH, "install", "su", "--yes", "--rollback-after", "1s")
	if status != 0 || !strings.Contains(errs, "latch confirm") {
		t.Fatalf("%d %s", status, errs)
	}
	await(t, func() bool {
		text, err := os.ReadFile(pamDir + "/su")
		return err == nil && !strings.Contains(string(text), "pam_latch")
	})
	same(t, "the time has come", before)
	if out, _, _ := latch(t, nil, "uninstall", "--all", "--yes", "--json"); !strings.Contains(out, `"changed":false`) {
		t.Errorf("something was left to uninstall: %s", out)
	}
}

// TestChangesAreLogged expects one line for each change of what is protected, with who made it.
func TestChangesAreLogged(t *testing.T) {
	lines := func() []string { return bed.log.Lines("latch-auth[", "changed action=") }
	seen := len(lines())
	logged := func(action, by, more string) {
		t.Helper()
		want := `changed action="` + action + `" by="` + by + `" services="su"`
		await(t, func() bool { return len(lines()) > seen })
		got := lines()[seen:]
		if seen += len(got); len(got) != 1 || !strings.HasPrefix(got[0], "<85>") || !strings.Contains(got[0], want) || !strings.Contains(got[0], more) {
			t.Errorf("%q, want %s and %s", got, want, more)
		}
	}
	byAna := append([]string{"SUDO_USER=" + ana}, overSSH...)
	if _, errs, status := latch(t, []string{"SUDO_USER=" + ana}, "install", "su", "--yes"); status != 0 {
		t.Fatal(errs)
	}
	logged("install", ana, `services="su"`)
	if _, errs, status := latch(t, []string{"SUDO_USER=bob"}, "uninstall", "su", "--yes"); status != 0 {
		t.Fatal(errs)
	}
	logged("uninstall", "bob", "")
	if _, errs, status := latch(t, byAna, "install", "su", "--yes", "--rollback-after", "1s"); status != 0 {
		t.Fatal(errs)
	}
	logged("install", ana, "undoes itself at")
	logged("automatic-rollback", "root", "it was not confirmed in time")
	if _, errs, status := latch(t, overSSH, "install", "su", "--yes", "--rollback-after", "1h"); status != 0 {
		t.Fatal(errs)
	}
	logged("install", "root", "undoes itself at")
	if _, errs, status := latch(t, []string{"SUDO_USER=eva"}, "rollback"); status != 0 {
		t.Fatal(errs)
	}
	logged("rollback", "eva", "")
	must(t, "install", "su", "--dry-run")
	must(t, "uninstall", "su", "--yes") // nothing to change
	must(t, "install", "su", "--yes")
	logged("install", "root", "")
	must(t, "uninstall", "su", "--yes")
	logged("uninstall", "root", "")
}

// TestUninstallSaysWhoAsksStill has a line of ours in the vendor's directory, where uninstall changes nothing.
func TestUninstallSaysWhoAsksStill(t *testing.T) {
	const vendor = "/usr/lib/pam.d/of-the-vendor"
	if err := os.WriteFile(vendor, []byte("auth required pam_unix.so\nauth required pam_latch.so\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, errs, status := latch(t, nil, "uninstall", "--all", "--yes")
	if err := os.Remove(vendor); err != nil {
		t.Fatal(err)
	}
	if status != 1 || !strings.Contains(errs, "of-the-vendor:2") {
		t.Errorf("%d %s", status, errs)
	}
	must(t, "uninstall", "--all", "--yes")
}

// TestUninstallLeavesNothingToUndo takes everything out while a change waits.
func TestUninstallLeavesNothingToUndo(t *testing.T) {
	before := tree(t)
	if _, errs, status := latch(t, overSSH, "install", "su", "--yes"); status != 0 {
		t.Fatalf("%d %s", status, errs)
	}
	must(t, "uninstall", "--all", "--yes")
	if _, errs, status := latch(t, nil, "rollback"); status == 0 || !strings.Contains(errs, "no change waits") {
		t.Errorf("%d %s", status, errs)
	}
	same(t, "uninstalling", before)
}

func TestRollbackNow(t *testing.T) {
	before := tree(t)
	if _, errs, status := latch(t, overSSH, "install", "su", "sudo", "--yes"); status != 0 {
		t.Fatalf("%d %s", status, errs)
	}
	if _, errs, status := latch(t, nil, "confirm"); status == 0 || !strings.Contains(errs, "belongs to no login") {
		t.Errorf("an old session confirmed it: %d %s", status, errs)
	}
	must(t, "rollback")
	same(t, "rolling back", before)
}

func TestRepairPutsALineBack(t *testing.T) {
	before := tree(t)
	shipped, err := os.ReadFile(pamDir + "/su")
	if err != nil {
		t.Fatal(err)
	}
	must(t, "install", "su", "--yes")
	// An upgrade that takes the maintainer's file.
	if err := os.WriteFile(pamDir+"/su", shipped, 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "uninstall", "su", "--check") // which forgets nothing
	must(t, "install", "--repair", "--yes")
	if text, err := os.ReadFile(pamDir + "/su"); err != nil || !strings.Contains(string(text), "pam_latch.so") {
		t.Errorf("not repaired: %v", err)
	}
	must(t, "uninstall", "su", "--yes")
	same(t, "uninstalling", before)
}

func TestUninstallKeepsWhatOthersChanged(t *testing.T) {
	shipped, err := os.ReadFile(pamDir + "/su")
	if err != nil {
		t.Fatal(err)
	}
	must(t, "install", "su", "--yes")
	text, err := os.ReadFile(pamDir + "/su")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pamDir+"/su", append([]byte("# mine\n"), text...), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "uninstall", "su", "--yes")
	if after, err := os.ReadFile(pamDir + "/su"); err != nil || string(after) != "# mine\n"+string(shipped) {
		t.Errorf("%v\n%s", err, after)
	}
	if err := os.WriteFile(pamDir+"/su", shipped, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWarnsOfWhatTheChangeMayDo(t *testing.T) {
	before := tree(t)
	out, errs, status := latch(t, nil, "install", "common-auth", "--dry-run")
	if status != 0 || !strings.Contains(errs, "part of every service") || !strings.Contains(out, "+auth") {
		t.Errorf("common-auth: %d %s%s", status, out, errs)
	}
	locker := pamDir + "/swaylock"
	if err := os.WriteFile(locker, []byte("auth include login\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, errs, status = latch(t, nil, "install", "common-auth", "--dry-run")
	if err := os.Remove(locker); err != nil {
		t.Fatal(err)
	}
	if status != 0 || !strings.Contains(errs, "swaylock includes it") {
		t.Errorf("beside a screen locker: %d %s", status, errs)
	}
	if _, err := bed.conf.With("action", "close").Write(confFile); err != nil {
		t.Fatal(err)
	}
	if _, errs, _ := latch(t, nil, "install", "sshd", "login", "--dry-run"); !strings.Contains(errs, "nobody gets in") {
		t.Errorf("--dry-run does not warn: %s", errs)
	}
	if out, _, _ := latch(t, nil, "install", "sshd", "login", "--check", "--json"); !strings.Contains(out, "nobody gets in") {
		t.Errorf("--check --json does not warn: %s", out)
	}
	_, errs, status = latch(t, nil, "install", "sshd", "login", "--yes")
	if _, err := bed.conf.Write(confFile); err != nil {
		t.Fatal(err)
	}
	if status != 0 || !strings.Contains(errs, "nobody gets in") || !strings.Contains(errs, "runs on this machine") {
		t.Errorf("no way left: %d %s", status, errs)
	}
	must(t, "uninstall", "--all", "--yes")
	same(t, "uninstalling", before)
}
