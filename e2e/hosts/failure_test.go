package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// mostOpen is the configuration under which only rule "a local failure never opens" keeps anybody out.
func mostOpen() fixture.Conf {
	return bed.conf.With("action", "open").With("on_error", "open").With("unpaired", "open").With("unpaired_by_server", "open")
}

// file does something to a file that replace has moved a copy of aside.
func file(path string, change func(path string) error) func(t *testing.T) {
	return func(t *testing.T) { replace(t, path, func() error { return change(path) }) }
}

// replace lets change lay something else at path and puts back what was there, with owner and mode, at the end.
func replace(t *testing.T, path string, change func() error) {
	t.Helper()
	kept := path + ".kept"
	if err := os.Rename(path, kept); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.RemoveAll(path)
		if err := os.Rename(kept, path); err != nil {
			t.Fatal(err)
		}
	})
	if err := change(); err != nil {
		t.Fatal(err)
	}
}

// copied lays a copy of the original with another mode, after edit.
func copied(mode os.FileMode, edit func(text string) string) func(path string) error {
	return func(path string) error {
		text, err := os.ReadFile(path + ".kept")
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(edit(string(text))), mode); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}
}

func same(text string) string { return text }

func gone(string) error { return nil }

func ownedByCaller(path string) error {
	if err := copied(0o700, same)(path); err != nil {
		return err
	}
	return os.Chown(path, bed.users[opened].ID, -1)
}

// Each row breaks one thing on the host itself. Everything else says open: the latch, action, on_error. Nobody may get in,
// not even a person who is not paired: with a broken file nobody can tell that she is not.
func TestLocalFailures(t *testing.T) {
	confDir := filepath.Dir(confFile)
	rows := []struct {
		name    string
		breakIt func(t *testing.T)
	}{
		{"authenticator missing", file(authPath, gone)},
		{"authenticator not executable", file(authPath, copied(0o644, same))},
		{"authenticator writable by anybody", file(authPath, copied(0o777, same))},
		{"authenticator owned by the caller", file(authPath, ownedByCaller)},
		{"authenticator is a link", file(authPath, func(path string) error { return os.Symlink(path+".kept", path) })},
		{"authenticator is a directory", file(authPath, func(path string) error { return os.Mkdir(path, 0o755) })},
		{"authenticator is empty", file(authPath, copied(0o755, func(string) string { return "" }))},
		{"config missing", file(confFile, gone)},
		{"config writable by anybody", file(confFile, copied(0o666, same))},
		{"config writable by its group", file(confFile, copied(0o660, same))},
		{"config owned by the caller", file(confFile, ownedByCaller)},
		{"config is a link", file(confFile, func(path string) error { return os.Symlink(path+".kept", path) })},
		{"config unreadable (a directory)", file(confFile, func(path string) error { return os.Mkdir(path, 0o755) })},
		{"config empty", file(confFile, copied(0o600, func(string) string { return "" }))},
		{"config is a megabyte", file(confFile, copied(0o600, func(text string) string { return text + strings.Repeat("#\n", 1<<19) }))},
		{"config with an unknown key", file(confFile, copied(0o600, func(text string) string { return text + "acton = close\n" }))},
		{"config with an unknown value", file(confFile, copied(0o600, func(text string) string { return strings.Replace(text, "open", "opne", 1) }))},
		{"config without app_id", file(confFile, copied(0o600, func(text string) string { return strings.Replace(text, "app_id", "# app_id", 1) }))},
		{"config's directory writable by anybody", func(t *testing.T) { mode(t, confDir, 0o777) }},
		{"pairing file broken", file(accountsFile, copied(0o600, func(text string) string { return text + "opened unpaired\n" }))},
		{"pairing file writable by anybody", file(accountsFile, copied(0o666, same))},
		{"pairing file owned by the caller", file(accountsFile, ownedByCaller)},
		{"pairing file is a link", file(accountsFile, func(path string) error { return os.Symlink(path+".kept", path) })},
		{"pairing file unreadable (a directory)", file(accountsFile, func(path string) error { return os.Mkdir(path, 0o755) })},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			configure(t, mostOpen())
			nothingIsWrong(t)
			row.breakIt(t)
			everybody(t, false)
		})
	}
}

