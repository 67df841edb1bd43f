package main

import (
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
)

// TestHintsFitTheShell: the commands in a hint work as printed, in a root shell and in one that needs sudo.
func TestHintsFitTheShell(t *testing.T) {
	for text, want := range map[string]string{
		"run latch pair CODE with the code":      "run sudo latch pair CODE with the code",
		"latch doctor":                           "sudo latch doctor",
		"run: sudo latch setup":                  "run: sudo latch setup",
		`"latch operation add x --save" does it`: `"sudo latch operation add x --save" does it`,
		"a closed latch keeps nobody out":        "a closed latch keeps nobody out",
		"latch-server app set APP":               "latch-server app set APP",
		"see /usr/bin/latch pair":                "see /usr/bin/latch pair",
		"latch unpair --local, then latch pair":  "sudo latch unpair --local, then sudo latch pair",
	} {
		for env, shown := range map[string]string{"": text, "ana": want} {
			a := &app{getenv: func(string) string { return env }}
			if got := a.forShell(text); got != shown {
				t.Errorf("%q, called by %q: %q, want %q", text, env, got, shown)
			}
		}
	}
	w := newWorld(t)
	w.env = map[string]string{"SUDO_USER": "ana"}
	w.fails(cli.ExitNotPaired, []string{"hint: run sudo latch pair CODE"}, "status")
	told := w.object(cli.ExitNotPaired, "status")["error"].(map[string]any)
	if hint := told["hint"].(string); !strings.HasPrefix(hint, "run sudo latch pair CODE") {
		t.Errorf("--json: hint %q", hint)
	}
}
