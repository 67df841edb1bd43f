package pamconf

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
)

type texts map[string]string

func (x texts) Read(name string) ([]byte, error) {
	text, ok := x[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

// many makes a stack of rules from controls by turns, each with one of the modules by turns.
func many(rules int, modules []string, controls ...string) string {
	var b strings.Builder
	for i := range rules {
		fmt.Fprintf(&b, "auth %s %s\n", controls[i%len(controls)], modules[i%len(modules)])
	}
	return b.String()
}

var mixed = []string{"pam_unix.so", "pam_env.so", "pam_sss.so", "pam_stranger.so", "pam_nologin.so"}

// anyCode makes rules in which every code has an action of its own.
func anyCode(r *rand.Rand, rules int) string {
	var b strings.Builder
	for range rules {
		var control []string
		for _, code := range codes {
			control = append(control, code+"="+[]string{"ok", "bad", "ignore", "done", "die", "reset", "1", "2", "3", "4"}[r.IntN(10)])
		}
		fmt.Fprintf(&b, "auth [%s] %s\n", strings.Join(control, " "), mixed[r.IntN(len(mixed))])
	}
	return b.String()
}

// heavy are stacks of 40 rules and more, far beyond what anybody has.
func heavy() map[string]texts {
	deep := texts{"tried": many(20, mixed, "required", "[success=2 default=ignore]", "sufficient", "[default=reset]") + "auth substack f0\n"}
	for i := range 10 {
		deep[fmt.Sprint("f", i)] = many(3, mixed, "[success=1 default=bad]", "[default=reset]", "sufficient") +
			fmt.Sprintf("auth substack f%d\n", i+1) + many(3, mixed, "[success=ok default=reset]", "required", "[default=2 success=ok]")
	}
	deep["f10"] = many(5, mixed, "required", "[success=done default=bad]")
	r := rand.New(rand.NewPCG(5, 5))
	return map[string]texts{
		"required":  {"tried": many(40, mixed, "required")},
		"jumps":     {"tried": many(60, mixed, "[success=3 user_unknown=1 ignore=ignore default=2]", "[success=ok default=1]", "optional")},
		"everybody": {"tried": many(60, mixed, "required", "sufficient", "[success=1 default=ignore]", "[default=reset success=ok]", "requisite")},
		"substacks": deep,
		"any code":  {"tried": anyCode(r, 60)},
		"inclusion": {"tried": strings.Repeat("auth substack inner\n", 20), "inner": many(3, mixed, "[success=1 default=reset]", "sufficient", "required")},
	}
}

// TestStatesStayFew bounds what a simulation costs: states per step, whatever the stack.
func TestStatesStayFew(t *testing.T) {
	t.Parallel()
	const perStep = 50
	for name, tree := range heavy() {
		f := Parse("tried", []byte(tree["tried"]))
		s, err := Load(f, Auth, tree)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []int{0, len(f.lines) / 2, len(f.lines)} {
			after, err := Load(f.with(line, Line(Auth, Required, nil)), Auth, tree)
			if err != nil {
				t.Fatal(err)
			}
			n := len(after.run(anything, true).seen)
			t.Logf("%s, line %d: %d states for %d steps", name, line, n, len(s.Steps))
			if n > perStep*len(after.Steps) {
				t.Errorf("%s, our line before line %d: %d states for %d steps", name, line, n, len(after.Steps))
			}
		}
	}
}

// TestTooComplexStackIsRefused takes resets in 15 nested substacks, whose states nobody can go through.
func TestTooComplexStackIsRefused(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 5))
	tree := texts{"tried": anyCode(r, 4) + "auth substack f0\n"}
	for i := range 14 {
		tree[fmt.Sprint("f", i)] = anyCode(r, 2) + fmt.Sprintf("auth substack f%d\n", i+1) + anyCode(r, 2)
	}
	tree["f14"] = anyCode(r, 4)
	f := Parse("tried", []byte(tree["tried"]))
	s, err := Load(f.with(0, Line(Auth, Required, nil)), Auth, tree)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.run(anything, true).seen); n > maxStates+1 {
		t.Errorf("%d states were tried", n)
	}
	if after, _, err := Insert(f, Auth, tree, nil); err != nil || after != nil {
		t.Errorf("a place on a stack that cannot be judged: %v", err)
	}
	if findings := s.Judge(); len(findings) == 0 || findings[len(findings)-1].Problem != TooComplex {
		t.Errorf("findings are %v", findings)
	}
}

func BenchmarkInsert(b *testing.B) {
	for name, tree := range heavy() {
		f := Parse("tried", []byte(tree["tried"]))
		b.Run(name, func(b *testing.B) {
			for range b.N {
				if _, _, err := Insert(f, Auth, tree, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
