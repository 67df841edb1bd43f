package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

const (
	testID     = "AbCdEfGhJkLmNpQrTuVw"
	testOp     = "222222222233333333kk"
	testSecret = "0123456789abcdefghijABCDEFGHIJ!\"#$%&'()*"
	required   = "app_id = " + testID + "\nsecret_key = " + testSecret + "\n"
)

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("latch.conf", []byte(text))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

// TestSampleIsTheDefaults uncomments the sample: it must name every key and say what is built in.
func TestSampleIsTheDefaults(t *testing.T) {
	sample, err := os.ReadFile("../../../conf/latch.conf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse("latch.conf", sample); !errors.Is(err, ErrNotSetUp) {
		t.Errorf("the sample as it is shipped: %v, want ErrNotSetUp", err)
	}
	shown := regexp.MustCompile(`^#([a-z_-]+ =|\[)`)
	var text strings.Builder
	for line := range strings.Lines(string(sample)) {
		if shown.MatchString(line) {
			line = line[1:]
		}
		text.WriteString(line)
	}
	if _, err := Parse("latch.conf", []byte(text.String())); err == nil || !strings.Contains(err.Error(), `"app_id" still has`) {
		t.Errorf("placeholders in the uncommented sample: %v", err)
	}
	full, err := SetKeys([]byte(text.String()), map[string]string{"app_id": testID, "secret_key": testSecret})
	if err != nil {
		t.Fatal(err)
	}
	got, want := parsed(t, string(full)), parsed(t, required)
	got.placeholders = nil
	for _, list := range []*[]string{&got.ExemptUsers, &got.ExemptGroups, &got.ExemptServices, &got.LockerServices} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the sample says\n%+v, built in is\n%+v", got, want)
	}
	for _, key := range Keys() {
		if !strings.Contains(string(sample), "\n#"+key+" =") {
			t.Errorf("the sample does not show %q", key)
		}
	}
}

