package installer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/installer"
)

// again installs once more with some options and returns our lines and what the person is told.
func again(t *testing.T, s installer.System, service string, o installer.Options) (lines, notes string) {
	t.Helper()
	options := map[string]installer.Options{service: o}
	plans, err := s.PlanAll(options)
	must(t, err)
	apply(t, s, plans, options)
	text, err := os.ReadFile(filepath.Join(s.PamDirs[0], service))
	must(t, err)
	var ours []string
	for _, line := range strings.Split(string(text), "\n") {
		if strings.Contains(line, "pam_latch.so") {
			ours = append(ours, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(ours, "; "), strings.Join(plans[0].Notes, "; ")
}

var yes, no = true, false

// TestOptionsKeepTheirValue installs again and again: what is not given stays, and what goes is named.
func TestOptionsKeepTheirValue(t *testing.T) {
	s, path := one(t, stack)
	type step struct {
		given        installer.Options
		lines, notes string
	}
	run := func(service string, steps []step) {
		t.Helper()
		for i, c := range steps {
			lines, notes := again(t, s, service, c.given)
			if lines != c.lines || !strings.Contains(notes, c.notes) || c.notes == "" && notes != "" {
				t.Errorf("step %d: %q, told %q; want %q, told %q", i, lines, notes, c.lines, c.notes)
			}
		}
	}
	const both = "auth required pam_latch.so operation=front otp=totp; account required pam_latch.so operation=front otp=totp"
	run("door", []step{
		{installer.Options{Operation: "front", OTP: "totp"}, both, ""},
		{installer.Options{}, both, "the auth line keeps operation=front otp=totp; the account line keeps"},
		{installer.Options{Repair: true}, both, "keeps"},
		{installer.Options{OTP: "no"}, strings.ReplaceAll(both, "totp", "no"), "the auth line has otp=no instead of otp=totp; the auth line keeps operation=front"},
		{installer.Options{Operation: "back"}, strings.NewReplacer("totp", "no", "front", "back").Replace(both), "operation=back instead of operation=front"},
		{installer.Options{Operation: installer.NoOperation}, "auth required pam_latch.so otp=no; account required pam_latch.so otp=no", "the account line loses operation=back"},
		{installer.Options{OTP: installer.ConfiguredOTP}, "auth required pam_latch.so; account required pam_latch.so", "the auth line loses otp=no"},
	})
	const files = " config=/c accounts=/a operation="
	write(t, path, "auth requisite pam_unix.so\nauth required pam_latch.so"+files+"a\naccount required pam_latch.so"+files+"b\naccount required pam_unix.so\n")
	run("door", []step{
		{installer.Options{}, "auth required pam_latch.so" + files + "a; account required pam_latch.so" + files + "b", "keeps config=/c accounts=/a operation=a"},
		{installer.Options{OTP: "totp"}, "auth required pam_latch.so" + files + "a otp=totp; account required pam_latch.so" + files + "b otp=totp", "keeps config=/c"},
	})
	sudo := filepath.Join(s.PamDirs[0], "sudo")
	write(t, sudo, stack)
	const auth, account = "auth required pam_latch.so otp=totp", "; account required pam_latch.so otp=totp notify=no"
	run("sudo", []step{
		{installer.Options{OTP: "totp"}, auth, ""},
		{installer.Options{EveryUse: &yes}, auth + account, "keeps otp=totp"},
		{installer.Options{}, auth + account, "keeps otp=totp notify=no"},
		{installer.Options{EveryUse: &no}, auth, "the account line goes"},
	})
}

// TestLinesThatWentComeBackWithTheirArguments has a package upgrade put the shipped file back.
func TestLinesThatWentComeBackWithTheirArguments(t *testing.T) {
	s, path := one(t, stack)
	lines, _ := again(t, s, "door", installer.Options{Operation: "front", OTP: "totp"})
	for _, o := range []installer.Options{{}, {Repair: true}} {
		write(t, path, stack)
		if now, notes := again(t, s, "door", o); now != lines || !strings.Contains(notes, "keeps operation=front") {
			t.Errorf("%q, told %q", now, notes)
		}
	}
	// A record of an earlier version names the options alone.
	write(t, path, stack)
	record := filepath.Join(s.StateDir, "door.json")
	must(t, os.WriteFile(record, []byte(`{"service":"door","path":"`+path+`","options":{"Operation":"front","OTP":"totp","EveryUse":false},"phases":["account","auth"]}`), 0o600))
	if now, _ := again(t, s, "door", installer.Options{}); now != lines {
		t.Errorf("%q", now)
	}
}

// TestRepairKeepsArguments moves lines that protect nothing where they stand.
func TestRepairKeepsArguments(t *testing.T) {
	const front = " operation=front config=/c"
	for text, want := range map[string]string{
		"auth sufficient pam_permit.so\nauth requisite pam_unix.so\nauth required pam_latch.so" + front + "\naccount required pam_unix.so\n":                                "auth required pam_latch.so" + front + "; account required pam_latch.so" + front,
		"auth sufficient pam_succeed_if.so user ingroup nopasswdlogin\nauth requisite pam_unix.so\nauth required pam_latch.so" + front + "\naccount required pam_unix.so\n": "",
		"auth requisite pam_unix.so\nauth optional pam_latch.so" + front + "\naccount required pam_unix.so\n":                                                               "auth required pam_latch.so" + front + "; account required pam_latch.so" + front,
		"auth required pam_latch.so otp=totp\nauth requisite pam_unix.so\nauth required pam_latch.so otp=totp\naccount required pam_unix.so\n":                              "auth required pam_latch.so otp=totp; account required pam_latch.so otp=totp",
	} {
		s, _ := one(t, text)
		if _, err := s.Plan("door", installer.Options{}); strings.Contains(text, "front") && (err == nil || !strings.Contains(err.Error(), "latch install --repair door")) {
			t.Errorf("%q: %v", text, err)
		}
		if want == "" {
			if _, err := s.Plan("door", installer.Options{Repair: true}); err == nil || !strings.Contains(err.Error(), "no better place for its auth line") {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if lines, _ := again(t, s, "door", installer.Options{Repair: true}); lines != want {
			t.Errorf("%q: %q, want %q", text, lines, want)
		}
	}
}

// TestOptionsOfAnIncludedLine: the line of another file decides, and is named.
func TestOptionsOfAnIncludedLine(t *testing.T) {
	s, path := one(t, stack)
	again(t, s, "door", installer.Options{Operation: "front"})
	write(t, filepath.Join(filepath.Dir(path), "gate"), "auth include door\naccount include door\n")
	if _, err := s.Plan("gate", installer.Options{OTP: "totp"}); err == nil || !strings.Contains(err.Error(), "install door with these options") {
		t.Error(err)
	}
	for _, o := range []installer.Options{{}, {Operation: "front"}} {
		if c, err := s.Plan("gate", o); err != nil || !c.None() {
			t.Errorf("%v %v", err, c.Diff())
		}
	}
}
