package openvpn

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const (
	pluginPath = "/usr/lib/x86_64-linux-gnu/openvpn/plugins/openvpn-plugin-auth-pam.so"
	pamLine    = "setenv deferred_auth_pam 1  " + mark + "\n"
	windowLine = "tran-window 120  " + mark + "\n"
	deferLine  = pamLine + windowLine
	freshLine  = "plugin " + pluginPath + ` "openvpn login USERNAME password PASSWORD"  ` + mark + "\n"
	codeLine   = "plugin " + pluginPath + ` "openvpn login USERNAME password PASSWORD latch OTP"  ` + mark + "\n"
)

var plain, coded = Wanted{Plugin: pluginPath}, Wanted{Plugin: pluginPath, OTP: true}

func TestInstall(t *testing.T) {
	const p = "plugin /opt/openvpn-plugin-auth-pam.so"
	cases := []struct {
		name, text string
		wanted     Wanted
		want       string
	}{
		{"no plugin", "server 10.8.0.0 255.255.255.0\n", plain, "server 10.8.0.0 255.255.255.0\n" + freshLine + deferLine},
		{"no line end", "mode server", plain, "mode server\n" + strings.TrimSuffix(freshLine+deferLine, "\n")},
		{"empty", "", plain, freshLine + deferLine},
		{"with a code", "mode server\n", coded, "mode server\n" + codeLine + pamLine + "auth-gen-token 28800  " + mark + "\n"},
		{"howto's plugin", p + " login\n", plain,
			replaced + p + " login\n" + p + ` "openvpn login USERNAME password PASSWORD"  ` + mark + "\n" + deferLine},
		{"no list", p + " openvpn # mine", plain,
			replaced + p + " openvpn # mine\n" + p + ` "openvpn login USERNAME password PASSWORD"  ` + mark + "\n" + strings.TrimSuffix(deferLine, "\n")},
		{"half a list", p + ` "openvpn Pass PASSWORD"` + "\nsetenv deferred_auth_pam 0\n", plain,
			replaced + p + ` "openvpn Pass PASSWORD"` + "\n" + p + ` "openvpn Pass PASSWORD login USERNAME"  ` + mark + "\nsetenv deferred_auth_pam 0\n" + windowLine},
		{"whole list in words", p + " openvpn login USERNAME password PASSWORD\n", plain, p + " openvpn login USERNAME password PASSWORD\n" + deferLine},
		{"own token", p + ` "openvpn login USERNAME password PASSWORD latch OTP"` + "\nauth-gen-token 3600\n", coded,
			p + ` "openvpn login USERNAME password PASSWORD latch OTP"` + "\nauth-gen-token 3600\n" + pamLine},
		{"a certificate that looks like options", "<ca>\nplugin /x/openvpn-plugin-auth-pam.so\n  </ca>\n", plain,
			"<ca>\nplugin /x/openvpn-plugin-auth-pam.so\n  </ca>\n" + freshLine + deferLine},
		{"other plugin", "--plugin 'down root.so' \"x\\\" y\"\n", plain, "--plugin 'down root.so' \"x\\\" y\"\n" + freshLine + windowLine},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			after, _, err := Install([]byte(c.text), c.wanted)
			if err != nil || string(after) != c.want {
				t.Fatalf("%v\n%s\nwant\n%s", err, after, c.want)
			}
			if before, _ := Uninstall(after); string(before) != c.text {
				t.Errorf("uninstalled:\n%q\nwant\n%q", before, c.text)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	const p = "plugin openvpn-plugin-auth-pam.so "
	for text, reason := range map[string]string{
		"auth-gen-token 0 external-auth\n":                      "external-auth",
		p + "sshd\n":                                            "service sshd",
		p + `"openvpn login"` + "\n":                            "pairs",
		"plugin openvpn-plugin-auth-pam.so\n":                   "pairs",
		p + "openvpn\n" + p + "openvpn\n":                       "both",
		"<ca>\nxx\n":                                            "</ca> is missing",
		"push \"route\n":                                        "quotation mark",
		"push C:\\dir\n":                                        "backslash",
		"#" + strings.Repeat("x", maxLine) + "\n":               "longer",
		"#" + strings.Repeat("x", maxLine-5) + "\x00\n":         "no text",
		p + "openvpn #" + strings.Repeat("x", maxLine-60):       "longer", // as a comment
		p + "openvpn" + strings.Repeat(" a b", 6):               "no room",
		p + "openvpn login USERNAME password PASSWORD l secret": "",
		"chroot /jail\nsetenv deferred_auth_pam 1\n":            "chroot (line 1)",
	} {
		after, _, err := Install([]byte(text), plain)
		if reason == "" {
			after, _, err = Install([]byte(text), coded)
			reason = "not with OTP"
		}
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q\n%s", text, err, reason, after)
		}
	}
	if _, _, err := Install(nil, Wanted{}); err == nil {
		t.Error("no plugin, and nothing said")
	}
}

// OpenVPN 2.6 does not start with tokens that would be renewed too often, or never.
func TestRefusesCodesWithoutTokens(t *testing.T) {
	for text, reason := range map[string]string{
		"reneg-sec 0\n": "reneg-sec is 0", "reneg-sec 119\n": "only 119", "reneg-sec 120\n": "", "reneg-sec\n": "",
		"hand-window 2000\n": "4000 or more", "reneg-sec 30\nhand-window 15\n": "",
	} {
		_, _, err := Install([]byte(text), coded)
		if err == nil != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q", text, err, reason)
		}
		if _, _, err := Install([]byte(text), plain); err != nil {
			t.Errorf("%q without codes: %v", text, err)
		}
	}
}