// TestValuesAreLiteral tries what other readers of such files give a meaning to.
func TestValuesAreLiteral(t *testing.T) {
	for _, special := range []string{"#", " # x", ";", " ; x", `\`, "`", `"`, `"""`, "'", "%(app_id)s", "=", "[a]", "$HOME", `\n`} {
		filler := strings.Repeat("x", secretLength)
		for _, secret := range []string{special + filler, filler[:2] + special + filler, filler + special, special + filler + special} {
			if strings.TrimSpace(secret) != secret || strings.Contains(secret, " ") {
				continue
			}
			// The cut keeps both ends.
			secret = secret[:len(special)+5] + secret[len(special)+5+len(secret)-secretLength:]
			c := parsed(t, "app_id="+testID+"\nsecret_key="+secret+"\ntimeout=3")
			if c.SecretKey.Reveal() != secret || c.Timeout != 3*time.Second {
				t.Errorf("%q was read as %q", secret, c.SecretKey.Reveal())
			}
		}
	}
}

func TestUpstreamFiles(t *testing.T) {
	body := "# upstream\n\tapp_id\t=\t" + testID + " \n  secret_key=" + testSecret + "\n\nlatch_host = latch.example.org:8443\n" +
		"action = CLOSE\ntimeout=2\nsshd-login = " + testOp + "\nsudo = REPLACE_OPERATION_ID_HERE\nsu =\n"
	for name, text := range map[string]string{"plain": body, "BOM": bom + body, "CRLF": strings.ReplaceAll(body, "\n", "\r\n"),
		"no last line end": strings.TrimSuffix(body, "\n")} {
		t.Run(name, func(t *testing.T) {
			c := parsed(t, text)
			if c.AppID != testID || c.SecretKey.Reveal() != testSecret || c.Host.String() != "https://latch.example.org:8443" ||
				c.Action != Close || c.Timeout != 2*time.Second {
				t.Errorf("read as %+v", c)
			}
			if id, err := c.Operation("sshd-login"); id != testOp || err != nil {
				t.Errorf("operation sshd-login = %q, %v", id, err)
			}
			for _, name := range []string{"sudo", "su", "nowhere", "timeout"} {
				if id, err := c.Operation(name); err == nil || c.Operations[name] != "" {
					t.Errorf("operation %q without an id is %q", name, id)
				}
			}
		})
	}
}

func TestMistakesNameTheirLine(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"timout = 3", `:3: unknown key "timout"; did you mean "timeout"?`},
		{"Action = close", `:3: unknown key "Action"; did you mean "action"?`},
		{"timeout =", ":3: "},
		{"timout =", ":3: "},
		{"# c\n\nzzzzzzzzzz = 5", `:5: unknown key "zzzzzzzzzz"`},
		{"timeout = 3\ntimeout = 3", `:4: "timeout" stands in line 3 already`},
		{"a-b = " + testOp + "\n[operations]\na-b = " + testOp, `:5: "a-b" stands in line 3 already`},
		{"[operations]\ntimeout = 5", `:4: "timeout" is a setting; it belongs above`},
		{"[operations]\nx = 5", `:4: operation "x" has no operation id`},
		{"[Operations]", ":3: unknown section"},
		{"[other]", ":3: unknown section"},
		{"[operations", ":3: unknown section"},
		{"nonsense", ":3: this is no"},
		{"= x", ":3: this is no"},
		{"\"timeout\" = 3", ":3: "},
		{"`x` = " + testOp, ":3: "},
		{"- = " + testOp, ":3: "},
		{"timeout = 3\x00", ":3: has a control character"},
		{"timeout = 0", ":3: "}, {"timeout = 100", ":3: "}, {"timeout = 8s", ":3: "}, {"timeout = 99\nwait = 1", ":4: timeout and wait"},
		{"wait = -1", ":3: "}, {"retries = 11", ":3: "}, {"retries = -1", ":3: "},
		{"action = sometimes", "open or close or last or otp"}, {"on_error = last", "open or close or otp"}, {"unpaired = last", "open or close"},
		{"unpaired = otp", "write open or close"}, {"unpaired_by_server = last", "open or close or otp"},
		{"otp = maybe", "no or yes or totp or server-totp"}, {"otp_key = otp.key", "absolute"},
		{"otp = totp\ntimeout = 95", ":4: timeout and wait together are 1 s too long"},
		{"timeout = 90\nwait = 6\naction = otp", ":4: timeout and wait together are 2 s too long"},
		{"timeout = 48\notp = server-totp", ":3: twice timeout and wait together are 2 s too long"},
		{"otp_required = maybe", "yes or no"}, {"otp_encrypt = 1", "yes or no"}, {"otp_refuse_clear = on", "yes or no"},
		{"otp_window = 11", ":3: \"11\" is no number between 0 and 10"}, {"otp_window = -1", "between 0 and 10"},
		{"otp_lifetime = 90", "days or hours"}, {"otp_lifetime = 3651d", "at most 3650d"}, {"otp_lifetime = 1dh", "days or hours"},
		{"otp_lifetime = -1d", "days or hours"}, {"otp_lifetime =", "days or hours"},
		{"otp_lifetime = 99999999999999999d", "days or hours"},
		{"otp_issuer = a:b", "no colon"}, {"otp_issuer = " + strings.Repeat("x", 65), "at most 64 bytes"},
		{"otp_refuse_clear = yes\n\notp_encrypt = no\nwait = 1", ":5: otp_encrypt = no writes what"},
		{"otp_echo = true", "yes or no"}, {"host_context = 1", "yes or no"},
		{"latch_host = http://latch.example.org", "https://"}, {"latch_host = ftp://x", "https://"},
		{"latch_host = https://x/path", "name and a port"}, {"latch_host = https://u:p@x", "name and a port"},
		{"latch_host = https://x?q", "name and a port"}, {"latch_host = https://x#f", "name and a port"},
		{"latch_host = https://x:99999", "port"}, {"latch_host = https://x:", "port"}, {"latch_host = https://", "no address"},
		{"latch_host = REPLACE_HOST_HERE", "placeholder"},
		{"proxy = https://x", "http://name:port"}, {"proxy = x:1", "http://name:port"},
		{"ca_file = ca.pem", "absolute"}, {"state_dir = ../x", "absolute"},
		{"api_version = ../1", "digits"}, {"api_version = 1..3", "digits"}, {"api_version = .", "digits"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			_, err := Parse("/etc/latch/latch.conf", []byte(required+tt.text+"\n"))
			var at *LineError
			if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), "/etc/latch/latch.conf:") || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if errors.Is(err, ErrNotSetUp) {
				t.Error("a mistake counts as not set up")
			}
			if strings.Contains(err.Error(), testSecret) {
				t.Error("the error tells the secret")
			}
		})
	}
}

func TestCodeKeys(t *testing.T) {
	c := parsed(t, required+"otp_required = yes\notp_issuer = Example, Inc. & co\notp_window = 0\notp_lifetime = 90d\notp_encrypt = no\n")
	if !c.OTPRequired || c.OTPIssuer != "Example, Inc. & co" || c.OTPWindow != 0 || c.OTPLifetime != 90*24*time.Hour || c.OTPEncrypt || c.OTPRefuseClear {
		t.Errorf("read as %+v", c)
	}
	for text, want := range map[string]time.Duration{"0": 0, "0d": 0, "36h": 36 * time.Hour, "3650d": 3650 * 24 * time.Hour} {
		if got, err := ParseLifetime(text); got != want || err != nil {
			t.Errorf("the lifetime %s is %v, %v", text, got, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	for name, tt := range map[string]struct {
		text, want string
		notSetUp   bool
	}{
		"empty file":         {"", "app_id", true},
		"only the id":        {"app_id = " + testID, "secret_key", true},
		"short id":           {"app_id = " + testID[1:], "20 letters", false},
		"empty id":           {"app_id =", "20 letters", false},
		"id with a blank":    {"app_id = AbCdEfGhJkLmNpQrTu w", "20 letters", false},
		"placeholder id":     {"app_id = REPLACE_APP_ID_HERE", "placeholder", false},
		"placeholder secret": {"secret_key = REPLACE_SECRET_KEY_HERE", "placeholder", false},
		"long secret":        {"secret_key = " + testSecret + "x", "this has 41", false},
		"secret not ASCII":   {"secret_key = " + testSecret[:38] + "ñ", "40 printable", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("latch.conf", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrNotSetUp) != tt.notSetUp {
				t.Errorf("got %v, want %q, not set up %v", err, tt.want, tt.notSetUp)
			}
			if err != nil && strings.Contains(err.Error(), testSecret[:30]) {
				t.Error("the error tells the secret")
			}
		})
	}
}

func TestSecretPrintsAsStars(t *testing.T) {
	c := parsed(t, required)
	shown := fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c.SecretKey, c.SecretKey, c.SecretKey, c.SecretKey)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{shown, string(text)} {
		if strings.Contains(s, testSecret) || strings.Contains(s, fmt.Sprintf("%x", testSecret)) || !strings.Contains(s, "***") {
			t.Errorf("the secret shows in %s", s)
		}
	}
}

func TestLoadTrustsNobodyElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latch.conf")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := securefile.Write(path, []byte(required), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path); err != nil || c.Path != path {
		t.Errorf("Load: %v", err)
	}
	if err := os.Chmod(path, 0o622); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, securefile.ErrUntrusted) {
		t.Errorf("a file that others can write: %v", err)
	}
	if err := securefile.Write(path, bytes.Repeat([]byte("#"), sizeLimit+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("more than 64 KiB were read")
	}
}

func TestSetKeys(t *testing.T) {
	set := map[string]string{"app_id": testID, "secret_key": testSecret}
	for name, tt := range map[string]struct{ before, after string }{
		"empty":             {"", required},
		"replaced in place": {"# a\napp_id = old\n# b\nsecret_key=old\ntimeout = 3\n", "# a\napp_id = " + testID + "\n# b\nsecret_key = " + testSecret + "\ntimeout = 3\n"},
		"behind the sample": {"#app_id = X\n\n# secret_key = X\n\n[operations]\n", "#app_id = X\napp_id = " + testID + "\n\n# secret_key = X\nsecret_key = " + testSecret + "\n\n[operations]\n"},
		"only operations":   {"[operations]\napp_id = " + testOp + "\n", required + "[operations]\napp_id = " + testOp + "\n"},
		"above operations":  {"timeout = 3\n\n[operations]\nx = " + testOp, "timeout = 3\n" + required + "\n[operations]\nx = " + testOp},
		"no last line end":  {"timeout = 3", "timeout = 3\n" + required},
		"Windows":           {"timeout = 3\r\n", strings.ReplaceAll("timeout = 3\n"+required, "\n", "\r\n")},
		"BOM":               {bom + "app_id = old\n", bom + required},
		"BOM, operations":   {bom + "[operations]\n", bom + required + "[operations]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SetKeys([]byte(tt.before), set)
			if err != nil || string(got) != tt.after {
				t.Errorf("got %q, %v\nwant %q", got, err, tt.after)
			}
			again, err := SetKeys(got, set)
			if err != nil || string(again) != string(got) {
				t.Errorf("a second time changes it to %q, %v", again, err)
			}
		})
	}
	for name, bad := range map[string]map[string]string{"unknown key": {"timout": "3"}, "two lines": {"app_id": "a\nb"},
		"blank at the end": {"app_id": "a "}, "an operation": {"sshd": testOp}} {
		if _, err := SetKeys(nil, bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSetOperation(t *testing.T) {
	text, err := SetOperation([]byte(required), "sshd-login", testOp)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := parsed(t, string(text)).Operation("sshd-login"); id != testOp || err != nil {
		t.Errorf("operation %q, %v in %q", id, err, text)
	}
	for _, name := range []string{"", " x", "a=b", "[x]", "a\nb", "`", `"q"`} {
		if _, err := SetOperation(nil, name, testOp); err == nil {
			t.Errorf("operation name %q was taken", name)
		}
	}
}

func TestParseArgs(t *testing.T) {
	system, openvpn := Profiles()[0], Profiles()[1]
	for _, tt := range []struct {
		args []string
		want Args
	}{
		{nil, Args{Config: system.Config, Accounts: system.Accounts, Profile: "system"}},
		{[]string{"profile=openvpn", "otp=YES"}, Args{Config: openvpn.Config, Accounts: openvpn.Accounts, Profile: "openvpn", OTP: "yes"}},
		{[]string{"config=/a", "accounts=/b", "operation=x=y", "otp=no", "authenticator=/c"},
			Args{Config: "/a", Accounts: "/b", Operation: "x=y", OTP: "no", Profile: "system"}},
	} {
		if got, err := ParseArgs(tt.args); err != nil || got != tt.want {
			t.Errorf("%q: %+v, %v, want %+v", tt.args, got, err, tt.want)
		}
	}
	for _, bad := range []string{"account=/b", "login", "confg=/a", "config", "config=", "config=a", "accounts=b/c", "otp=maybe", "notify=maybe", "profile=other", "debug", "",
		"authenticator="} {
		if got, err := ParseArgs([]string{bad}); err == nil || got != (Args{}) {
			t.Errorf("%q was taken as %+v (%v)", bad, got, err)
		}
	}
	if _, err := ParseArgs([]string{"config=/a", "config=/b"}); err == nil {
		t.Error("config= was taken twice")
	}
}

// TestUpstreamArgs reads what Telefónica's sample files have beside the documented arguments, and nothing like it.
func TestUpstreamArgs(t *testing.T) {
	system := Profiles()[0]
	want := Args{Config: system.Config, Accounts: system.Accounts, Operation: "sshd-login", OTP: "yes", Profile: "system"}
	for _, args := range []string{"operation=sshd-login login otp=yes", "account=" + system.Accounts + " operation=sshd-login otp=yes",
		"accounts=" + system.Accounts + " account=" + system.Accounts + " operation=sshd-login otp=yes"} {
		if got, err := ParseArgs(strings.Fields(args)); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", args, got, err, want)
		}
	}
	for args, says := range map[string]string{"login operation=x": `"login"`, "operation=x login login": `"login"`, "operation=x sudo": `"sudo"`,
		"otp=yes login": `"login"`, "account=/other": `did you mean "accounts=/other"`} {
		if _, err := ParseArgs(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q in it", args, err, says)
		}
	}
}

// TestUpstreamConfiguration reads Telefónica's sample with operations that were never filled in.
func TestUpstreamConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../../testdata/pam.d/upstream/latch.conf")
	if err != nil {
		t.Fatal(err)
	}
	c := parsed(t, string(text))
	for name, filled := range map[string]bool{"sshd-login": true, "login": true, "sudo": false, "su": false, "ftp": false} {
		if id, err := c.Operation(name); (err == nil) != filled {
			t.Errorf("operation %s: %q %v", name, id, err)
		}
	}
	for _, line := range []string{"timout =", "acton = open", "web = yes"} {
		if _, err := Parse("latch.conf", append(text, line...)); err == nil || !strings.Contains(err.Error(), "latch.conf:15:") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// FuzzParse: whatever is read keeps its meaning when its own values are written into it again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(required))
	f.Add([]byte(bom + "app_id=" + testID + "\r\nsecret_key=`" + testSecret[1:] + "\r\naction=last\r\n[operations]\r\nx=" + testOp))
	f.Add([]byte("secret_key = \"\"\"" + testSecret[:34] + "\"\"\"\n#app_id = X\napp_id = " + testID))
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := Parse("x", data)
		if err != nil {
			var at *LineError
			if !errors.As(err, &at) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		edited, err := SetKeys(data, map[string]string{"app_id": before.AppID, "secret_key": before.SecretKey.Reveal(),
			"action": before.Action.String(), "latch_host": before.Host.String()})
		if err != nil {
			t.Fatalf("SetKeys: %v", err)
		}
		after, err := Parse("x", edited)
		if err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q: %v", data, edited, err)
		}
	})
}

// TestOTP: the ways to ask for a code, in latch.conf and on the PAM line, which wins.
func TestOTP(t *testing.T) {
	c := parsed(t, required+"otp = Server-TOTP\naction = OTP\non_error = otp\nunpaired_by_server = otp\ntimeout = 47")
	if c.OTP != "server-totp" || c.Action != OTP || c.OnError != OTP || c.UnpairedByServer != OTP || held(c) != 100 || !c.AsksHere() {
		t.Errorf("read as %+v, hold %d", c, held(c))
	}
	path := filepath.Join(t.TempDir(), "latch.conf")
	if err := os.WriteFile(path, []byte(required+"timeout = 60\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, hold := range map[string]int{"": 81, "no": 81, "yes": 86, "totp": 86} {
		c, err := Args{Config: path, OTP: mode}.Load()
		if err != nil || held(c) != hold || c.AsksHere() != (mode == "totp") {
			t.Errorf("otp=%s: hold %d, %v", mode, held(c), err)
		}
	}
	for timeout, hold := range map[string]int{"96": 100, "99": 100} {
		if c := parsed(t, required+"otp = yes\ntimeout = "+timeout); held(c) != hold {
			t.Errorf("a timeout of %s that was in order before recovery codes passed for a token: hold %d", timeout, held(c))
		}
	}
	if c := parsed(t, required+"otp = yes\notp_required = yes"); !c.AsksHere() || held(c) != 34 {
		t.Errorf("a token that is required: hold %d", held(c))
	}
	if _, err := (Args{Config: path, OTP: "server-totp"}).Load(); err == nil || !strings.Contains(err.Error(), "otp=server-totp of the PAM line") {
		t.Errorf("two questions of a minute: %v", err)
	}
	for _, arg := range []string{"otp=totp", "otp=SERVER-totp"} {
		if a, err := ParseArgs([]string{arg}); err != nil || "otp="+a.OTP != strings.ToLower(arg) {
			t.Errorf("%s: %q, %v", arg, a.OTP, err)
		}
	}
}

// TestOptions: the options of a hint reach the same files again, from a shell.
func TestOptions(t *testing.T) {
	system, vpn := Profiles()[0], Profiles()[1]
	for want, p := range map[string]Profile{
		"":                   system,
		" --profile openvpn": vpn,
		" --config /a/b.conf --accounts '/a/it'\\''s b'":    {"system", "/a/b.conf", "/a/it's b"},
		" --profile openvpn --config /etc/latch/latch.conf": {"openvpn", system.Config, vpn.Accounts},
	} {
		if got := p.Options(); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
}

func TestFindLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latch.conf")
	if err := os.WriteFile(path, []byte("\ufeff# action = last\r\naction = open\r\n[operations]\r\nroot rights = x\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"action": 2, "root rights": 4, "otp": 0} {
		if got, err := FindLine(path, key); got != want || err != nil {
			t.Errorf("%s: line %d, %v; want %d", key, got, err, want)
		}
	}
}

func held(c *Config) int {
	hold, _ := c.Hold()
	return hold
}

// TestTimeForLocalFiles: reading them has a time of its own, as far as the module's longest wait allows. A file that was in order
// before there was such a time stays so.
func TestTimeForLocalFiles(t *testing.T) {
	for text, want := range map[string]struct {
		hold  int
		local time.Duration
	}{
		"":                              {29, 20 * time.Second},
		"timeout = 79":                  {100, 20 * time.Second},
		"timeout = 80":                  {100, 19 * time.Second},
		"timeout = 99":                  {100, time.Second},
		"timeout = 10\nwait = 80":       {100, 9 * time.Second},
		"otp = totp\ntimeout = 8":       {34, 20 * time.Second},
		"otp = server-totp":             {42, 20 * time.Second},
		"otp = yes\ntimeout = 99":       {100, time.Second},
		"otp = server-totp\ntimeout=47": {100, time.Second},
	} {
		if hold, local := parsed(t, required+text).Hold(); hold != want.hold || local != want.local {
			t.Errorf("%q: hold %d, %v of it for files; want %d, %v", text, hold, local, want.hold, want.local)
		}
	}
}
