package pam_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

const nothingLeft = "left fds 0 threads 0 children 0"

// TestAwkwardHosts lets hosts of every habit in, and finds nothing left of the module in any of them.
func TestAwkwardHosts(t *testing.T) {
	for mode, logins := range map[string]int{"once": 1, "fork": 1, "ignored": 1, "handler": 1, "closed": 1, "threads": 8, "retry": 2, "hostile": 1} {
		t.Run(mode, func(t *testing.T) {
			b := newBed(t, "read", send(hold(5), success))
			out := b.inHost(mode)
			in := 0
			for _, line := range out {
				if line == "codes 0 0" {
					in++
				}
			}
			if in != logins || !slices.Contains(out, nothingLeft) {
				t.Errorf("%d logins, want %d:\n%s", in, logins, strings.Join(out, "\n"))
			}
			if mode == "handler" && !slices.Contains(out, "sigchld 0") {
				t.Errorf("the host's SIGCHLD handler met our process:\n%s", strings.Join(out, "\n"))
			}
		})
	}
}

// TestNothingIsLeftOfAuthenticatorsThatHang ends them whatever state they are in.
func TestNothingIsLeftOfAuthenticatorsThatHang(t *testing.T) {
	for _, last := range []string{"stop", "sleep 60000"} {
		b := newBed(t, "read", send(hold(1)), last)
		if out := b.inHost("ignored"); out[0] != "codes 7 6" || !slices.Contains(out, nothingLeft) {
			t.Errorf("after %q:\n%s", last, strings.Join(out, "\n"))
		}
		if left := running(t, b.auth); len(left) > 0 {
			t.Errorf("after %q these still run: %v", last, left)
		}
	}
}

// running lists the processes, dead ones aside, whose program is path.
func running(t *testing.T, path string) (pids []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	must(t, err)
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == path {
			pids = append(pids, link)
		}
	}
	return pids
}

// TestHostThatIsKilled: nobody is left to end the authenticator, which has to see the end of file.
func TestHostThatIsKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(100)))
	cmd := b.startHost()
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	for end := time.Now().Add(10 * time.Second); len(running(t, b.auth)) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the authenticator outlives its host")
		}
	}
}

// TestHostThatIsStopped finds frames that came in time, but finds them late: the caller of su may stop it at any moment, and
// what was open then may be closed now. Before HOLD see TestStart.
func TestHostThatIsStopped(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(4)), "sleep 2500", send(success))
	if out := b.stoppedFor(6 * time.Second); !strings.HasPrefix(out, "codes 7 6\n") {
		t.Errorf("got %q", out)
	}
}

// stoppedFor stops a host for a while when the authenticator has its question, and returns what the host printed.
func (b *bed) stoppedFor(pause time.Duration) string {
	b.t.Helper()
	cmd := b.startHost()
	must(b.t, cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(pause)
	must(b.t, cmd.Process.Signal(syscall.SIGCONT))
	must(b.t, cmd.Wait())
	return cmd.Stdout.(*bytes.Buffer).String()
}

// startHost starts a host and returns when the authenticator has its question.
func (b *bed) startHost() *exec.Cmd {
	b.t.Helper()
	cmd := exec.Command(host, b.dir, "latch", "once")
	cmd.Stdout, cmd.WaitDelay = new(bytes.Buffer), time.Second
	must(b.t, cmd.Start())
	for end := time.Now().Add(10 * time.Second); len(b.got()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatal("no question")
		}
	}
	return cmd
}

// TestAnswerToNobody: the authenticator is gone when the person has typed. SIGPIPE would end this host.
func TestAnswerToNobody(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(5), frame(0x83, "\x00Code: ")), "exit 1")
	if out := b.inHost("slow"); out[0] != "codes 7 6" || !slices.Contains(out, nothingLeft) {
		t.Errorf("got %q", out)
	}
}

// TestTypedCodeIsWiped: what the person typed is in the host's memory no more when the module returns.
func TestTypedCodeIsWiped(t *testing.T) {
	b := newBed(t, "read", send(hold(5), frame(0x83, "\x00Code: ")), "read", send(success))
	if out := b.inHost("wiped"); !slices.Equal(out[:2], []string{"codes 0 0", "copies 0"}) || len(b.got()[1]) != 2+64 {
		t.Error(out)
	}
}

