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
			b := newBed(t, "read", send(hold(100), success))
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
		await(t, "the end of the authenticator after "+last, func() bool { return len(running(t, b.auth)) == 0 })
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
	cmd := b.startHost(1)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	await(t, "the end of an authenticator without a host", func() bool { return len(running(t, b.auth)) == 0 })
}

func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s", what)
		}
	}
}

// TestHostThatIsStopped finds frames that came in time, but finds them late: the caller of su may stop it at any moment, and
// what was open then may be closed now.
func TestHostThatIsStopped(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		frames int // that the authenticator has read when the host is stopped
	}{
		"before HOLD":    {[]string{"read", "wait", send(hold(100)), send(success)}, 1},
		"before VERDICT": {[]string{"read", send(hold(1), frame(0x82, "root")), "read", "wait", send(success)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, c.script...)
			b.impatientService()
			cmd := b.startHost(c.frames)
			must(t, cmd.Process.Signal(syscall.SIGSTOP))
			must(t, os.WriteFile(b.auth+".go", nil, 0o600))
			time.Sleep(impatientStart + 500*time.Millisecond) // longer than the time that the host allows
			must(t, cmd.Process.Signal(syscall.SIGCONT))
			must(t, cmd.Wait())
			if out := cmd.Stdout.(*bytes.Buffer).String(); !strings.HasPrefix(out, "codes 7 6\n") {
				t.Errorf("got %q", out)
			}
		})
	}
}

// startHost starts a host and returns when the authenticator has read so many frames.
func (b *bed) startHost(frames int) *exec.Cmd {
	b.t.Helper()
	cmd := exec.Command(host, b.dir, "latch", "once")
	cmd.Stdout, cmd.WaitDelay = new(bytes.Buffer), patience
	must(b.t, cmd.Start())
	await(b.t, "the question", func() bool { return len(b.got()) >= frames })
	return cmd
}

// TestAnswerToNobody: the authenticator is gone when the person has typed. SIGPIPE would end this host.
func TestAnswerToNobody(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(100), frame(0x83, "\x00Code: ")), "exit 1")
	if out := b.inHost("slow"); out[0] != "codes 7 6" || !slices.Contains(out, nothingLeft) {
		t.Errorf("got %q", out)
	}
}

// TestTypedCodeIsWiped: what the person typed is in the host's memory no more when the module returns.
func TestTypedCodeIsWiped(t *testing.T) {
	b := newBed(t, "read", send(hold(100), frame(0x83, "\x00Code: ")), "read", send(success))
	if out := b.inHost("wiped"); !slices.Equal(out[:2], []string{"codes 0 0", "copies 0"}) || len(b.got()[1]) != 2+64 {
		t.Error(out)
	}
}

// TestAnotherServiceOnTheHandle makes libpam unload the module and call the delay function that we set.
func TestAnotherServiceOnTheHandle(t *testing.T) {
	b := newBed(t, "read", send(hold(100), success))
	must(t, os.WriteFile(filepath.Join(b.dir, "plain"), []byte("auth required pam_permit.so\naccount required pam_permit.so\n"), 0o644))
	if out := b.inHost("service", "plain"); !slices.Equal(out[:3], []string{"codes 0 0", "codes 0 0", nothingLeft}) {
		t.Error(out)
	}
}

