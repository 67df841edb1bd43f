package pamconf_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// load expands one phase.
func load(t *testing.T, f *pamconf.File, phase pamconf.Phase, tree pamconf.Tree) *pamconf.Stack {
	t.Helper()
	s, err := pamconf.Load(f, phase, tree)
	if err != nil {
		t.Fatalf("%s %s: %v", f.Name, phase, err)
	}
	return s
}

// TestPlacesHold tries logins on every place that Insert finds in a distribution's files.
func TestPlacesHold(t *testing.T) {
	t.Parallel()
	for _, machine := range slices.Sorted(maps.Keys(machines)) {
		t.Run(machine, func(t *testing.T) {
			t.Parallel()
			tree, places, in := dirs(machines[machine]), 0, 0
			for _, service := range tree.services(t) {
				f := tree.file(t, service)
				for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
					after, _, err := pamconf.Insert(f, phase, tree, nil)
					if err != nil {
						t.Fatal(err)
					}
					if after == nil {
						continue
					}
					if hold(t, string(after.Bytes()), load(t, f, phase, tree), load(t, after, phase, tree), 1, sample(300)) > 0 {
						in++
					}
					if !strings.Contains(string(after.Bytes()), pamconf.DenyOnly) { // else perhaps nobody comes in at all
						places++
					}
				}
			}
			// Two places are in "other", which lets nobody in.
			if places < 20 || in < places-2 {
				t.Errorf("logins came in at %d of %d places", in, places)
			}
		})
	}
}

// TestWhereThereIsAPlace says for the services that people install which phases may ask. Where a wrong password gets to
// the end of the auth stack, or a sufficient rule ends it, only the account phase is left.
func TestWhereThereIsAPlace(t *testing.T) {
	early := []string{"debian12", "ubuntu2404", "arch"} // a wrong password ends the stack at once
	for _, machine := range slices.Sorted(maps.Keys(machines)) {
		tree := dirs(machines[machine])
		for _, service := range []string{"sshd", "login", "sudo", "lightdm", "gdm-password", "polkit-1"} {
			f := tree.file(t, service)
			after, findings, err := pamconf.Insert(f, pamconf.Auth, tree, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Contains(early, machine)
			problem := pamconf.ReachedWithoutPassword
			if machine == "ubuntu2404" && service == "lightdm" {
				want, problem = false, pamconf.Bypassed // members of nopasswdlogin
			}
			if (after != nil) != want || !want && findings[0].Problem != problem {
				t.Errorf("%s %s auth: a place: %v, want %v; %v", machine, service, after != nil, want, findings)
			}
			if after, findings, err = pamconf.Insert(f, pamconf.Account, tree, nil); err != nil || after == nil {
				t.Fatalf("%s %s account: %v %v", machine, service, findings, err)
			}
			if first := firstOf(after, pamconf.Account); !first.IsLatch() {
				t.Errorf("%s %s account: %v comes first", machine, service, first)
			}
		}
	}
}

// TestRootIsLetBy puts the account line behind the rule that lets root by, where the file has one.
func TestRootIsLetBy(t *testing.T) {
	for _, machine := range []string{"fedora-sssd", "rhel9-minimal", "opensuse"} {
		tree := dirs(machines[machine])
		after, findings, err := pamconf.Insert(tree.file(t, "su"), pamconf.Account, tree, nil)
		if err != nil || after == nil {
			t.Fatalf("%s: %v %v", machine, findings, err)
		}
		if first := firstOf(after, pamconf.Account); !isRoot(first) {
			t.Errorf("%s: %v comes first", machine, first)
		}
	}
}

// firstOf returns the first rule of a phase in the file itself. Debian's "@include common-account" counts as one of it.
func firstOf(f *pamconf.File, phase pamconf.Phase) pamconf.Rule {
	return f.Rules[slices.IndexFunc(f.Rules, func(r pamconf.Rule) bool {
		return r.Phase == phase || r.Inclusion == pamconf.IncludeAll && r.Module == "common-"+string(phase)
	})]
}

// TestGuessesAreKeptAway also where the only check of a secret is by a module that we do not know, or may be left out.
func TestGuessesAreKeptAway(t *testing.T) {
	for rule, want := range map[string]bool{"required pam_stranger.so": false, "requisite pam_stranger.so": true,
		"sufficient pam_stranger.so": false, "requisite pam_sss.so": true, "requisite pam_sss.so ignore_unknown_user": false} {
		f := pamconf.Parse("tried", []byte("auth required pam_env.so\nauth "+rule+"\nauth optional pam_permit.so\n"))
		after, findings, err := pamconf.Insert(f, pamconf.Auth, texts{}, nil)
		if err != nil || (after != nil) != want || !want && findings[0].Problem != pamconf.ReachedWithoutPassword {
			t.Errorf("%s: a place: %v, want %v; %v %v", rule, after != nil, want, findings, err)
		}
		if after != nil && !after.Rules[2].IsLatch() {
			t.Errorf("%s: %q", rule, after.Bytes())
		}
	}
}

// TestInclusionsEnd reads files that include themselves: libpam stops at a depth, and we also where that takes for ever.
func TestInclusionsEnd(t *testing.T) {
	for line, want := range map[string]bool{"auth include tried\n": false, "auth substack tried\nauth include tried\n": true} {
		text := line + "auth required pam_unix.so\n"
		_, err := pamconf.Load(pamconf.Parse("tried", []byte(text)), pamconf.Auth, texts{"tried": text})
		if errors.Is(err, pamconf.ErrTooMany) != want || !want && err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestOursGoesWhole takes out rules of ours that somebody wrote over several lines.
func TestOursGoesWhole(t *testing.T) {
	const head, tail = "auth required pam_unix.so\n", "account required pam_unix.so"
	for _, ours := range []string{"auth required pam_latch.so\n", "auth required \\\n\tpam_latch.so\n", "auth \\\n# between\n\n [success=ok \\\n default=die] \\\n /lib/security/pam_latch.so otp=yes # why\n",
		"-auth optional pam_latch.so\nauth required \\\npam_latch.so\n"} {
		f, lines := pamconf.Parse("tried", []byte(head+ours+tail)).Without()
		if got := string(f.Bytes()); got != head+tail || lines == 0 {
			t.Errorf("%q: %d lines out, and %q is left", ours, lines, got)
		}
	}
}
