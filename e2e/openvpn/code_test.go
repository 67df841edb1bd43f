package openvpn

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/latch-linux/latch/e2e/fixture"
)

// knownCode is a code that a person has before the latch is asked.
const knownCode = "k4Q9wz"

var token = regexp.MustCompile(`"token":"[^"]{6}"`)

// knowing stands before the Latch server, which makes its token when it is asked, and puts the known code in its place.
func knowing(t *testing.T) *fixture.Tap {
	t.Helper()
	tap, err := fixture.StartTap(bed.server, "/etc/latch/tap.pem")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tap.Close)
	tap.Edit = func(answer *http.Response) error {
		text, err := io.ReadAll(answer.Body)
		answer.Body = io.NopCloser(bytes.NewReader(token.ReplaceAll(text, []byte(`"token":"`+knownCode+`"`))))
		return err
	}
	return tap
}

// withCode is what a client sends for a password and the answer to a static challenge.
func withCode(code string) string {
	return "SCRV1:" + base64.StdEncoding.EncodeToString([]byte(fixture.Password)) + ":" + base64.StdEncoding.EncodeToString([]byte(code))
}

// demand makes the Latch server send tokens for the time of a test.
func demand(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := bed.server.DemandTokens(bed.app.ID, false); err != nil {
			t.Error(err)
		}
	})
	if err := bed.server.DemandTokens(bed.app.ID, true); err != nil {
		t.Fatal(err)
	}
}

// dialTyping starts a client with a configuration as people are handed one. It asks for the code on a terminal, where
// somebody types it.
func (v *vpn) dialTyping(t *testing.T, user, code string) *peer {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "client.ovpn")
	text := fmt.Sprintf("static-challenge \"Latch code\" 1\n<auth-user-pass>\n%s\n%s\n</auth-user-pass>\n", user, fixture.Password)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	terminal, far, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	t.Cleanup(func() { terminal.Close() })
	cmd := exec.Command("/usr/sbin/openvpn", v.client(append(inNull, "--config", conf)...)...)
	cmd.Stdin = far
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	client := watch(t, cmd)
	if _, err := terminal.WriteString(code + "\n"); err != nil {
		t.Fatal(err)
	}
	return client
}

// TestCode has clients answer a static challenge, and the latch ask for that code.
func TestCode(t *testing.T) {
	tap := knowing(t)
	v := startVPN(t, setting{flags: []string{"--otp", "yes"}})
	if !v.isIn(t, ana, withCode("000000")) {
		t.Error("refused where the server demands no code")
	}
	demand(t)
	configure(t, bed.conf.With("latch_host", tap.URL).With("ca_file", tap.CA))
	clients := map[string]*peer{"the code": v.dial(t, ana, withCode(knownCode)), "the code, typed": v.dialTyping(t, bob, knownCode),
		"another code": v.dial(t, ana, withCode("000000")), "another code, typed": v.dialTyping(t, bob, "000000"), "no code": v.dial(t, ana, fixture.Password)}
	for with, client := range clients {
		if got, want := v.gotIn(t, client), with == "the code" || with == "the code, typed"; got != want {
			t.Errorf("with %s: %v, want %v", with, got, want)
		}
	}
}

