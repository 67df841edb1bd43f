package laststate_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/laststate"
	"github.com/latch-linux/latch/pkg/host/policy"
)

func memory(t *testing.T) (*laststate.Memory, *[]error) {
	var warned []error
	dir := t.TempDir()
	return &laststate.Memory{StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"), Now: time.Now,
		Warn: func(err error) { warned = append(warned, err) }}, &warned
}

// remember stores an answer to a query of now.
func remember(m *laststate.Memory, operation string, open bool) {
	sent := laststate.SinceBoot()
	m.Remember("acc", operation, open, sent, laststate.SinceBoot())
}

// fullDisk names the directory in which this test binary remembers a closed latch under a limit that stands for a full
// disk, in place of its tests.
const fullDisk = "SEEN_TEST_FULL_DISK"

func TestMain(m *testing.M) {
	dir, asked := os.LookupEnv(fullDisk)
	if !asked {
		os.Exit(m.Run())
	}
	limit := syscall.Rlimit{Cur: 1, Max: 1}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	warned := 0
	laststate.Memory{StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"), Now: time.Now,
		Warn: func(error) { warned++ }}.Remember("acc", "", false, laststate.SinceBoot(), laststate.SinceBoot())
	if warned == 0 {
		fmt.Println("the limit limits nothing")
		os.Exit(1)
	}
}

func TestLast(t *testing.T) {
	m, warned := memory(t)
	if got := m.Last("acc", ""); got != policy.Never {
		t.Errorf("before anything: %v", got)
	}
	remember(m, "", true)
	remember(m, "op", false)
	if app, op, other := m.Last("acc", ""), m.Last("acc", "op"), m.Last("ac", "cop"); app != policy.SeenOpen || op != policy.SeenClosed || other != policy.Never {
		t.Errorf("application %v, operation %v, another %v", app, op, other)
	}
	if len(*warned) != 0 {
		t.Errorf("warned of %v", *warned)
	}
}

// TestWrittenOnlyWhenItChanges: a login every second must not wear out a disk.
func TestWrittenOnlyWhenItChanges(t *testing.T) {
	m, _ := memory(t)
	remember(m, "", true)
	before := record(t, m)
	remember(m, "", true)
	if !os.SameFile(record(t, m), before) {
		t.Error("the same answer was written again")
	}
	remember(m, "", false)
	if os.SameFile(record(t, m), before) || m.Last("acc", "") != policy.SeenClosed {
		t.Error("another answer was not written")
	}
}

