package pam_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/msteinert/pam/v2"
)

// variant builds the module with one constant changed, since nobody waits for half a minute, and returns its path. It holds
// the constant to the value that docs/relay.md and the README promise.
func variant(t *testing.T, constant, shorter string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob("*.[ch]")
	must(t, err)
	found := 0
	args := []string{"-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,nodelete", "-o", filepath.Join(dir, "pam_latch.so")}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		found += strings.Count(string(text), constant)
		must(t, os.WriteFile(filepath.Join(dir, file), []byte(strings.ReplaceAll(string(text), constant, shorter)), 0o644))
		if filepath.Ext(file) == ".c" {
			args = append(args, filepath.Join(dir, file))
		}
	}
	if found != 1 {
		t.Fatalf("%q stands %d times in the sources", constant, found)
	}
	if out, err := compile("cc", append(args, "-lpam")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "pam_latch.so")
}

// TestOldVerdictIsNotReused: what was so half a minute ago is asked about again.
func TestOldVerdictIsNotReused(t *testing.T) {
	so := variant(t, "REUSE_MS = 30000", "REUSE_MS = 700")
	for name, c := range map[string]struct {
		pause     time.Duration
		questions int
	}{"young": {0, 1}, "old": {1200 * time.Millisecond, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "read", send(hold(5), success))
			b.service("latch", so, b.auth)
			tx := b.begin(nil)
			must(t, tx.Authenticate(0))
			time.Sleep(c.pause)
			must(t, tx.AcctMgmt(0))
			if got := len(b.got()); got != c.questions {
				t.Errorf("%d questions, want %d", got, c.questions)
			}
		})
	}
}

// TestStart: 20 s are for an authenticator that starts on a slow disk; HOLD prolongs them, and a host that was stopped for longer finds
// HOLD too late.
func TestStart(t *testing.T) {
	so := variant(t, "START_MS = 20000", "START_MS = 3000")
	on := send(hold(60), success)
	for name, c := range map[string]struct {
		script []string
		in     bool
	}{
		"silence without HOLD": {[]string{"read", "sleep 3300", on}, false},
		"silence before HELLO": {[]string{"sleep 3300", "read", on}, false},
		"HOLD prolongs":        {[]string{"read", send(hold(60)), "sleep 3300", send(success)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, c.script...)
			b.service("latch", so, b.auth)
			if err := b.begin(nil).Authenticate(0); c.in && err != nil || !c.in && !refused(err, false) {
				t.Errorf("got %v, want in = %v", err, c.in)
			}
		})
	}
	t.Run("a host that was stopped", func(t *testing.T) {
		t.Parallel()
		b := newBed(t, "read", "sleep 1000", send(hold(60)), send(success))
		b.service("latch", so, b.auth)
		if out := b.stoppedFor(4 * time.Second); !strings.HasPrefix(out, "codes 7 6\n") {
			t.Errorf("got %q", out)
		}
	})
}

// TestPromptBudget: people have 110 s, for all prompts of one conversation together.
func TestPromptBudget(t *testing.T) {
	so := variant(t, "PROMPT_BUDGET_MS = 110000", "PROMPT_BUDGET_MS = 2000")
	for name, c := range map[string]struct {
		takes   []time.Duration // one per prompt
		in      bool
		answers int // that reach the authenticator
	}{
		"in time":               {[]time.Duration{300 * time.Millisecond, 300 * time.Millisecond}, true, 2},
		"too long":              {[]time.Duration{2200 * time.Millisecond}, false, 0},
		"too long, all in all":  {[]time.Duration{1200 * time.Millisecond, 1200 * time.Millisecond}, false, 1},
		"longer than HOLD says": {[]time.Duration{1400 * time.Millisecond}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := []string{"read", send(hold(1))}
			for range c.takes {
				script = append(script, send(frame(0x83, "\x00Code: ")), "read")
			}
			b := newBed(t, append(script, send(success))...)
			b.service("latch", so, b.auth)
			asked := 0
			err := b.begin(func(pam.Style, string) (string, error) {
				asked++
				time.Sleep(c.takes[asked-1])
				return "123456", nil
			}).Authenticate(0)
			if c.in && err != nil || !c.in && !refused(err, false) {
				t.Errorf("got %v, want in = %v", err, c.in)
			}
			if got := len(b.got()) - 1; got != c.answers {
				t.Errorf("%d answers, want %d", got, c.answers)
			}
		})
	}
}
