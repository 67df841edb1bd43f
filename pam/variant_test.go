package pam_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// impatientStart is how long the module of impatient waits for HOLD.
const impatientStart = 3 * time.Second

// impatient builds the module with a shorter time until HOLD, and returns its path. It holds that time to the value that
// docs/relay.md promises.
var impatient = sync.OnceValues(func() (string, error) {
	const constant = "START_MS = 20000"
	files, err := filepath.Glob("*.[ch]")
	if err != nil {
		return "", err
	}
	dir, found := filepath.Dir(host), 0
	so := filepath.Join(dir, "pam_impatient.so")
	args := []string{"-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,nodelete", "-o", so}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		found += strings.Count(string(text), constant)
		shorter := fmt.Sprint("START_MS = ", impatientStart.Milliseconds())
		if err := os.WriteFile(filepath.Join(dir, file), []byte(strings.ReplaceAll(string(text), constant, shorter)), 0o644); err != nil {
			return "", err
		}
		if filepath.Ext(file) == ".c" {
			args = append(args, filepath.Join(dir, file))
		}
	}
	if found != 1 {
		return "", fmt.Errorf("%q stands %d times in the sources", constant, found)
	}
	if out, err := compile("cc", append(args, "-lpam")...); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return so, nil
})

// impatientService makes the service "latch" use that module.
func (b *bed) impatientService() {
	b.t.Helper()
	so, err := impatient()
	must(b.t, err)
	b.service("latch", so, b.auth)
}

// TestOldVerdictIsNotReused: what was so half a minute ago is asked about again.
func TestOldVerdictIsNotReused(t *testing.T) {
	for seconds, questions := range map[string]int{"0": 1, "25": 1, "31": 2} {
		t.Run(seconds, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "read", send(hold(100), success))
			if out := b.inHost("late", seconds); out[0] != "codes 0 0" {
				t.Errorf("got %q", out)
			}
			if got := len(b.got()); got != questions {
				t.Errorf("%d questions, want %d", got, questions)
			}
		})
	}
}

// TestPromptBudget: people have 110 s, for all prompts of one conversation together.
func TestPromptBudget(t *testing.T) {
	for name, c := range map[string]struct {
		takes   []string // seconds, one per prompt
		codes   string
		answers int // that reach the authenticator
	}{
		"in time":               {[]string{"50", "50"}, "codes 0 0", 2},
		"too long":              {[]string{"111"}, "codes 7 6", 0},
		"too long, all in all":  {[]string{"60", "60"}, "codes 7 6", 1},
		"longer than HOLD says": {[]string{"100"}, "codes 0 0", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := []string{"read", send(hold(50))}
			for range c.takes {
				script = append(script, send(frame(0x83, "\x00Code: ")), "read")
			}
			b := newBed(t, append(script, send(success))...)
			if out := b.inHost("prompted", c.takes...); out[0] != c.codes {
				t.Errorf("got %q, want %q", out, c.codes)
			}
			if got := len(b.got()) - 1; got != c.answers {
				t.Errorf("%d answers, want %d", got, c.answers)
			}
		})
	}
}