// record describes the only record's file.
func record(t *testing.T, m *laststate.Memory) os.FileInfo {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.StateDir, "last", "[0-9a-f]*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("records %v, error %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestMark(t *testing.T) {
	m, _ := memory(t)
	if m.RecentlyDenied("ana", "sshd") {
		t.Error("refused before anything")
	}
	m.Asking("ana", "sshd")
	if !m.RecentlyDenied("ana", "sshd") || m.RecentlyDenied("ana", "su") || m.RecentlyDenied("eva", "sshd") {
		t.Error("the mark is not this user's at this service")
	}
	m.Now = func() time.Time { return time.Now().Add(61 * time.Second) }
	if m.RecentlyDenied("ana", "sshd") {
		t.Error("the mark is kept for more than a minute")
	}
	m.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	if m.RecentlyDenied("ana", "sshd") {
		t.Error("a mark from the future counts")
	}
	m.Now = time.Now
	m.Forget("ana", "sshd")
	if m.RecentlyDenied("ana", "sshd") {
		t.Error("the mark is not taken back")
	}
}

func TestPermissionsAndNames(t *testing.T) {
	m, _ := memory(t)
	remember(m, "", false)
	m.Asking("../../../etc/passwd", "a/b\x00")
	for _, dir := range []string{m.StateDir, m.RunDir, filepath.Join(m.StateDir, "last"), filepath.Join(m.RunDir, "closed")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, error %v", dir, info.Mode(), err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(m.RunDir, "closed", "*"))
	if len(files) != 1 || len(filepath.Base(files[0])) != 32 {
		t.Errorf("marks %v", files)
	}
}

// TestNothingDamagedOpens: what cannot be trusted or read was never seen, and is told.
func TestNothingDamagedOpens(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"other text": func(path string) error { return os.WriteFile(path, []byte("open"), 0o600) },
		"empty":      func(path string) error { return os.Truncate(path, 0) },
		"too long":   func(path string) error { return os.WriteFile(path, []byte("open\nopen\nopen\nopen\n"), 0o600) },
		"writable":   func(path string) error { return os.Chmod(path, 0o666) },
	} {
		m, _ := memory(t)
		remember(m, "", true)
		files, _ := filepath.Glob(filepath.Join(m.StateDir, "last", "[0-9a-f]*"))
		if err := damage(files[0]); err != nil {
			t.Fatal(err)
		}
		if got := m.Last("acc", ""); got != policy.Never {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestOpenDoesNotOutliveAFullDisk: the latch was closed since, and what was seen cannot be written.
func TestOpenDoesNotOutliveAFullDisk(t *testing.T) {
	m, _ := memory(t)
	remember(m, "", true)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), fullDisk+"="+filepath.Dir(m.StateDir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := m.Last("acc", ""); got != policy.Never {
		t.Errorf("seen last: %v", got)
	}
	if files, _ := filepath.Glob(filepath.Join(m.StateDir, "last", ".*.new-*")); len(files) != 0 {
		t.Errorf("left behind: %q", files)
	}
}

// TestOlderAnswerNeverReplacesNewer: the answers of two queries are stored in any order. Each query has the times of its request
// and its answer.
func TestOlderAnswerNeverReplacesNewer(t *testing.T) {
	type query struct {
		open           bool
		sent, answered time.Duration
	}
	for name, c := range map[string]struct {
		first, second query
		want          policy.Seen
	}{
		"open after closed":               {query{false, 1, 2}, query{true, 3, 4}, policy.SeenOpen},
		"closed after open":               {query{true, 1, 2}, query{false, 3, 4}, policy.SeenClosed},
		"open, sent before closed came":   {query{false, 2, 3}, query{true, 1, 4}, policy.SeenClosed},
		"open, sent as closed came":       {query{false, 1, 3}, query{true, 3, 4}, policy.SeenClosed},
		"closed, answered after open":     {query{true, 2, 3}, query{false, 1, 4}, policy.SeenClosed},
		"closed, answered amid open":      {query{true, 1, 4}, query{false, 2, 3}, policy.SeenClosed},
		"closed twice, open between them": {query{false, 1, 2}, query{false, 5, 6}, policy.SeenClosed},
	} {
		for i, order := range [][]query{{c.first, c.second}, {c.second, c.first}} {
			m, warned := memory(t)
			for _, q := range order {
				m.Remember("acc", "", q.open, q.sent, q.answered)
			}
			if got := m.Last("acc", ""); got != c.want || len(*warned) > 0 {
				t.Errorf("%s, order %d: %v, want %v; warned of %v", name, i, got, c.want, *warned)
			}
		}
	}
	m, _ := memory(t)
	m.Remember("acc", "", false, 1, 2)
	m.Remember("acc", "", false, 5, 6) // the same state, but later
	m.Remember("acc", "", true, 3, 9)
	if got := m.Last("acc", ""); got != policy.SeenClosed {
		t.Errorf("open, sent between two that were closed: %v", got)
	}
}

// TestTimesOfAnotherBoot order nothing: the clock that they count by has started again.
func TestTimesOfAnotherBoot(t *testing.T) {
	m, _ := memory(t)
	m.Remember("acc", "", false, 500, 600)
	recent := filepath.Join(m.RunDir, "last", record(t, m).Name())
	if err := os.WriteFile(recent, []byte("closed 6f7d2a1e-0000-4000-8000-000000000000 600\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Remember("acc", "", true, 1, 2)
	if got := m.Last("acc", ""); got != policy.SeenOpen {
		t.Errorf("%v", got)
	}
}

// TestStateSurvivesAReboot: RunDir is empty then.
func TestStateSurvivesAReboot(t *testing.T) {
	m, _ := memory(t)
	remember(m, "", true)
	remember(m, "op", false)
	if err := os.RemoveAll(m.RunDir); err != nil {
		t.Fatal(err)
	}
	if app, op := m.Last("acc", ""), m.Last("acc", "op"); app != policy.SeenOpen || op != policy.SeenClosed {
		t.Errorf("application %v, operation %v", app, op)
	}
}

// TestLeftoversAreSwept: a host that dies takes its login's process along, in the middle of a write if need be.
func TestLeftoversAreSwept(t *testing.T) {
	m, _ := memory(t)
	remember(m, "", true)
	leftover := filepath.Join(m.StateDir, "last", "."+record(t, m).Name()+".new-XYZ")
	if err := os.WriteFile(leftover, []byte("clo"), 0o600); err != nil {
		t.Fatal(err)
	}
	remember(m, "", false)
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", leftover, err)
	}
}

// TestFailureToWriteIsToldOnly: a full or read-only disk changes no verdict.
func TestFailureToWriteIsToldOnly(t *testing.T) {
	m, warned := memory(t)
	if err := os.WriteFile(m.StateDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	remember(m, "", true)
	if len(*warned) == 0 {
		t.Error("nothing was told")
	}
}
