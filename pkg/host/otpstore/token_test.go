package otpstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/otpstore"
)

const life = 5 * time.Minute

func tokens(t *testing.T) otpstore.Tokens {
	t.Helper()
	return otpstore.TokensAt(t.TempDir(), life)
}

func keep(t *testing.T, s otpstore.Tokens, token string, age time.Duration) {
	t.Helper()
	if err := s.Keep(t.Context(), "account", "", token, age); err != nil {
		t.Fatal(err)
	}
}

func took(t *testing.T, s otpstore.Tokens, account, operation, reply string) bool {
	t.Helper()
	right, err := s.Take(t.Context(), account, operation, reply)
	if err != nil {
		t.Error(err)
	}
	return right
}

// TestAKeptTokenPassesOnce: for its own latch, and gone with the first reply, right or wrong.
func TestAKeptTokenPassesOnce(t *testing.T) {
	t.Parallel()
	s := tokens(t)
	if took(t, s, "account", "", "g4K9wz") {
		t.Error("a token that nobody kept")
	}
	keep(t, s, "g4K9wz", 0)
	if took(t, s, "account", "operation", "g4K9wz") || took(t, s, "another", "", "g4K9wz") {
		t.Error("another latch's token")
	}
	if !took(t, s, "account", "", "g4K9wz") || took(t, s, "account", "", "g4K9wz") {
		t.Error("not exactly once")
	}
	keep(t, s, "g4K9wz", 0)
	if took(t, s, "account", "", "g4K9wy") || took(t, s, "account", "", "g4K9wz") {
		t.Error("more than one try")
	}
	keep(t, s, "g4K9wz", 0)
	keep(t, s, "second", 0)
	if took(t, s, "account", "", "g4K9wz") {
		t.Error("one that a later one has replaced")
	}
}

// TestAKeptTokenEnds: with its age at the server, a start of the machine, and never later than its life from now.
func TestAKeptTokenEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		age   time.Duration
		later bool // by one tick of the clock that is looked at
		right bool
	}{
		"young":                    {0, false, true},
		"the server's clock ahead": {-time.Hour, false, true},
		"too old":                  {life, false, false},
		"over meanwhile":           {life - time.Nanosecond, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tokens(t)
			keep(t, s, "g4K9wz", c.age)
			if c.later {
				tick(t)
			}
			if got := took(t, s, "account", "", "g4K9wz"); got != c.right {
				t.Errorf("right: %v", got)
			}
		})
	}
	s := tokens(t)
	keep(t, s, "g4K9wz", 0)
	spoil(t, s, func(data []byte) []byte {
		return bytes.Replace(data, []byte(`"boot_id":"`), []byte(`"boot_id":"another`), 1)
	})
	if took(t, s, "account", "", "g4K9wz") {
		t.Error("of another start of the machine")
	}
}

// tick waits until /proc/uptime, which has hundredths of a second, shows another time.
func tick(t *testing.T) {
	t.Helper()
	for first := ""; ; {
		now, err := os.ReadFile("/proc/uptime")
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(now), " ")
		if first == "" {
			first = up
		}
		if up != first {
			return
		}
	}
}

// spoil edits what lies on the disk.
func spoil(t *testing.T, s otpstore.Tokens, edit func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "[^.]*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err == nil {
		err = os.WriteFile(files[0], edit(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsKeptOfAToken: no token, for nobody but root, and what is damaged is an error.
func TestWhatIsKeptOfAToken(t *testing.T) {
	t.Parallel()
	s := tokens(t)
	keep(t, s, "g4K9wz", 0)
	spoil(t, s, func(data []byte) []byte {
		if bytes.Contains(data, []byte("g4K9wz")) {
			t.Errorf("the token itself: %s", data)
		}
		return data[:len(data)/2]
	})
	if info, err := os.Stat(s.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if right, err := s.Take(t.Context(), "account", "", "g4K9wz"); right || err == nil {
		t.Errorf("damaged: %v, %v", right, err)
	}
	keep(t, s, "g4K9wz", 0)
	if err := os.Chmod(s.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if right, err := s.Take(t.Context(), "account", "", "g4K9wz"); right || err == nil {
		t.Errorf("where others can write: %v, %v", right, err)
	}
}

func TestManyTakeOneToken(t *testing.T) {
	t.Parallel()
	s := tokens(t)
	keep(t, s, "g4K9wz", 0)
	var in atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if took(t, s, "account", "", "g4K9wz") {
				in.Add(1)
			}
		})
	}
	all.Wait()
	if n := in.Load(); n != 1 {
		t.Errorf("%d took it", n)
	}
}