// TestAnotherServiceOnTheHandle makes libpam unload the module and call the delay function that we set.
func TestAnotherServiceOnTheHandle(t *testing.T) {
	b := newBed(t, "read", send(hold(5), success))
	must(t, os.WriteFile(filepath.Join(b.dir, "plain"), []byte("auth required pam_permit.so\naccount required pam_permit.so\n"), 0o644))
	if out := b.inHost("service", "plain"); !slices.Equal(out[:3], []string{"codes 0 0", "codes 0 0", nothingLeft}) {
		t.Error(out)
	}
}

// TestHostsWithLess: what a container may lack, or forbid to its root.
func TestHostsWithLess(t *testing.T) {
	for name, wrapper := range map[string][]string{
		"no CAP_SETGID":                        {"setpriv", "--bounding-set=-setgid", "--inh-caps=-setgid"},
		"groups kept, no CAP_SETGID":           {"setpriv", "--regid=4242", "--groups=4242,4243", "--bounding-set=-setgid", "--inh-caps=-setgid"},
		"setgroups denied in a user namespace": {"unshare", "--user", "--map-root-user"},
		"no /dev/null":                         {"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /dev && exec "$@"`, "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "read", send(hold(5), success))
			if out := b.underHost(wrapper, "once"); out[0] != "codes 0 0" || !slices.Contains(out, nothingLeft) {
				t.Errorf("got %q", out)
			}
		})
	}
}

// TestLimitsOfTheHost: whatever the module lacks, it refuses by the codes of any refusal.
func TestLimitsOfTheHost(t *testing.T) {
	for files := 4; files < 14; files++ {
		t.Run(fmt.Sprintf("%d descriptors", files), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "read", send(hold(5), success))
			out := b.inHost("limited", strconv.Itoa(files))
			if out[0] != "codes 7 6" && out[0] != "codes 0 0" || !slices.Contains(out, nothingLeft) {
				t.Errorf("got %q", out)
			}
			if files == 4 && out[0] != "codes 7 6" {
				t.Error("no limit")
			}
		})
	}
}

// TestTheCallerSteersNothing looks at what the authenticator sees below a host whose caller set everything askew.
func TestTheCallerSteersNothing(t *testing.T) {
	fixture.NeedsRoot(t)
	b := newBed(t, "read", send(hold(5)), "dump", send(success))
	if out := b.inHost("hostile"); out[0] != "codes 0 0" {
		t.Fatal(out)
	}
	raw, err := os.ReadFile(b.auth + ".dump")
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	// 4 is the script, which the scripted program itself has open.
	if !strings.HasPrefix(lines[0], "fds 0=/dev/null 1=/dev/null 2=/dev/null 3=socket:[") || strings.Count(lines[0], "=") > 5 {
		t.Error(lines[0])
	}
	for _, want := range []string{"argc 1 latch-auth", "environment 0", "core 0", "cpu -1", "fsize -1", "as -1", "nofile 1024",
		"uids 0 0 0", "groups 0", "gid 0 0", "blocked 0", "nondefault 0", "umask 077", "cwd /", "leader 1", "nice 0", "scheduler 0",
		"slack 50000", "oom 0", "stack 8388608", "personality 0", "ioprio 0", "sigpending below its most 0",
		"memlock below its most 0", "rttime below its most 0", "locks below its most 0", "rss below its most 0"} {
		if !slices.Contains(lines, want) {
			t.Errorf("the authenticator does not see %q:\n%s", want, raw)
		}
	}
	for _, line := range lines {
		var have, all int
		if n, _ := fmt.Sscanf(line, "cpus %d of %d", &have, &all); n == 2 && have != all {
			t.Error(line)
		}
	}
}

// TestQuestionHidesInTheFailDelay: the person's password was right and the latch is closed, or the password was wrong;
// both take libpam's delay, of 3 s here (it varies by half), and not one after the other.
func TestQuestionHidesInTheFailDelay(t *testing.T) {
	t.Parallel()
	took := func(ms int) int {
		b := newBed(t, "read", send(hold(9)), fmt.Sprintf("sleep %d", ms), send(refuse))
		var code, total int
		if _, err := fmt.Sscanf(b.inHost("delay")[0], "code %d ms %d", &code, &total); err != nil || code != 7 {
			t.Fatalf("code %d, %v", code, err)
		}
		return total
	}
	if quick := took(0); quick < 1500 {
		t.Errorf("a quick question failed after %d ms: the delay is gone", quick)
	}
	if slow := took(5000); slow < 5000 || slow > 6450 {
		t.Errorf("a question of 5 s failed after %d ms: the delay came on top", slow)
	}
}

