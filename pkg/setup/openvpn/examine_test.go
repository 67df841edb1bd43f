package openvpn

import (
	"os"
	"path/filepath"
	"slices"
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

// TestOtherPlugins installs beside plugins of others: what is written, and what the doctor finds then.
func TestOtherPlugins(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/server.conf")
	if err != nil || len(cases) < 5 {
		t.Fatalf("%q %v", cases, err)
	}
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		text, want := read(file), string(read(dir+"/want"))
		after, _, err := Install(text, plain)
		if reason, refused := strings.CutPrefix(strings.SplitN(want, "\n", 2)[0], "refused "); refused {
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: %v, want %q", dir, err, reason)
			}
			after = append(text, freshLine...)
		} else if right := string(read(dir + "/after.conf")); err != nil || string(after) != right {
			t.Errorf("%s: %v\n%s", dir, err, after)
		}
		found, err := Examine(after, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
			state, what, _ := strings.Cut(line, " ")
			if state == "refused" || state == "" {
				continue
			}
			if i := slices.IndexFunc(found, func(f Finding) bool { return strings.Contains(f.Text, what) && f.Grave == (state == "fail") }); i < 0 {
				t.Errorf("%s: found %v, want %s %q", dir, found, state, what)
			}
		}
	}
}

// TestPluginThatCameLater: our own line goes at the next installation, and until then the doctor fails.
func TestPluginThatCameLater(t *testing.T) {
	after, _, err := Install([]byte("mode server\n"), plain)
	if err != nil {
		t.Fatal(err)
	}
	later := append([]byte("plugin /opt/duo/duo_openvpn.so x\n"), after...)
	if found, err := Examine(later, false); err != nil || len(found) != 1 || !found[0].Grave || found[0].Fix != "" {
		t.Errorf("%v %v", found, err)
	}
	again, _, err := Install(later, plain)
	if err != nil || strings.Contains(string(again), "deferred_auth_pam") || !strings.Contains(string(again), freshLine) {
		t.Errorf("%v\n%s", err, again)
	}
}