// In a jail the plugin cannot answer later, unless its files have the same path inside and outside.
func TestJail(t *testing.T) {
	after, notes, err := Install([]byte("chroot /jail\n"), plain)
	if err != nil || bytes.Contains(after, []byte("deferred")) || !strings.Contains(strings.Join(notes, "\n"), "stands still") {
		t.Errorf("%v %q\n%s", err, notes, after)
	}
	after, _, err = Install([]byte("chroot /jail\ntmp-dir /jail/tmp\n"), plain)
	if err != nil || !bytes.Contains(after, []byte(pamLine)) {
		t.Errorf("%v\n%s", err, after)
	}
}

func TestTells(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "auth-user-pass",
		"auth-gen-token\n":                      "as long as its client",
		"auth-gen-token 60\n":                   "60 seconds",
		"reneg-sec 0\n":                         "reneg-sec",
		"tran-window 60\n":                      "tran-window",
		"config other.conf\n":                   "config",
		"verify-client-cert none\n":             "no certificate",
		"verify-client-cert optional\n":         "no certificate",
		"client-cert-not-required\n":            "no certificate",
		"plugin /x/openvpn-auth-ldap.so /y\n":   "line 1: plugin /x/openvpn-auth-ldap.so checks passwords too",
		"verb 3\nmanagement-client-auth\n":      "line 2: management-client-auth checks passwords too",
		"verb 3\n":                              "recommended",
		"plugin /x/openvpn-auth-pam.so login\n": "service login",
	} {
		_, notes, err := Install([]byte(text), plain)
		if err != nil || !strings.Contains(strings.Join(notes, "\n"), want) {
			t.Errorf("%q: %v %q, want %q", text, err, notes, want)
		}
	}
	if _, notes, err := Install([]byte("verify-client-cert require\n"), plain); err != nil || strings.Contains(strings.Join(notes, "\n"), "certificate") {
		t.Errorf("%v %q", err, notes)
	}
	if _, notes, err := Install(nil, coded); err != nil || !strings.Contains(strings.Join(notes, "\n"), "static-challenge") {
		t.Errorf("%v %q", err, notes)
	}
}

func TestSecondThoughts(t *testing.T) {
	text := []byte("mode server\nplugin /x/openvpn-plugin-auth-pam.so login\n")
	first, _, _ := Install(text, plain)
	second, _, _ := Install(first, coded)
	if !bytes.Contains(second, []byte("latch OTP")) || !bytes.Contains(second, []byte("auth-gen-token")) || bytes.Count(second, []byte(mark)) != 3 {
		t.Errorf("a code as well:\n%s", second)
	}
	if bytes.Contains(second, []byte("tran-window")) {
		t.Errorf("a window that tokens have no use for:\n%s", second)
	}
	if third, _, err := Install(second, plain); err != nil || !bytes.Equal(third, first) {
		t.Errorf("no code any more: %v\n%s", err, third)
	}
	if before, _ := Uninstall(second); !bytes.Equal(before, text) {
		t.Errorf("uninstalled:\n%s", before)
	}
	mine, _ := Uninstall(append([]byte("# mine\n"), append(second, "verb 3\n"...)...))
	if want := "# mine\n" + string(text) + "verb 3\n"; string(mine) != want {
		t.Errorf("what somebody added went:\n%s", mine)
	}
}

