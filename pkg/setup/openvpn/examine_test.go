package openvpn

import (
	"strings"
	"testing"
)

func TestExamine(t *testing.T) {
	const (
		asks  = `plugin /x/openvpn-plugin-auth-pam.so "openvpn login USERNAME password PASSWORD"` + "\n"
		codes = `plugin /x/openvpn-plugin-auth-pam.so "openvpn login USERNAME password PASSWORD latch OTP"` + "\n"
		later = "setenv deferred_auth_pam 1\n"
	)
	for text, want := range map[string]struct {
		found string // "" for nothing
		grave bool
	}{
		asks + later:                                             {"", false},
		codes + later + "auth-gen-token 28800\n":                 {"renegotiates or reconnects", false}, // set by somebody else
		"mode server\n":                                          {"certificates alone", false},
		"# " + asks + "mode server\n":                            {"certificates alone", false},
		"<ca>\n" + asks + "</ca>\n":                              {"certificates alone", false},
		"auth-user-pass-verify /x via-env\n":                     {"something else checks", false},
		"plugin /x/radiusplugin.so\n":                            {"something else checks", false},
		"plugin /x/openvpn-plugin-down-root.so y\n":              {"certificates alone", false},
		"management-client-auth\n":                               {"something else checks", false},
		asks:                                                     {"no deferred_auth_pam", false},
		asks + "chroot /jail\n":                                  {"chroot keeps", false},
		asks + later + "chroot /jail\n":                          {"nobody gets in", true},
		asks + later + "chroot /jail\ntmp-dir /jail\n":           {"", false},
		asks + later + "auth-gen-token 0 external-auth":          {"external-auth", true},
		codes + later:                                            {"without auth-gen-token", true},
		later + "plugin /x/openvpn-plugin-auth-pam.so login\n":   {"asks the PAM service login", false},
		later + "plugin /x/openvpn-plugin-auth-pam.so sshd\n":    {"asks the PAM service sshd", false},
		later + "plugin /x/openvpn-plugin-auth-pam.so openvpn\n": {"lacks login USERNAME password PASSWORD", false},
		later + "plugin /x/openvpn-plugin-auth-pam.so \"openvpn login USERNAME\"\n": {"lacks password PASSWORD", false},
		asks + later + "reneg-sec 0\n":                                              {"reneg-sec is 0", false},
		asks + later + "local 127.0.0.1\n":                                          {"from one address", false},
		asks + later + "local ::1\n":                                                {"from one address", false},
		asks + later + "local 192.0.2.1\n":                                          {"", false},
	} {
		found, err := Examine([]byte(text), false)
		switch {
		case err != nil:
			t.Errorf("%q: %v", text, err)
		case want.found == "" && len(found) > 0:
			t.Errorf("%q: %v, want nothing", text, found)
		case want.found != "" && (len(found) != 1 || !strings.Contains(found[0].Text, want.found) || found[0].Grave != want.grave):
			t.Errorf("%q: %v, want %v", text, found, want)
		}
	}
	if _, err := Examine([]byte("push \"route\n"), false); err == nil {
		t.Error("no mistake in half a word")
	}
}

// TestExamineCodes has a latch that asks for codes and a server that hands none over.
func TestExamineCodes(t *testing.T) {
	after, _, err := Install([]byte("mode server\n"), plain)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := Examine(after, true); err != nil || len(found) != 1 || !strings.Contains(found[0].Text, "lacks latch OTP") {
		t.Errorf("%v %v", err, found)
	}
}

// TestExamineInstalled has nothing wrong with what Install makes.
func TestExamineInstalled(t *testing.T) {
	for _, w := range []Wanted{plain, coded} {
		after, _, err := Install([]byte("mode server\n"), w)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := Examine(after, w.OTP); err != nil || len(found) > 0 {
			t.Errorf("%v %v:\n%s", err, found, after)
		}
	}
}
