// Package dispatch_test holds pkg/setup/pamconf's simulation of libpam against libpam: thousands of service files, with
// every kind of control, jump and inclusion, have the same outcome in both.
package dispatch_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/msteinert/pam/v2"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// dir is a directory of service files, and a pamconf.Tree.
type dir string

func (d dir) Read(name string) ([]byte, error) {
	if filepath.IsAbs(name) {
		return os.ReadFile(name)
	}
	return os.ReadFile(filepath.Join(string(d), name))
}

// modules compiles testdata/say.c under two names; the second is that of our own module.
func modules(t *testing.T) (say, latch string) {
	t.Helper()
	where := t.TempDir()
	say, latch = filepath.Join(where, "pam_say.so"), filepath.Join(where, pamconf.ModuleFile)
	for _, so := range []string{say, latch} {
		out, err := exec.Command("cc", "-shared", "-fPIC", "-o", so, "testdata/say.c", "-lpam").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return say, latch
}

// writer makes up service files.
type writer struct {
	*rand.Rand
	dir, say, latch string
	count           int
	codes           map[string]pamconf.Code // by the name that a module tells
}

var controls = []string{"required", "requisite", "sufficient", "optional", "Required", "[success=ok default=bad]",
	"[success=1 default=ignore]", "[success=2 default=die]", "[success=done new_authtok_reqd=done default=ignore]",
	"[default=reset]", "[success=reset default=ok]", "[default=reset]", "[success=ok ignore=ignore default=1]", "[success=3 default=bad]", "[success=die auth_err=reset]",
	"[default=ignore success=ok]", "[success = ok default = die]", "[auth_err=ok default=2]", "[success=0]", "nonsense",
	"[nonsense]", "[success=ok]", "[user_unknown=ignore success=okdefault=bad]", "[]"}

var returned = []int{0, 0, 0, 0, 7, 7, 25, 10, 12, 9, 6, 30, 31, 32, -1}

// rule writes one line. deeper are files that it may include.
func (w *writer) rule(phase string, deeper []string) string {
	if len(deeper) > 0 && w.IntN(2) == 0 {
		// libpam looks for them in /etc/pam.d, whatever directory the service came from.
		name := filepath.Join(w.dir, deeper[w.IntN(len(deeper))])
		return []string{"@include " + name, phase + " include " + name, phase + "\tsubstack " + name, phase + "\tsubstack " + name}[w.IntN(4)]
	}
	module := w.say
	if w.IntN(6) == 0 {
		module = w.latch
	}
	code := returned[w.IntN(len(returned))]
	w.count++
	name := fmt.Sprint("m", w.count)
	w.codes[name] = pamconf.Code(code)
	if code < 0 || code > 31 {
		w.codes[name] = invalid
	}
	line := fmt.Sprintf("%s %s %s %d %s", phase, controls[w.IntN(len(controls))], module, code, name)
	switch w.IntN(12) {
	case 0:
		line = strings.Replace(line, " ", " \\\n# between\n\n  ", 1)
	case 1:
		line = "-" + strings.ToUpper(phase) + line[len(phase):] + " # said"
	case 2:
		line = "  " + line + " [an [odd \\] argument]\t "
	}
	return line
}

// invalid stands for a number that is no code of PAM's.
const invalid pamconf.Code = 255

// junk is what libpam makes fail. Debian's "@include" of nothing is below, in the service's own file: in an included one
// it takes over the control of whatever line came before. A module called "?" is left out: libpam 1.5.2 corrupts its memory over it.
var junk = []string{"", "# a comment", "auth", "nonsense required pam_permit.so", "auth required", "auth include nowhere",
	"session required pam_deny.so", "account substack nowhere"}

func (w *writer) file(rules int, deeper []string) string {
	var lines []string
	for range rules {
		lines = append(lines, w.rule([]string{"auth", "auth", "auth", "account"}[w.IntN(4)], deeper))
		if w.IntN(5) == 0 {
			lines = append(lines, junk[w.IntN(len(junk))])
		}
	}
	return strings.Join(lines, "\n") + []string{"\n", "", "\n\n"}[w.IntN(3)]
}

// TestSimulationIsLibpam compares the outcomes of 5000 stacks, of which a sample has the first 1000.
func TestSimulationIsLibpam(t *testing.T) {
	say, latch := modules(t)
	where := dir(t.TempDir())
	asked, stacks := 0, 1000
	if fixture.All() {
		stacks = 5000
	}
	for seed := range uint64(stacks) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 1)), dir: string(where), say: say, latch: latch, codes: map[string]pamconf.Code{}}
		files := map[string]string{"lower": w.file(1+w.IntN(3), nil)}
		files["upper"] = w.file(1+w.IntN(4), []string{"lower"})
		files["tried"] = w.file(1+w.IntN(6), []string{"lower", "upper"})
		if w.IntN(40) == 0 {
			files["tried"] += []string{"\n@include nowhere", "\nauth required a \\"}[w.IntN(2)]
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(string(where), name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if compare(t, where, w, fmt.Sprintf("seed %d:\n%v", seed, files)) {
			asked++
		}
		if t.Failed() {
			return
		}
	}
	if asked < stacks/17 {
		t.Errorf("only %d of the stacks called our module: the comparison says little", asked)
	}
}