// TestTokenOfTheServer: the token that a Latch server makes when it is asked comes after the client has sent its answer. So the
// first try makes the phone show it, and the next one may use it, once.
func TestTokenOfTheServer(t *testing.T) {
	v := startVPN(t, setting{flags: []string{"--otp", "yes"}})
	demand(t)
	shown := func() string {
		t.Helper()
		token, err := bed.server.Token(ana)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	v.expect(t, map[string]bool{ana: false})
	first := shown()
	if !v.isIn(t, ana, withCode(first)) {
		t.Error("the token of the try before is refused")
	}
	if bed.log.Await("latch-auth", `user="ana"`, "open-otp", "the token of the login before") == nil {
		t.Error("the log does not tell of it")
	}
	second := shown() // of the login that got in
	for what, token := range map[string]string{"the same": first, "one of a login that got in": second} {
		if v.isIn(t, ana, withCode(token)) {
			t.Errorf("%s opened, too", what)
		}
	}
	last := shown()
	if v.isIn(t, ana, withCode("000000")) || v.isIn(t, ana, withCode(last)) {
		t.Error("a wrong answer leaves the token before it")
	}
}

// TestAuthenticatorCodes has this machine check the code of an app, which the person knows before anything is asked.
func TestAuthenticatorCodes(t *testing.T) {
	v := startVPN(t, setting{flags: []string{"--otp", "totp"}})
	v.expect(t, map[string]bool{ana: true}) // who has no authenticator
	if err := fixture.Enrol(codeStore, ana, -1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forget(t, ana) })
	v.expect(t, map[string]bool{ana: false}) // whose client sends no code
	code, err := fixture.CodeOf(fixture.Seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, round := range []map[string]bool{{"000000": false}, {code: true}, {code: false, fixture.RecoveryCode: true}} {
		clients := map[string]*peer{}
		for typed := range round {
			clients[typed] = v.dial(t, ana, withCode(typed))
		}
		for typed, client := range clients {
			if v.gotIn(t, client) != round[typed] {
				t.Errorf("code %q: in is not %v", typed, round[typed])
			}
		}
	}
	r, err := codeStore.Load(ana)
	if err != nil || len(r.Guesses.Known) != 1 || r.Guesses.Known[0] != "127.0.0.1" {
		t.Errorf("codes were right from %+v, %v", r, err)
	}
	if bed.log.Await("latch-auth", `user="ana"`, `reason="otp-used"`) == nil || bed.log.Await("latch-auth", `user="ana"`, `reason="otp-cannot-ask"`) == nil {
		t.Error("the log does not tell why")
	}
	configure(t, bed.conf.With("latch_host", nowhere).With("action", "close"))
	if v.isIn(t, ana, withCode(code)) {
		t.Error("a code opens what action = close refuses")
	}
}

// TestRenegotiationWithCodes: plain auth-gen-token 28800, as latch install writes it, keeps the renewal of keys from asking again,
// which nobody could answer with a code that is used up.
func TestRenegotiationWithCodes(t *testing.T) {
	v := startVPN(t, setting{flags: []string{"--otp", "totp"}})
	if !strings.Contains(v.config, "\nauth-gen-token 28800") {
		t.Fatalf("latch install wrote:\n%s", v.config)
	}
	right := enrolKind(t, "totp", bob, false)
	t.Cleanup(func() { forget(t, bob) })
	before := len(bed.log.Lines(`user="bob"`, "refused "))
	// Every ping brings new keys, so that none is waited for.
	client := v.dial(t, bob, withCode(right), "--pull-filter", "ignore", "ping", "--ping", "1", "--reneg-bytes", "1")
	if client.await(clientIn, authFailed) != clientIn {
		t.Fatalf("no tunnel:\n%s", client.text())
	}
	if v.await("auth-token authentication succeeded") == "" || strings.Contains(client.text(), authFailed) {
		t.Errorf("renewed keys came to PAM:\n%s", v.text())
	}
	if lines := bed.log.Lines(`user="bob"`, "refused "); len(lines) != before {
		t.Errorf("PAM was asked again: %q", lines)
	}
}

// TestCodesOfTheConfiguration has openvpn.conf ask for codes, and nobody say --otp.
func TestCodesOfTheConfiguration(t *testing.T) {
	writeConfig(t, vpnConf, serverText("127.0.0.1", 1194))
	if diff := plan(t).Services[1].Diff; strings.Contains(diff, "OTP") {
		t.Errorf("nobody asks for codes:\n%s", diff)
	}
	configure(t, bed.conf.With("otp", "yes"))
	if diff := plan(t).Services[1].Diff; !strings.Contains(diff, "latch OTP") || !strings.Contains(diff, "auth-gen-token 28800") {
		t.Errorf("no code is handed over:\n%s", diff)
	}
	configure(t, bed.conf.With("action", "otp"))
	if diff := plan(t).Services[1].Diff; !strings.Contains(diff, "latch OTP") {
		t.Errorf("no code is handed over under action = otp:\n%s", diff)
	}
	if diff := plan(t, "--otp", "no").Services[1].Diff; strings.Contains(diff, "OTP") {
		t.Errorf("codes with --otp no:\n%s", diff)
	}
}
