package pamconf

import (
	"slices"
	"testing"
)

// TestEditArgs changes the arguments of hand-written lines and leaves everything else where it is.
func TestEditArgs(t *testing.T) {
	add := func(r Rule) ([]string, bool) { return append(slices.Clone(r.Args), "otp=totp"), true }
	for before, want := range map[string]string{
		"auth required pam_unix.so\nauth\t[success=ok default=bad]  /lib/pam_latch.so operation=a # mine\n": "auth required pam_unix.so\nauth\t[success=ok default=bad]  /lib/pam_latch.so operation=a otp=totp # mine\n",
		"-auth requisite pam_latch.so": "-auth requisite pam_latch.so otp=totp",
		"auth required \\\n pam_latch.so operation=a \\\n config=/x\naccount required pam_unix.so\n": "auth required pam_latch.so operation=a config=/x otp=totp\naccount required pam_unix.so\n",
		"auth required pam_latch.so [operation=a b]\n":                                               "auth required pam_latch.so [operation=a b] otp=totp\n",
		"auth required pam_unix.so\n":                                                                "auth required pam_unix.so\n",
	} {
		if got := string(Parse("door", []byte(before)).EditArgs(add).Bytes()); got != want {
			t.Errorf("%q:\n%q, want\n%q", before, got, want)
		}
	}
	const both = "auth required pam_latch.so\n# between\naccount required pam_latch.so notify=no\naccount required pam_unix.so\n"
	authOnly := func(r Rule) ([]string, bool) { return r.Args, r.Phase != Account }
	if got := string(Parse("sudo", []byte(both)).EditArgs(authOnly).Bytes()); got != "auth required pam_latch.so\n# between\naccount required pam_unix.so\n" {
		t.Errorf("%q", got)
	}
	same := func(r Rule) ([]string, bool) { return r.Args, true }
	const odd = "auth   required\tpam_latch.so   operation=a\\\n  \n"
	if got := string(Parse("sudo", []byte(odd)).EditArgs(same).Bytes()); got != odd {
		t.Errorf("nothing to change: %q", got)
	}
}