// TestHostsWithLess: what a container may lack, or forbid to its root.
func TestHostsWithLess(t *testing.T) {
	fixture.NeedsRoot(t)
	for name, wrapper := range map[string][]string{
		"no CAP_SETGID":                        {"setpriv", "--bounding-set=-setgid", "--inh-caps=-setgid"},
		"groups kept, no CAP_SETGID":           {"setpriv", "--regid=4242", "--groups=4242,4243", "--bounding-set=-setgid", "--inh-caps=-setgid"},
		"setgroups denied in a user namespace": {"unshare", "--user", "--map-root-user"},
		"no /dev/null":                         {"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /dev && exec "$@"`, "sh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if slices.Contains(wrapper, "--mount") {
				fixture.NeedsNamespaces(t)
			}
			b := newBed(t, "read", send(hold(100), success))
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
			b := newBed(t, "read", send(hold(100), success))
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
	b := newBed(t, "read", send(hold(100)), "dump", send(success))
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

// failure is what a failed pam_authenticate took by the host's clock, in milliseconds, and for how long the module slept of it.
// libpam's delay is 300 ms there, and varies by half.
type failure struct{ code, ms, slept int }

func failures(t *testing.T, out []string, n int) (all []failure) {
	t.Helper()
	for _, line := range out[:n] {
		var f failure
		if _, err := fmt.Sscanf(line, "code %d ms %d slept %d", &f.code, &f.ms, &f.slept); err != nil || f.code != 7 {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, f)
	}
	return all
}

// TestQuestionHidesInTheFailDelay: the person's password was right and the latch is closed, or the password was wrong;
// both take libpam's delay, and not one after the other.
func TestQuestionHidesInTheFailDelay(t *testing.T) {
	t.Parallel()
	quick := newBed(t, "read", send(hold(100), refuse))
	if f := failures(t, quick.inHost("delay"), 1)[0]; f.ms < 150 {
		t.Errorf("a quick question failed after %d ms: the delay is gone", f.ms)
	}
	slow := newBed(t, "read", send(hold(100)), "sleep 500", send(refuse))
	if f := failures(t, slow.inHost("delay"), 1)[0]; f.slept != 0 {
		t.Errorf("a question of 500 ms was followed by a delay of %d ms", f.slept)
	}
}

// TestTypingIsNoPartOfTheQuestion: who takes long to type a wrong code is not answered sooner for that.
func TestTypingIsNoPartOfTheQuestion(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(100), frame(0x83, "\x00Code: ")), "read", send(refuse))
	if f := failures(t, b.inHost("typed", "5"), 1)[0]; f.ms < 5000+150 {
		t.Errorf("failed after %d ms: the delay is shorter by the 5 s of typing", f.ms)
	}
}

// TestDelayOfAnotherQuestion: what a question took is not taken out of the next failure's delay, such as that of a wrong
// password on the same handle.
func TestDelayOfAnotherQuestion(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(100)), "sleep 500", send(refuse))
	must(t, os.WriteFile(filepath.Join(b.dir, "plain"), []byte("auth required pam_deny.so\n"), 0o644))
	if f := failures(t, b.inHost("delay", "plain"), 2)[1]; f.slept < 149 {
		t.Errorf("a delay of %d ms: it is gone", f.slept)
	}
}

// TestTwoQuestionsHideInTheFailDelay: a stack may ask about two operations, one after the other.
func TestTwoQuestionsHideInTheFailDelay(t *testing.T) {
	t.Parallel()
	slow := newBed(t, "read", send(hold(100)), "sleep 500", send(success))
	quick := newBed(t, "read", send(hold(100), refuse))
	line := func(b *bed) string { return "auth required " + module + " authenticator=" + b.auth + "\n" }
	must(t, os.WriteFile(filepath.Join(slow.dir, "latch"), []byte(line(slow)+line(quick)), 0o644))
	if f := failures(t, slow.inHost("delay"), 1)[0]; len(quick.got()) != 1 || f.slept != 0 {
		t.Errorf("two questions, 500 ms together, were followed by a delay of %d ms", f.slept)
	}
}

// TestHostKeepsItsOwnDelay: a host that set a delay function, as sshd does to sleep none, is called and sees no other.
func TestHostKeepsItsOwnDelay(t *testing.T) {
	t.Parallel()
	b := newBed(t, "read", send(hold(100), refuse))
	if out := b.inHost("owndelay"); !slices.Equal(out[:3], []string{"own delay 7 1", "code 7 kept 1", nothingLeft}) {
		t.Error(out)
	}
}

// TestHostMemory wants less than 64 KiB of private memory for our module, beside pam_permit's in the same host.
func TestHostMemory(t *testing.T) {
	b := newBed(t, "read", send(hold(100), success))
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
	returns := func(mode string, within time.Duration) bool {
		cmd := exec.Command("timeout", "-s", "KILL", fmt.Sprint(within.Seconds()), host, b.dir, "latch", mode)
		started := time.Now()
		out, err := cmd.Output()
		t.Logf("host %s: %v after %v: %q", mode, err, time.Since(started).Round(time.Millisecond), out)
		return err == nil && strings.HasPrefix(string(out), "codes 0 0")
	}
	begun := time.Now()
	if !returns("once", patience) {
		t.Error("the Go module does not even work in a host that does not fork, so the rest shows nothing")
	}
	if returns("fork", 5*time.Second+10*time.Since(begun)) {
		t.Error("the Go module answered in a forked host: the README's reason for C no longer holds here")
	}
}