// everybody tries su and sudo at the same time, whatever their latch is, and asserts how that ends.
func everybody(t *testing.T, in bool) {
	t.Helper()
	var wg sync.WaitGroup
	for user, attempt := range map[string]attempt{
		opened: su(closed, opened), closed: su(opened, closed), unpaired: su(opened, unpaired), "root": sudo(opened)} {
		wg.Go(func() {
			if r := attempt.run(); r.in(user) != in {
				t.Errorf("%q as %s: in = %v, want %v\n%s", attempt.command, attempt.as, !in, in, r.stderr)
			}
		})
	}
	wg.Wait()
}

// nothingIsWrong is the control: the same command opens as long as nothing is broken.
func nothingIsWrong(t *testing.T) {
	t.Helper()
	if r := su(closed, opened).run(); !r.in(opened) {
		t.Fatalf("control: not in with nothing broken: %s", r.stderr)
	}
}

func mode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(path, before.Mode()) })
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// Without a pairing file nobody is paired here: that is a fact, not a failure.
func TestWithoutPairingFileNobodyIsPaired(t *testing.T) {
	configure(t, mostOpen())
	file(accountsFile, gone)(t)
	if r := su(opened, closed).run(); !r.in(closed) {
		t.Errorf("not in: %s", r.stderr)
	}
	configure(t, mostOpen().With("unpaired", "close"))
	if r := su(opened, closed).run(); r.in(closed) {
		t.Errorf("in under unpaired = close")
	}
}

// underLimits runs both attempts under every value, some side by side, and returns the values that let the open one in.
func underLimits(t *testing.T, command string, values []int, shut, open attempt) []int {
	var mu sync.Mutex
	var in []int
	beside(values, func(value int) {
		limit := fmt.Sprintf("%s%d", command, value)
		shut, open := shut, open
		shut.prologue, open.prologue = limit, limit
		if r := shut.run(); r.in(closed) || r.in("root") {
			t.Errorf("%s: the closed latch let in", limit)
		}
		if r := open.run(); r.in(opened) || r.in("root") {
			mu.Lock()
			defer mu.Unlock()
			in = append(in, value)
		}
	})
	slices.Sort(in)
	return in
}

// beside calls f for every value, six at a time: su sleeps for a second after each refusal.
func beside(values []int, f func(value int)) {
	slots := make(chan struct{}, 6)
	var wg sync.WaitGroup
	for _, value := range values {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(value)
		})
	}
	wg.Wait()
}

// The caller of a set-uid program chooses its limits. A row is run with the latch closed, where no value may open, and with
// the latch open, where some must: otherwise the row would show nothing. A sample has every limit at one host, half of
// them at su and half at sudo, with a third of the values.
func TestLimits(t *testing.T) {
	configure(t, mostOpen())
	rows := []struct {
		command string // the value comes right behind it
		values  []int  // the first one lets in where the latch is open
	}{
		{"ulimit -n ", []int{64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20}},
		{"ulimit -u ", []int{20, 0, 1, 2, 3, 4, 5, 6, 8, 10}},
		{"ulimit -v ", []int{2000000, 4000, 8000, 12000, 16000, 20000, 24000, 28000, 32000, 48000, 64000, 100000, 500000}},
		{"ulimit -f ", []int{8, 0, 1}},
		{"ulimit -t ", []int{60, 0, 1, 2}},
		{"ulimit -s ", []int{8192, 0, 16, 64, 256}},
		{"ulimit -l ", []int{64, 0}},
		{"ulimit -c ", []int{0}},
		{"ulimit -d ", []int{100000, 0, 512, 4096}},
		{"prlimit --pid $$ --sigpending=", []int{1, 0}},
		{"prlimit --pid $$ --msgqueue=", []int{0}},
		{"prlimit --pid $$ --rttime=", []int{1000000, 0, 1}},
		{"prlimit --pid $$ --rtprio=", []int{0}},
		{"prlimit --pid $$ --nice=", []int{0}},
		{"prlimit --pid $$ --locks=", []int{0}},
	}
	type host struct {
		name       string
		shut, open attempt
	}
	hosts := []host{{"su", su(opened, closed), su(closed, opened)}, {"sudo", sudo(closed), sudo(opened)}}
	for i, row := range rows {
		for _, host := range fixture.Sample(fixture.Rotated(hosts, i), 2) {
			t.Run(host.name+" "+strings.TrimRight(row.command, " ="), func(t *testing.T) {
				values := fixture.Sample(row.values, 3)
				in := underLimits(t, row.command, values, host.shut, host.open)
				if len(in) == 0 {
					t.Errorf("control: with the latch open no value of %v lets in", values)
				}
				t.Logf("latch open: in at %v of %v", in, values)
			})
		}
	}
}