// compare runs one service both ways and tells whether our module was called.
func compare(t *testing.T, where dir, w *writer, describe string) bool {
	t.Helper()
	text, err := where.Read("tried")
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
		stack, err := pamconf.Load(pamconf.Parse("tried", text), phase, where)
		var broken *pamconf.BrokenError
		if errors.As(err, &broken) {
			if _, err := login(where, phase); !errors.Is(err, pam.ErrAbort) {
				t.Errorf("%s\n%s: libpam reads it (%v), we do not: %v", describe, phase, err, broken)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		outcomes := stack.Run(func(s pamconf.Step) []pamconf.Code {
			if s.Rule.Module != w.say && s.Rule.Module != w.latch {
				return []pamconf.Code{pamconf.ModuleUnknown}
			}
			return []pamconf.Code{w.codes[s.Rule.Args[1]]}
		})
		if len(outcomes) != 1 {
			t.Fatalf("%s\n%s: one answer each, and %d outcomes", describe, phase, len(outcomes))
		}
		status, called, latched := real(t, describe, where, phase)
		if outcomes[0].Status != status || outcomes[0].Asked != latched(stack) {
			t.Errorf("%s\n%s: libpam says %v after %v; the simulation %v (asked: %v)", describe, phase, status, called,
				outcomes[0].Status, outcomes[0].Asked)
		}
		asked = asked || outcomes[0].Asked
	}
	return asked
}

func login(where dir, phase pamconf.Phase) (fixture.Outcome, error) {
	return fixture.Transaction{Dir: string(where), Service: "tried", User: "daemon", NoAuth: phase == pamconf.Account}.Run()
}

// real runs one phase through libpam.
func real(t *testing.T, describe string, where dir, phase pamconf.Phase) (pamconf.Code, []string, func(*pamconf.Stack) bool) {
	t.Helper()
	o, err := login(where, phase)
	if err != nil {
		t.Fatalf("%s\n%v", describe, err)
	}
	failure := o.Auth
	if phase == pamconf.Account {
		failure = o.Account
	}
	code := pamconf.Success
	var known pam.Error
	if errors.As(failure, &known) {
		code = pamconf.Code(known)
	}
	return code, o.Messages, func(s *pamconf.Stack) bool {
		return slices.ContainsFunc(s.Steps, func(step pamconf.Step) bool {
			return step.Rule.IsLatch() && len(step.Rule.Args) > 1 && slices.Contains(o.Messages, step.Rule.Args[1])
		})
	}
}
