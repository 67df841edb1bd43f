package pamconf_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// texts is a pamconf.Tree in memory.
type texts map[string]string

func (x texts) Read(name string) ([]byte, error) {
	text, ok := x[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

// author makes up service files.
type author struct{ *rand.Rand }

func (a author) one(of ...string) string { return of[a.IntN(len(of))] }

func (a author) control() string {
	return a.one("required", "required", "requisite", "sufficient", "optional", "REQUIRED", "[success=1 default=ignore]",
		"[success=2 default=ignore]", "[success=1 default=die]", "[success=ok default=die]", "[default=die]", "[success=3 default=bad]",
		"[success=done new_authtok_reqd=done default=ignore]", "[default=1 ignore=ignore success=ok]", "[default=reset]",
		"[success=ok user_unknown=ignore default=bad]", "[default=bad success=ok]", "nonsense")
}

func (a author) module() string {
	return a.one("pam_unix.so", "pam_unix.so nullok", "pam_sss.so use_first_pass", "pam_sss.so ignore_unknown_user", "pam_permit.so", "pam_deny.so", "pam_env.so",
		"pam_nologin.so", "pam_rootok.so", "pam_succeed_if.so uid = 0 use_uid quiet", "pam_succeed_if.so user ingroup [a b]", "pam_faillock.so authfail",
		"/lib/security/pam_unix.so", "pam_stranger.so", "pam_localuser.so")
}

// rule writes one rule. deeper are files that it may include.
func (a author) rule(deeper []string) string {
	phase := a.one("auth", "auth", "auth", "account", "account", "session", "password", "AUTH", "-auth", "-account")
	gap := a.one(" ", " ", "\t", "\t\t", "   \t ")
	line := phase + gap + a.control() + gap + a.module()
	if len(deeper) > 0 && a.IntN(3) == 0 {
		file := a.one(deeper...)
		line = a.one("@include "+file, strings.TrimPrefix(phase, "-")+gap+"include"+gap+file, strings.TrimPrefix(phase, "-")+gap+"substack"+gap+file)
	}
	switch a.IntN(14) {
	case 0:
		line = strings.Replace(line, gap, " \\\n\t", 1)
	case 1:
		line = strings.Replace(line, gap, " \\\n# between\n\n  ", 1)
	case 2:
		line += " # said"
	case 3:
		line = a.one(" ", "\t") + line + a.one(" ", "\t ")
	}
	return line
}

func (a author) file(rules int, deeper ...string) string {
	var lines []string
	for range rules {
		if a.IntN(5) == 0 {
			lines = append(lines, a.one("", "# a comment", "\t# another", "#auth required pam_latch.so", "#%PAM-1.0", " ", "# ends in \\", "#\n#"))
		}
		if a.IntN(60) == 0 {
			lines = append(lines, a.one("auth", "auth required", "what is this", "account include nowhere", "auth substack nowhere"))
		}
		lines = append(lines, a.rule(deeper))
	}
	text := strings.Join(lines, "\n") + a.one("\n", "\n", "", "\n\n", "\n# the end", "\n  ")
	if a.IntN(12) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

func (a author) tree() texts {
	return texts{
		"lower": a.file(1 + a.IntN(4)),
		"upper": a.file(1+a.IntN(4), "lower"),
		"tried": a.file(1+a.IntN(7), "lower", "upper"),
	}
}

// sample returns how many of so many made-up files or logins a test tries: all of them for `make test-all`.
func sample(all int) int {
	if os.Getenv("LATCH_TEST_ALL") != "" {
		return all
	}
	return all / 10
}

// TestInsertAndWithoutOnMadeUpFiles holds what is true of every file: what Insert puts in Without takes out, to the byte;
// there is no second line; the other rules stay what they were; and a place is a good one, whatever the modules say.
func TestInsertAndWithoutOnMadeUpFiles(t *testing.T) {
	t.Parallel()
	placed, in, files := map[pamconf.Phase]int{}, 0, sample(6000)
	for seed := range uint64(files) {
		a := author{rand.New(rand.NewPCG(seed, 7))}
		tree := a.tree()
		f := pamconf.Parse("tried", []byte(tree["tried"]))
		unchanged(t, f, tree["tried"])
		for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
			after, findings, err := pamconf.Insert(f, phase, tree, []string{"otp=yes"})
			if err != nil {
				var broken *pamconf.BrokenError
				if !errors.As(err, &broken) {
					t.Fatal(err)
				}
				continue
			}
			describe := fmt.Sprintf("seed %d %s: %q", seed, phase, tree)
			if after == nil {
				if len(findings) == 0 || findings[0].Problem == pamconf.AlreadyPresent {
					t.Errorf("%s: no place, because of %v", describe, findings)
				}
				continue
			}
			placed[phase]++
			inserted(t, describe, f, after, phase, tree)
			in += min(1, hold(t, describe+fmt.Sprintf("\n%q", after.Bytes()), load(t, f, phase, tree), load(t, after, phase, tree), seed, 40))
		}
		if t.Failed() {
			return
		}
	}
	if placed[pamconf.Auth] < files/20 || placed[pamconf.Account] < files/6 || in < files/6 {
		t.Errorf("places: %v, logins at %d: that says little", placed, in)
	}
}

// unchanged is what holds of a file without a line of ours.
func unchanged(t *testing.T, f *pamconf.File, text string) {
	t.Helper()
	if string(f.Bytes()) != text {
		t.Errorf("%q is read as %q", text, f.Bytes())
	}
	if same, lines := f.Without(); lines != 0 || string(same.Bytes()) != text {
		t.Errorf("%q loses %d lines and is %q", text, lines, same.Bytes())
	}
}

// inserted is what holds of a file with our line and the file that it was.
func inserted(t *testing.T, describe string, f, after *pamconf.File, phase pamconf.Phase, tree texts) {
	t.Helper()
	if again := pamconf.Parse(f.Name, after.Bytes()); !bytes.Equal(again.Bytes(), after.Bytes()) || !sameRules(again, after) {
		t.Errorf("%s\nread again it is %q", describe, again.Bytes())
	}
	others := &pamconf.File{Rules: slices.DeleteFunc(slices.Clone(after.Rules), pamconf.Rule.IsLatch)}
	if len(others.Rules) != len(after.Rules)-1 || !sameRules(others, f) {
		t.Errorf("%s\nother rules changed: %q", describe, after.Bytes())
	}
	if back, lines := after.Without(); lines != 1 || !bytes.Equal(back.Bytes(), f.Bytes()) {
		t.Errorf("%s\ntaking %d lines out of %q leaves %q", describe, lines, after.Bytes(), back.Bytes())
	}
	second, findings, err := pamconf.Insert(after, phase, tree, []string{"otp=yes"})
	if second != nil || err != nil || len(findings) != 1 || findings[0].Problem != pamconf.AlreadyPresent {
		t.Errorf("%s\na second time: %v %v", describe, findings, err)
	}
}

// sameRules compares rules wherever they stand.
func sameRules(a, b *pamconf.File) bool {
	return slices.EqualFunc(a.Rules, b.Rules, func(x, y pamconf.Rule) bool {
		x.First, x.Last, y.First, y.Last = 0, x.Last-x.First, 0, y.Last-y.First
		return fmt.Sprint(x) == fmt.Sprint(y)
	})
}

// TestBothLinesComeOut puts in both lines, as an installation does, and takes out both.
func TestBothLinesComeOut(t *testing.T) {
	t.Parallel()
	both, files := 0, sample(6000)
	for seed := range uint64(files) {
		tree := author{rand.New(rand.NewPCG(seed, 8))}.tree()
		f := pamconf.Parse("tried", []byte(tree["tried"]))
		first, _, err := pamconf.Insert(f, pamconf.Auth, tree, nil)
		if err != nil || first == nil {
			continue
		}
		second, _, err := pamconf.Insert(first, pamconf.Account, tree, []string{"operation=door"})
		if err != nil || second == nil {
			continue
		}
		both++
		if back, lines := second.Without(); lines != 2 || !bytes.Equal(back.Bytes(), f.Bytes()) {
			t.Fatalf("seed %d: taking %d lines out of %q leaves %q, not %q", seed, lines, second.Bytes(), back.Bytes(), f.Bytes())
		}
	}
	if both < files/30 {
		t.Errorf("only %d files got both lines", both)
	}
}
