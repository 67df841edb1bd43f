package pamconf_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

func refusesIgnored(s *pamconf.Stack) bool {
	return slices.ContainsFunc(s.Judge(), func(f pamconf.Finding) bool { return f.Problem == pamconf.RefusesIgnored })
}

// TestIgnoredUsersAreFoundRefused judges stacks in which our module answers "ignore" about a user, as they stand in the
// files of Telefónica's plugin and elsewhere.
func TestIgnoredUsersAreFoundRefused(t *testing.T) {
	for text, want := range map[string]bool{
		// Telefónica's files for CentOS and Fedora, by themselves, included and as a substack.
		"auth requisite pam_unix.so\nauth sufficient pam_latch.so\nauth requisite pam_succeed_if.so uid >= 500\nauth required pam_deny.so\n": true,
		"auth required pam_sepermit.so\nauth include theirs\n":                                                                               true,
		"auth required pam_sepermit.so\nauth substack theirs\nauth optional pam_gnome_keyring.so\n":                                          true,
		"auth sufficient pam_fprintd.so\nauth include theirs\n":                                                                              true,
		"auth required pam_latch.so\n":                                                                                                             true,
		"auth sufficient pam_latch.so\n":                                                                                                           true,
		"auth requisite pam_unix.so\nauth required pam_latch.so\n":                                                                                 false,
		"auth requisite pam_unix.so\nauth sufficient pam_latch.so\n":                                                                               false,
		"auth requisite pam_unix.so\nauth sufficient pam_latch.so\nauth required pam_permit.so\n":                                                  false,
		"auth requisite pam_unix.so\nauth sufficient pam_latch.so\nauth required pam_access.so\n":                                                  true, // an open latch passes over pam_access
		"auth requisite pam_unix.so\nauth sufficient pam_latch.so\nauth sufficient pam_sss.so\nauth required pam_deny.so\n":                        true,
		"auth requisite pam_unix.so\nauth [success=1 ignore=1 default=die] pam_latch.so\nauth required pam_deny.so\nauth required pam_permit.so\n": false,
		"auth requisite pam_unix.so\nauth [success=1 default=die] pam_latch.so\nauth required pam_deny.so\nauth required pam_permit.so\n":          true,
		"auth sufficient pam_rootok.so\nauth required pam_latch.so\n":                                                                              true,
	} {
		tree := texts{"theirs": "auth requisite pam_unix.so\nauth sufficient pam_latch.so\nauth requisite pam_succeed_if.so uid >= 500\nauth required pam_deny.so\n"}
		s := load(t, pamconf.Parse("tried", []byte(text)), pamconf.Auth, tree)
		if got := refusesIgnored(s); got != want {
			t.Errorf("%q: %v, want %v: %v", text, got, want, s.Judge())
		}
	}
}

// TestRefusedIgnoredUsersAreAlwaysFound compares the finding with logins on made-up files: whenever one of them succeeds
// with an open latch and fails where our module ignores the user, the stack is found out.
func TestRefusedIgnoredUsersAreAlwaysFound(t *testing.T) {
	t.Parallel()
	refused, innocent, files := 0, 0, sample(3000)
	for seed := range uint64(files) {
		a := author{rand.New(rand.NewPCG(seed, 11))}
		tree := a.tree()
		lines := strings.SplitAfter(tree["tried"], "\n")
		at := a.IntN(len(lines))
		lines = slices.Insert(lines, at, "auth "+a.control()+" pam_latch.so\n")
		s, err := pamconf.Load(pamconf.Parse("tried", []byte(strings.Join(lines, ""))), pamconf.Auth, tree)
		if err != nil || s.Asks() < 0 {
			continue
		}
		found, seen := refusesIgnored(s), false
		for n := range 60 {
			tr := &trial{Rand: rand.New(rand.NewPCG(seed, uint64(n))), answers: map[string]pamconf.Code{}}
			open, _, _ := tr.run(t, s, keysOf(s), pamconf.Success)
			ignored, _, _ := tr.run(t, s, keysOf(s), pamconf.Ignore)
			if seen = open.LetIn() && !ignored.LetIn(); seen {
				break
			}
		}
		if seen && !found {
			t.Fatalf("seed %d: %q: a login was refused and the stack is called good: %v", seed, tree, s.Judge())
		}
		if seen {
			refused++
		} else if !found {
			innocent++
		}
	}
	if refused < files/15 || innocent < files/15 {
		t.Errorf("%d stacks refused, %d did not: that says little", refused, innocent)
	}
}

// TestAdmits says whether anybody comes in by way of our line.
func TestAdmits(t *testing.T) {
	const theirs = "auth sufficient pam_fprintd.so\nauth requisite pam_unix.so\nauth %s pam_latch.so\nauth required pam_deny.so\n"
	for control, want := range map[string][3]bool{"sufficient": {true, false, false}, "required": {false, false, false},
		"[success=1 ignore=1 default=bad]": {true, true, false}, "optional": {false, false, false}} {
		s := load(t, pamconf.Parse("tried", fmt.Appendf(nil, theirs, control)), pamconf.Auth, texts{})
		if got := [3]bool{s.Admits(pamconf.Success), s.Admits(pamconf.Ignore), s.Admits(pamconf.AuthErr)}; got != want {
			t.Errorf("%s: %v, want %v", control, got, want)
		}
	}
}
