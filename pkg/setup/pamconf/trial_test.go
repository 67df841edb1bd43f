package pamconf_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// secrets are the modules in these tests that check a secret.
var secrets = []string{"pam_unix.so", "pam_sss.so", "pam_systemd_home.so", "pam_fprintd.so", "pam_pkcs11.so"}

// keepers say that a password is to be changed.
var keepers = []string{"pam_unix.so", "pam_sss.so", "pam_systemd_home.so", "pam_stranger.so"}

// trial is one login: what each module of a stack answers.
type trial struct {
	*rand.Rand
	wrong   bool // no right secret
	answers map[string]pamconf.Code
}

func isRoot(r pamconf.Rule) bool {
	return r.Base() == "pam_rootok.so" || r.Base() == "pam_succeed_if.so" && strings.HasPrefix(strings.Join(r.Args, " "), "uid = 0 use_uid")
}

// answer makes up what a module says, and keeps to it.
func (tr *trial) answer(key string, r pamconf.Rule) pamconf.Code {
	if code, known := tr.answers[key]; known {
		return code
	}
	code := pamconf.Success
	switch checks := slices.Contains(secrets, r.Base()); {
	case r.Base() == "pam_permit.so":
	case r.Base() == "pam_deny.so":
		code = pamconf.AuthErr
	case isRoot(r):
		code = []pamconf.Code{pamconf.Success, pamconf.AuthErr}[tr.IntN(2)]
	case checks || tr.IntN(3) == 0:
		code = tr.other(r, checks)
	}
	if tr.wrong && isRoot(r) {
		code = pamconf.AuthErr
	}
	tr.answers[key] = code
	return code
}

// other makes up any code that the module may return; for one that checks, mostly that the secret is right.
func (tr *trial) other(r pamconf.Rule, checks bool) pamconf.Code {
	if checks && !tr.wrong && tr.IntN(3) > 0 {
		return pamconf.Success
	}
	for {
		code := pamconf.Code(tr.IntN(31)) // without incomplete, which is the last
		switch {
		case code == pamconf.NewAuthtokReqd && (r.Phase != pamconf.Account || !slices.Contains(keepers, r.Base())),
			code == pamconf.Ignore && (r.Base() == "pam_unix.so" || r.Base() == "pam_fprintd.so"),
			code == pamconf.Ignore && checks && tr.wrong && !slices.Contains(r.Args, "ignore_unknown_user"),
			code == pamconf.Success && checks && tr.wrong:
		default:
			return code
		}
	}
}

// run sends the login through a stack in which our module says what latch is. keys name the steps but ours.
func (tr *trial) run(t *testing.T, s *pamconf.Stack, keys map[string]string, latch pamconf.Code) (out pamconf.Outcome, called []string, root bool) {
	t.Helper()
	outcomes := s.Run(func(step pamconf.Step) []pamconf.Code {
		if step.Rule.IsLatch() {
			called = append(called, pamconf.ModuleFile)
			return []pamconf.Code{latch}
		}
		key := keys[place(step)]
		code := tr.answer(key, step.Rule)
		called = append(called, key)
		root = root || isRoot(step.Rule) && code == pamconf.Success
		return []pamconf.Code{code}
	})
	if len(outcomes) != 1 {
		t.Fatalf("one answer each, and %d outcomes", len(outcomes))
	}
	return outcomes[0], called, root
}

func place(s pamconf.Step) string { return fmt.Sprint(s.Where(), " by ", s.Top) }

// keysOf names the steps of a stack by their order, ours left out, so that they have the same names with it and without.
func keysOf(s *pamconf.Stack) map[string]string {
	keys := map[string]string{}
	n := 0
	for _, step := range s.Steps {
		if !step.Rule.IsLatch() {
			keys[place(step)] = fmt.Sprint(n)
			n++
		}
	}
	return keys
}

// hold tries many logins on a stack without our line and with it. Whatever the other modules say: an open latch changes
// nothing, no module is called that was not, or the other way round; a closed one refuses everybody but root where root
// is let by; and nobody comes in unasked or is asked twice. In the auth phase a wrong secret asks nothing, unless some other module
// lets in without it. It returns how many came in.
func hold(t *testing.T, describe string, before, after *pamconf.Stack, seed uint64, logins int) (in int) {
	t.Helper()
	keysBefore, keysAfter := keysOf(before), keysOf(after)
	refuse := pamconf.AuthErr
	if before.Phase == pamconf.Account {
		refuse = pamconf.PermDenied
	}
	checked := slices.ContainsFunc(before.Steps, func(s pamconf.Step) bool { return slices.Contains(secrets, s.Rule.Base()) })
	for n := range logins {
		tr := &trial{Rand: rand.New(rand.NewPCG(seed, uint64(n))), answers: map[string]pamconf.Code{},
			wrong: n%3 == 0 && before.Phase == pamconf.Auth && checked}
		was, called, root := tr.run(t, before, keysBefore, 0)
		for _, latch := range []pamconf.Code{pamconf.Success, pamconf.Ignore, refuse} {
			is, calledNow, _ := tr.run(t, after, keysAfter, latch)
			others := slices.DeleteFunc(slices.Clone(calledNow), func(key string) bool { return key == pamconf.ModuleFile })
			asked := len(calledNow) - len(others)
			switch {
			case latch != refuse && (is.Status != was.Status || !slices.Equal(others, called)):
				t.Errorf("%s\nwith %v: %v after %v, and without the line %v after %v; answers %v", describe, latch, is.Status,
					calledNow, was.Status, called, tr.answers)
			case latch == refuse && is.LetIn() && !root:
				t.Errorf("%s\na closed latch lets in: %v; answers %v", describe, calledNow, tr.answers)
			case was.LetIn() && !root && asked != 1, asked > 1:
				t.Errorf("%s\nasked %d times: %v; answers %v", describe, asked, calledNow, tr.answers)
			case tr.wrong && asked > 0 && !was.LetIn():
				t.Errorf("%s\na wrong secret asks: %v; answers %v", describe, calledNow, tr.answers)
			}
		}
		if was.LetIn() && !root {
			in++
		}
		if t.Failed() {
			return in
		}
	}
	return in
}