// What else a caller leaves to a set-uid program.
func TestInherited(t *testing.T) {
	configure(t, mostOpen())
	for name, prologue := range map[string]string{
		"ignored signals":    "trap '' CHLD HUP INT QUIT PIPE ALRM TERM USR1 USR2 XCPU XFSZ",
		"more descriptors":   "for fd in 3 4 5 6 7 8 9; do eval \"exec $fd</dev/zero\"; done",
		"the idle classes":   "renice -n 19 -p $$ >/dev/null; ionice -c 3 -p $$; chrt -i -p 0 $$",
		"the batch class":    "chrt -b -p 0 $$",
		"one processor":      "taskset -cp 0 $$ >/dev/null",
		"the first to kill":  "echo 1000 >/proc/self/oom_score_adj; echo 1000 >/proc/$$/oom_score_adj",
		"a directory of its": "cd /tmp; umask 0",
	} {
		t.Run(name, func(t *testing.T) {
			shutAndOpen(t, func(a *attempt) { a.prologue = prologue })
		})
	}
}

// shutAndOpen tries su and sudo with something changed about them: a closed latch keeps out whatever it is, and an open
// one lets in all the same.
func shutAndOpen(t *testing.T, change func(*attempt)) {
	t.Helper()
	for _, shut := range []attempt{su(opened, closed), sudo(closed)} {
		change(&shut)
		if r := shut.run(); r.in(closed) || r.in("root") {
			t.Errorf("%q: the closed latch let in", shut.command)
		}
	}
	for _, open := range []attempt{su(closed, opened), sudo(opened)} {
		change(&open)
		if r := open.run(); !r.in(opened) && !r.in("root") {
			t.Errorf("control: %q: not in with the latch open: %s", open.command, r.stderr)
		}
	}
}

func TestHostileEnvironment(t *testing.T) {
	configure(t, mostOpen())
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	keyLog := filepath.Join(dir, "keys")
	environments := [][]string{
		{"https_proxy=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1"},
		{"all_proxy=socks5://127.0.0.1:1", "ALL_PROXY=socks5://127.0.0.1:1"},
		{"SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=/nowhere"},
		{"SSLKEYLOGFILE=" + keyLog},
		{"GODEBUG=netdns=go+9,http2debug=2,madvdontneed=1", "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=1"},
		{"GOTRACEBACK=crash", "GOCOVERDIR=" + dir},
		{"LD_PRELOAD=/nowhere/evil.so", "LD_LIBRARY_PATH=" + dir, "LD_DEBUG=all"},
		{"LATCH_HOST=" + nowhere, "LATCH_CONFIG=/dev/null", "LATCH_ACTION=open", "LATCH_ON_ERROR=open"},
		{"RES_OPTIONS=attempts:0", "HOSTALIASES=/dev/null", "LOCALDOMAIN=x", "TZ=:/dev/zero", "HOME=" + dir, "TMPDIR=/nowhere"},
	}
	for _, environment := range environments {
		t.Run(environment[0], func(t *testing.T) {
			shutAndOpen(t, func(a *attempt) { a.env = environment })
		})
	}
	if _, err := os.Stat(keyLog); err == nil {
		t.Errorf("session keys were written to %s", keyLog)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}
