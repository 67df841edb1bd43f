package pairings

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// Environment of this test binary when it plays a process that pairs: the file, and the numbers of the
// first user and of the one after the last.
const (
	envFile  = "ACCOUNT_TEST_FILE"
	envFirst = "ACCOUNT_TEST_FIRST"
	envLast  = "ACCOUNT_TEST_LAST"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envFile); path != "" {
		os.Exit(pairUsers(path))
	}
	os.Exit(m.Run())
}

// pairUsers adds its users one by one and prints each number when it is stored.
func pairUsers(path string) int {
	first, _ := strconv.Atoi(os.Getenv(envFirst))
	last, _ := strconv.Atoi(os.Getenv(envLast))
	for n := first; n < last; n++ {
		if err := (Store{path}).Add(context.Background(), numbered(n)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(n)
	}
	return 0
}

func numbered(n int) Pairing { return Pairing{"user" + strconv.Itoa(n), id(n), int64(n)} }

func pairing(path string, first, last int) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envFile+"="+path, envFirst+"="+strconv.Itoa(first), envLast+"="+strconv.Itoa(last))
	return cmd
}

func newStore(t *testing.T, text string) Store {
	t.Helper()
	s := Store{filepath.Join(t.TempDir(), "latch.accounts")}
	if text != "" {
		if err := os.WriteFile(s.Path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s Store) text(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAddAndRemoveKeepTheRest(t *testing.T) {
	before := "# staff\nbob: " + id(2) + "\n\n# guests\nzoe:\t" + id(1) + " \r\n"
	s, ctx := newStore(t, before), context.Background()
	ana := Pairing{"ana", id(1), 1000}
	if err := s.Add(ctx, ana); err != nil {
		t.Fatal(err)
	}
	added := before + "#uid ana 1000\nana: " + id(1) + "\n"
	if got := s.text(t); got != added {
		t.Errorf("after Add: %q", got)
	}
	if info, err := os.Stat(s.Path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := s.Add(ctx, Pairing{"ana", id(1), -1}); err != nil || s.text(t) != added {
		t.Errorf("adding it again: %v, %q", err, s.text(t))
	}
	if err := s.Add(ctx, Pairing{"ana", id(7), 1000}); !errors.Is(err, ErrExists) || s.text(t) != added {
		t.Errorf("another id: %v, %q", err, s.text(t))
	}
	if err := s.Add(ctx, Pairing{"ana", id(1), 1001}); err != nil || s.text(t) != strings.Replace(added, "1000", "1001", 1) {
		t.Errorf("another uid: %v, %q", err, s.text(t))
	}
	if err := s.Add(ctx, Pairing{"eva", id(8), 8}, Pairing{"ana", id(7), 1000}); !errors.Is(err, ErrExists) || strings.Contains(s.text(t), "eva") {
		t.Errorf("one of two cannot be added: %v, %q", err, s.text(t))
	}
	if err := s.Add(ctx, Pairing{"eva", id(8), 8}, Pairing{"a:b", id(7), 1000}); err == nil || strings.Contains(s.text(t), "eva") {
		t.Errorf("one of two names cannot be written: %v, %q", err, s.text(t))
	}
	if err := s.Remove(ctx, "ana"); err != nil || s.text(t) != before {
		t.Errorf("Remove: %v, %q", err, s.text(t))
	}
	if err := s.Remove(ctx, "ana"); !errors.Is(err, ErrNotPaired) {
		t.Errorf("Remove again: %v", err)
	}
	if err := s.Remove(ctx, "bob"); err != nil {
		t.Errorf("Remove bob: %v", err)
	}
}

// TestStaleUID: upstream's unpairing leaves our comment behind; it must not count for the next pairing.
func TestStaleUID(t *testing.T) {
	s := newStore(t, "#uid ana 5\n")
	if err := s.Add(context.Background(), Pairing{"ana", id(1), -1}); err != nil {
		t.Fatal(err)
	}
	if got := s.text(t); got != "ana: "+id(1)+"\n" {
		t.Errorf("got %q", got)
	}
	s = newStore(t, "#uid bob 7\nana: "+id(1)+"\nbob: "+id(2)+"\n")
	if err := s.Remove(context.Background(), "ana"); err != nil || s.text(t) != "bob: "+id(2)+"\n" {
		t.Errorf("got %q, %v", s.text(t), err)
	}
}

func TestAddRefuses(t *testing.T) {
	s := newStore(t, "")
	for _, p := range []Pairing{{"", id(1), 1}, {"a:b", id(1), 1}, {"a\nb", id(1), 1}, {"a\x00", id(1), 1}, {" a", id(1), 1}, {"a\t", id(1), 1},
		{"#a", id(1), 1}, {bom + "a", id(1), 1}, {"a", id(1)[1:], 1}, {"a", id(1), -2}, {"a", id(1), 1 << 32}} {
		if err := s.Add(context.Background(), p); err == nil {
			t.Errorf("%+v was added", p)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(s.Path)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestBrokenFileIsLeftAlone(t *testing.T) {
	s := newStore(t, "nonsense\n")
	var at *SyntaxError
	if err := s.Add(context.Background(), numbered(1)); !errors.As(err, &at) || s.text(t) != "nonsense\n" {
		t.Errorf("Add: %v, %q", err, s.text(t))
	}
	if err := os.WriteFile(s.Path, []byte("ana: "+id(1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.Path, 0o602); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(context.Background(), "ana"); !errors.Is(err, securefile.ErrUntrusted) {
		t.Errorf("Remove: %v", err)
	}
}

func TestWaitingEnds(t *testing.T) {
	s := newStore(t, "")
	err := securefile.WithLock(context.Background(), s.Path, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		return s.Add(ctx, numbered(1))
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestFiftyProcessesAtOnce(t *testing.T) {
	s := newStore(t, "# kept\n")
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			if out, err := pairing(s.Path, n, n+1).CombinedOutput(); err != nil {
				t.Errorf("process %d: %v, %s", n, err, out)
			}
		})
	}
	all.Wait()
	f, err := Load(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		if p, ok := f.Find(numbered(n).User); !ok || p != numbered(n) {
			t.Errorf("%+v, %v", p, ok)
		}
	}
	if len(f.All()) != 50 || !strings.HasPrefix(s.text(t), "# kept\n") {
		t.Errorf("the file reads %q", s.text(t))
	}
}

// TestKilledInTheMiddle kills writers at different moments: the file is whole each time, has all that
// was reported stored, and the next writer leaves no unfinished copy.
func TestKilledInTheMiddle(t *testing.T) {
	s := newStore(t, "")
	stored := map[int]bool{}
	for round := range 15 {
		for _, n := range killed(t, s, round) {
			stored[n] = true
		}
		f, err := Load(s.Path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for n := range stored {
			if _, ok := f.Find(numbered(n).User); !ok {
				t.Fatalf("round %d: user %d is lost", round, n)
			}
		}
	}
	if err := s.Add(context.Background(), Pairing{"last", id(1), -1}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(s.Path))
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the file and the locks there are: %v, %v", entries, err)
	}
}

// killed starts a writer, kills it at some place after its first pairings, and returns what it reported stored.
func killed(t *testing.T, s Store, round int) (stored []int) {
	t.Helper()
	cmd := pairing(s.Path, round*1_000_000, math.MaxInt) // never done
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		if stored = append(stored, n); len(stored) == 1+round%3 {
			time.AfterFunc(time.Duration(round)*237*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || len(stored) == 0 {
		t.Fatalf("round %d: the writer ended by itself (%v) with %d pairings", round, err, len(stored))
	}
	return stored
}