func TestIsServer(t *testing.T) {
	for text, want := range map[string]bool{"server 10.8.0.0 255.255.255.0\n": true, "mode server": true, "--server-bridge\n": true,
		"client\n": false, "# server\n": false, "mode p2p\n": false, "<ca>\nserver\n</ca>\nclient": false} {
		if IsServer([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestIsClient(t *testing.T) {
	for text, want := range map[string]bool{"client\n": true, "--tls-client\n": true, "server 10.8.0.0 255.255.255.0\n": false, "<ca>\nclient\n</ca>\n": false, "config site.conf\n": false} {
		if IsClient([]byte(text)) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// check holds what must be true of every text: install then uninstall is the identity, installing twice equals once,
// and the result asks PAM.
func check(t *testing.T, text []byte, w Wanted) {
	t.Helper()
	if bytes.Contains(text, []byte(mark)) || bytes.Contains(text, []byte(replaced)) {
		return // somebody wrote our marks
	}
	if same, lines := Uninstall(text); lines != 0 || !bytes.Equal(same, text) {
		t.Fatalf("nothing was ours in %q", text)
	}
	after, _, err := Install(text, w)
	if err != nil {
		return
	}
	if before, _ := Uninstall(after); !bytes.Equal(before, text) {
		t.Fatalf("install and uninstall made\n%q of\n%q by\n%q", before, text, after)
	}
	if again, _, err := Install(after, w); err != nil || !bytes.Equal(again, after) {
		t.Fatalf("installing twice: %v\n%q\nonce\n%q", err, again, after)
	}
	f, err := parse(after)
	if f.instead() != "" {
		return
	}
	if err != nil || !slices.ContainsFunc(f.directives, deferred) {
		t.Fatalf("%v\n%s", err, after)
	}
	swap, add, _, err := f.plugin(Wanted{OTP: w.OTP})
	if err != nil || swap != nil || add != nil {
		t.Fatalf("the plugin is not whole: %v\n%s", err, after)
	}
}

// pieces are lines, and parts of lines, that configurations are made of.
var pieces = []string{"server 10.8.0.0 255.255.255.0", "mode server", "port 1194", "# note", "; note", "", " \t", "\r", "\xef\xbb\xbf",
	"plugin /x/openvpn-plugin-auth-pam.so login", "plugin openvpn-auth-pam.so \"openvpn login USERNAME\"", "\tplugin 'openvpn-plugin-auth-pam.so' openvpn",
	"plugin openvpn-plugin-auth-pam.so openvpn password PASSWORD otp OTP", "plugin /x y/openvpn-plugin-auth-pam.so openvpn",
	`plugin "/x \"y\\/openvpn-plugin-auth-pam.so" "openvpn 'a b' c\"#d"`, "setenv deferred_auth_pam 1", "setenv x y", "auth-gen-token", "auth-gen-token 60",
	"reneg-sec 0", "reneg-sec 60", "tran-window 60", "chroot /jail", "tmp-dir /jail/tmp", "<ca>\nMIIB\n</ca>", "<tls-crypt>\n\n  </tls-crypt> # x", "push \"route 10.0.0.0 255.0.0.0\"", "user nobody", "plugin /opt/duo/duo_openvpn.so x", "config other", "--verb 3 # x"}

func TestInstallUninstallIsTheIdentity(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var b bytes.Buffer
		for n := random.IntN(8); n > 0; n-- {
			b.WriteString(pieces[random.IntN(len(pieces))])
			if n > 1 || random.IntN(2) == 0 {
				b.WriteString([]string{"\n", "\n", "\n", "\r\n", ""}[random.IntN(5)])
			}
		}
		check(t, b.Bytes(), Wanted{Plugin: pluginPath, OTP: random.IntN(2) == 0})
	}
}

func FuzzInstall(f *testing.F) {
	for _, piece := range pieces {
		f.Add([]byte(piece+"\nverb 3"), true)
		f.Add([]byte("mode server\n"+piece+"\n"), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, otp bool) { check(t, text, Wanted{Plugin: pluginPath, OTP: otp}) })
}

func FuzzWords(f *testing.F) {
	for _, piece := range pieces {
		f.Add(piece)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil || strings.Contains(line, "\x00") || len(words) == maxWords {
			return
		}
		if again, err := splitWords(join(words)); err != nil || !slices.Equal(again, words) {
			t.Fatalf("%q: %q, written %q, read %q, %v", line, words, join(words), again, err)
		}
	})
}