// TestTypingIsNoPartOfTheQuestion: who takes long to type a wrong code is not answered sooner for that. Half of 3 s is the least that
// libpam makes of them.
func TestTypingIsNoPartOfTheQuestion(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(9), frame(0x83, "\x00Code: ")), "read", send(refuse))
	var code, total int
	if _, err := fmt.Sscanf(b.inHost("slowdelay")[0], "code %d ms %d", &code, &total); err != nil || code != 7 || total < 5000+1500 {
		t.Errorf("code %d after %d ms, %v: the delay is shorter by the 5 s of typing", code, total, err)
	}
}

// TestDelayOfAnotherQuestion: what a question took is not taken out of the next failure's delay, such as that of a wrong
// password on the same handle.
func TestDelayOfAnotherQuestion(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(9)), "sleep 5000", send(refuse))
	must(t, os.WriteFile(filepath.Join(b.dir, "plain"), []byte("auth required pam_deny.so\n"), 0o644))
	var code, total int
	if _, err := fmt.Sscanf(b.inHost("delay", "plain")[1], "code %d ms %d", &code, &total); err != nil || code != 7 || total < 1500 {
		t.Errorf("code %d after %d ms, %v: the delay is gone", code, total, err)
	}
}

// TestTwoQuestionsHideInTheFailDelay: a stack may ask about two operations, one after the other.
func TestTwoQuestionsHideInTheFailDelay(t *testing.T) {
	t.Parallel()
	slow := newBed(t, "read", send(hold(9)), "sleep 5000", send(success))
	quick := newBed(t, "read", send(hold(9), refuse))
	line := func(b *bed) string { return "auth required " + module + " authenticator=" + b.auth + "\n" }
	must(t, os.WriteFile(filepath.Join(slow.dir, "latch"), []byte(line(slow)+line(quick)), 0o644))
	var code, total int
	if _, err := fmt.Sscanf(slow.inHost("delay")[0], "code %d ms %d", &code, &total); err != nil || code != 7 {
		t.Fatalf("code %d, %v", code, err)
	}
	if len(quick.got()) != 1 || total < 5000 || total > 6450 {
		t.Errorf("two questions, 5 s together, failed after %d ms: the delay came on top", total)
	}
}

// TestHostKeepsItsOwnDelay: a host that set a delay function, as sshd does to sleep none, is called and sees no other.
func TestHostKeepsItsOwnDelay(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(5), refuse))
	if out := b.inHost("owndelay"); !slices.Equal(out[:3], []string{"own delay 7 1", "code 7 kept 1", nothingLeft}) {
		t.Error(out)
	}
}

// TestHostMemory wants less than 64 KiB of private memory for our module, beside pam_permit's in the same host.
func TestHostMemory(t *testing.T) {
	b := newBed(t, "read", send(hold(5), success))
	kib := func(lines []string) (n int) {
		for _, line := range lines {
			_, _ = fmt.Sscanf(line, "kib %d", &n)
		}
		return n
	}
	ours := kib(b.inHost("many"))
	must(t, os.WriteFile(filepath.Join(b.dir, "latch"), []byte("auth required pam_permit.so\naccount required pam_permit.so\n"), 0o644))
	permit := kib(b.inHost("many"))
	t.Logf("private memory after 200 questions: %d KiB, with pam_permit.so %d KiB", ours, permit)
	if ours-permit >= 64 {
		t.Errorf("the module adds %d KiB", ours-permit)
	}
}

// TestGoModuleHangs keeps the reason why pam_latch.so holds no Go: a module in Go that dials, in a host that forks
// between pam_start and pam_authenticate, as sshd does for keyboard-interactive.
func TestGoModuleHangs(t *testing.T) {
	b := newBed(t)
	so, err := filepath.Abs("../build/test/pam_gomodule.so")
	must(t, err)
	b.service("latch", so, b.auth)
	returns := func(mode string) bool {
		cmd := exec.Command("timeout", "-s", "KILL", "5", host, b.dir, "latch", mode)
		started := time.Now()
		out, err := cmd.Output()
		t.Logf("host %s: %v after %v: %q", mode, err, time.Since(started).Round(time.Millisecond), out)
		return err == nil && strings.HasPrefix(string(out), "codes 0 0")
	}
	if !returns("once") {
		t.Error("the Go module does not even work in a host that does not fork, so the rest shows nothing")
	}
	if returns("fork") {
		t.Error("the Go module answered in a forked host: the README's reason for C no longer holds here")
	}
}
