package install

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// keyed is an sshd that lets root in by a key.
type keyed struct {
	t            *testing.T
	address, key string
}

func startKeyed(t *testing.T, lines ...string) keyed {
	t.Helper()
	s := startSSHD(t, append(lines, "AuthorizedKeysFile /etc/ssh/keys")...)
	k := keyed{t, s.address, filepath.Join(t.TempDir(), "key")}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", k.key).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	public, err := os.ReadFile(k.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/etc/ssh/keys", public, 0o644); err != nil {
		t.Fatal(err)
	}
	return k
}

// as tells whether somebody's key is good for coming in.
func (k keyed) as(user string) bool {
	cmd := k.command("echo inside", "-l", user)
	out, _ := cmd.Output()
	return strings.Contains(string(out), "inside")
}

// command is one that root runs over SSH.
func (k keyed) command(command string, options ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(k.address)
	return exec.Command("ssh", append(append([]string{"-F", "none", "-i", k.key, "-p", port, "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}, options...), "-l", "root", host, command)...)
}

func (k keyed) run(command string, options ...string) string {
	out, _ := k.command(command, options...).CombinedOutput()
	return string(out)
}

// TestOverSSHIsSeenThroughSuAndSudo installs over SSH where nothing in the environment tells of it any more.
func TestOverSSHIsSeenThroughSuAndSudo(t *testing.T) {
	before := tree(t)
	k := startKeyed(t)
	ended := filepath.Join(t.TempDir(), "ended") // the connection that started tmux
	for _, through := range []string{"env -i ", "sudo ", "sudo -i ", "su - root -c '",
		"tmux -L tried new-session -d 'while [ ! -e " + ended + " ]; do sleep 0.1; done; env -i "} {
		command := through + cli + " install su --yes --json"
		if strings.Contains(through, "'") {
			command += "'"
		}
		out, _ := k.command(command).Output()
		if strings.HasPrefix(through, "tmux") {
			if err := os.WriteFile(ended, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			await(t, func() bool {
				text, err := os.ReadFile(pamDir + "/su")
				return err == nil && strings.Contains(string(text), "pam_latch.so")
			})
		} else if !json.Valid(out) || !strings.Contains(string(out), `"rollback_due"`) {
			t.Errorf("%s: %s", command, out)
		}
		must(t, "rollback")
		same(t, through, before)
	}
}

// TestOnlyANewLoginConfirms tries to confirm from sessions that show no login, and then from one that does.
func TestOnlyANewLoginConfirms(t *testing.T) {
	before := tree(t)
	k := startKeyed(t)
	control := filepath.Join(t.TempDir(), "master")
	master := k.command("sleep 600", "-M", "-S", control)
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = master.Process.Kill(); _ = master.Wait() }()
	await(t, func() bool { return exec.Command("ssh", "-S", control, "-O", "check", "x").Run() == nil })
	if out := k.run(cli+" install su --yes --rollback-after 1h", "-S", control); !strings.Contains(out, "until") {
		t.Fatalf("installing: %s", out)
	}
	if _, errs, status := latch(t, nil, "install", "sudo", "--yes"); status == 0 || !strings.Contains(errs, "waits to be confirmed") {
		t.Errorf("a second change before the first is confirmed: %d %s", status, errs)
	}
	answer := filepath.Join(t.TempDir(), "answer")
	for _, c := range []struct{ name, command, options, says string }{
		{"the same connection", cli + " confirm", control, "older than the change"},
		{"the same connection, by su", "su - root -c '" + cli + " confirm'", control, "older than the change"},
		{"a tmux", "tmux -L tried new-session -d '" + cli + " confirm >" + answer + " 2>&1'; while [ ! -s " + answer + " ]; do sleep 0.1; done; cat " + answer, "none", "belongs to no login"},
		{"a job", "rm " + answer + "; setsid -f " + cli + " confirm >" + answer + " 2>&1; while [ ! -s " + answer + " ]; do sleep 0.1; done; cat " + answer, "none", "belongs to no login"},
		{"a new connection", "sudo su - root -c '" + cli + " confirm'", "none", "the change stays"},
	} {
		if out := k.run(c.command, "-S", c.options); !strings.Contains(out, c.says) {
			t.Errorf("%s: %s", c.name, out)
		}
	}
	if got := bed.log.Await(`changed action="confirm"`); len(got) != 1 || !strings.Contains(got[0], `by="root" services="su"`) {
		t.Errorf("the log says %q", got)
	}
	must(t, "uninstall", "su", "--yes")
	same(t, "uninstalling", before)
}

var background = regexp.MustCompile(`process (\d+) undoes`)

// unattended installs su over SSH, kills the process that would undo it, and rewrites what waits.
func unattended(t *testing.T, rewrite func(pending map[string]any)) {
	t.Helper()
	_, errs, status := latch(t, overSSH, "install", "su", "--yes", "--rollback-after", "1h")
	match := background.FindStringSubmatch(errs)
	if status != 0 || match == nil {
		t.Fatalf("%d %s", status, errs)
	}
	if out, err := exec.Command("kill", "-9", match[1]).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	const file = "/var/lib/latch/install/pending"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pending map[string]any
	if err := json.Unmarshal(text, &pending); err != nil {
		t.Fatal(err)
	}
	rewrite(pending)
	if text, err = json.Marshal(pending); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTheNextCommandUndoesWhatIsOverdue makes a change that nobody undoes at its time, or that was interrupted half-way.
func TestTheNextCommandUndoesWhatIsOverdue(t *testing.T) {
	before := tree(t)
	for says, rewrite := range map[string]func(map[string]any){
		"nothing undid it at its time": func(p map[string]any) { p["wait"] = 1 },
		"was interrupted half-way":     func(p map[string]any) { p["due"] = time.Time{} },
	} {
		unattended(t, rewrite)
		if out, _ := findings(t); !strings.Contains(out, "fail - change") {
			t.Errorf("%s: doctor says %s", says, out)
		}
		if _, errs, status := latch(t, nil, "install", "sudo", "--yes"); status != 0 || !strings.Contains(errs, says) {
			t.Errorf("%s: %d %s", says, status, errs)
		}
		must(t, "uninstall", "sudo", "--yes")
		same(t, says, before)
	}
}

// TestSettingTheClockDoesNotPutItOff pretends that the clock was set back by a day after the change.
func TestSettingTheClockDoesNotPutItOff(t *testing.T) {
	before := tree(t)
	unattended(t, func(p map[string]any) {
		p["wait"] = 1
		for _, time := range []string{"at", "due"} {
			p[time] = strings.Replace(p[time].(string), "20", "21", 1) // a century ahead
		}
	})
	if _, errs, status := latch(t, nil, "rollback", "--when-due"); status != 0 {
		t.Errorf("%d %s", status, errs)
	}
	same(t, "the time has come", before)
}

// TestARunningSSHDAsksAtOnce makes an sshd ask that did not ask PAM: it has to read its configuration anew, and the
// sessions that it serves go on.
func TestARunningSSHDAsksAtOnce(t *testing.T) {
	before := tree(t)
	k := startKeyed(t, "UsePAM no", "KbdInteractiveAuthentication no")
	session := k.command("read line; echo $line")
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	session.Stdout = &out
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	if !k.as(ana) {
		t.Fatal("the key is no good")
	}
	must(t, "install", "sshd", "--yes")
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return k.as("root") && !k.as(ana) && k.as("root") }) // it is away for a moment meanwhile
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return k.as(ana) })
	if _, err := in.Write([]byte("still here\n")); err != nil {
		t.Error(err)
	}
	if err := session.Wait(); err != nil || out.String() != "still here\n" {
		t.Errorf("a session of before: %v %q", err, out.String())
	}
	must(t, "uninstall", "sshd", "--yes")
	same(t, "uninstalling", before)
}
