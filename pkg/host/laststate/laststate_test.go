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
)

func memory(t *testing.T) (*laststate.Memory, *[]error) {
	var warned []error
	dir := t.TempDir()
	return &laststate.Memory{StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"), Now: time.Now,
		Warn: func(err error) { warned = append(warned, err) }}, &warned
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
		Warn: func(error) { warned++ }}.Remember("acc", "", false)
	if warned == 0 {
		fmt.Println("the limit limits nothing")
		os.Exit(1)
	}
}

func TestLast(t *testing.T) {
	m, warned := memory(t)
	if got := m.Last("acc", ""); got != laststate.Never {
		t.Errorf("before anything: %v", got)
	}
	m.Remember("acc", "", true)
	m.Remember("acc", "op", false)
	if app, op, other := m.Last("acc", ""), m.Last("acc", "op"), m.Last("ac", "cop"); app != laststate.Open || op != laststate.Closed || other != laststate.Never {
		t.Errorf("application %v, operation %v, another %v", app, op, other)
	}
	if len(*warned) != 0 {
		t.Errorf("warned of %v", *warned)
	}
}

// TestWrittenOnlyWhenItChanges: a login every second must not wear out a disk.
func TestWrittenOnlyWhenItChanges(t *testing.T) {
	m, _ := memory(t)
	m.Remember("acc", "", true)
	before := record(t, m)
	m.Remember("acc", "", true)
	if !os.SameFile(record(t, m), before) {
		t.Error("the same answer was written again")
	}
	m.Remember("acc", "", false)
	if os.SameFile(record(t, m), before) || m.Last("acc", "") != laststate.Closed {
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
	m.Remember("acc", "", false)
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
		m.Remember("acc", "", true)
		files, _ := filepath.Glob(filepath.Join(m.StateDir, "last", "[0-9a-f]*"))
		if err := damage(files[0]); err != nil {
			t.Fatal(err)
		}
		if got := m.Last("acc", ""); got != laststate.Never {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestOpenDoesNotOutliveAFullDisk: the latch was closed since, and what was seen cannot be written.
func TestOpenDoesNotOutliveAFullDisk(t *testing.T) {
	m, _ := memory(t)
	m.Remember("acc", "", true)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), fullDisk+"="+filepath.Dir(m.StateDir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := m.Last("acc", ""); got != laststate.Never {
		t.Errorf("seen last: %v", got)
	}
	if files, _ := filepath.Glob(filepath.Join(m.StateDir, "last", ".*.new-*")); len(files) != 0 {
		t.Errorf("left behind: %q", files)
	}
}

// TestLeftoversAreSwept: a host that dies takes its login's process along, in the middle of a write if need be.
func TestLeftoversAreSwept(t *testing.T) {
	m, _ := memory(t)
	m.Remember("acc", "", true)
	leftover := filepath.Join(m.StateDir, "last", "."+record(t, m).Name()+".new-XYZ")
	if err := os.WriteFile(leftover, []byte("clo"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Remember("acc", "", false)
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
	m.Remember("acc", "", true)
	if len(*warned) == 0 {
		t.Error("nothing was told")
	}
}
