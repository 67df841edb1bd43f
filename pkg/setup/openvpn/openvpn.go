package openvpn

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Service is the PAM service that a server asks.
const Service = "openvpn"

// TokenLifetime is how long a client with a code may renew its keys without another one; seconds.
const TokenLifetime = 28800

// Transition is how long the keys of before may still be used while new ones are agreed on; seconds. Deferred, OpenVPN
// ends the tunnel of a login that was refused at a renegotiation only when those keys are gone, by default after an hour.
// It is twice what OpenVPN grants a handshake (hand-window).
const Transition = 120

// The marks by which our lines are found again. A line that was replaced stands as a comment above the one that
// replaced it.
const (
	mark     = "# set by latch install"
	replaced = "# before latch install: "
)

// Wanted is what a server is to do.
type Wanted struct {
	Plugin string // path of openvpn-plugin-auth-pam.so, where the server has none yet
	OTP    bool   // hand the client's response to a static challenge to the latch's question
}

// PluginFiles are the names that the plugin has had.
var PluginFiles = []string{"openvpn-plugin-auth-pam.so", "openvpn-auth-pam.so"}

// Prompts that the plugin's list is matched against: of libpam, of the modules that check passwords, and ours.
const (
	loginPrompt    = "login:"
	passwordPrompt = "Password: "
	tokenPrompt    = "Latch one-time password: "
	codePrompt     = "Latch code of your authenticator: "
)

// IsServer tells whether a configuration makes a server of OpenVPN.
func IsServer(text []byte) bool {
	f, _ := parse(text)
	return slices.ContainsFunc(f.directives, func(d directive) bool {
		return slices.Contains([]string{"server", "server-ipv6", "server-bridge"}, d.name()) || slices.Equal(d.words, []string{"mode", "server"})
	})
}

// IsClient tells whether a configuration makes a client of OpenVPN.
func IsClient(text []byte) bool {
	f, _ := parse(text)
	return f.find("client") != nil || f.find("tls-client") != nil
}

// Install returns the configuration of a server that asks PAM, and what the person should know about it. A
// configuration that asks already is returned as it is.
func Install(text []byte, w Wanted) (after []byte, notes []string, err error) {
	f, err := parse(text)
	if err != nil {
		return nil, nil, err
	}
	ours, _ := f.twice()
	if !ours {
		notes, err = f.judge(w)
	}
	if err != nil {
		return nil, nil, err
	}
	if ours || f.stale(w) {
		clean, _ := Uninstall(text)
		return Install(clean, w)
	}
	swap, add, more, err := f.plugin(w)
	if err != nil {
		return nil, nil, err
	}
	notes = append(notes, more...)
	switch note := f.instead(); {
	case f.first(deferred) != nil:
	case note != "":
		notes = append(notes, note)
	default:
		add = append(add, "setenv deferred_auth_pam 1")
		notes = append(notes, "setenv deferred_auth_pam 1 is recommended and part of the change: without it the traffic of all clients stands still while one login is asked about")
	}
	token := f.find("auth-gen-token") != nil
	if w.OTP && !token {
		add = append(add, fmt.Sprintf("auth-gen-token %d", TokenLifetime))
	}
	if !w.OTP && !token && f.find("tran-window") == nil {
		add = append(add, fmt.Sprintf("tran-window %d", Transition))
		notes = append(notes, fmt.Sprintf("tran-window %d ends the tunnel of a login that is refused at a renegotiation after that many seconds, not an hour later", Transition))
	}
	after = f.edit(swap, add)
	_, err = parse(after) // lines that have become too long
	return after, notes, err
}

// find returns the first directive of a name, nil for none.
func (f file) find(name string) *directive {
	return f.first(func(d directive) bool { return d.name() == name })
}

// jailNote is what chroot costs. The plugin's process was made before it and stays outside: PAM works, but the file in
// which a deferred answer comes back has one path here and another one there.
const jailNote = "chroot keeps the plugin from answering later (deferred_auth_pam), so the traffic of all clients stands still " +
	"while one login is asked about: take chroot away, or give a tmp-dir that is the same directory inside and outside"

// jailed tells whether a deferred answer could not be read.
func (f file) jailed() bool { return f.find("chroot") != nil && f.find("tmp-dir") == nil }

// broken tells what keeps everybody out.
func (f file) broken() error {
	if token := f.find("auth-gen-token"); token != nil && slices.Contains(token.words, "external-auth") {
		return fmt.Errorf("line %d: auth-gen-token with external-auth hands the token to PAM as if it were the password, "+
			"and every tunnel ends at its first renegotiation: take external-auth away", token.line+1)
	}
	if d := f.first(deferred); d != nil && f.jailed() {
		return fmt.Errorf("line %d: with chroot (line %d) no deferred answer of the plugin's is found, and nobody gets in: "+
			"take one of the two away", d.line+1, f.find("chroot").line+1)
	}
	_, err := f.twice()
	return err
}

// judge refuses what cannot work, and tells what weakens a latch or a login.
func (f file) judge(w Wanted) (notes []string, err error) {
	if err := f.broken(); err != nil {
		return nil, err
	}
	notes = f.weaknesses()
	if slices.ContainsFunc(f.directives, certless) {
		notes = append(notes, "no certificate is asked of clients: a password opens the VPN, and the latch is the only other lock")
	}
	if i := slices.IndexFunc(f.directives, checksLogins); i >= 0 {
		d := f.directives[i]
		notes = append(notes, fmt.Sprintf("line %d: %s checks passwords too: people must pass both it and PAM", d.line+1, join(d.words[:min(2, len(d.words))])))
	}
	if f.find("config") != nil {
		notes = append(notes, "it takes in other files (config), which were not looked at")
	}
	if w.OTP {
		if reason := f.tokenless(); reason != "" {
			return nil, fmt.Errorf("OpenVPN does not start with auth-gen-token, which codes need, because %s: set reneg-sec to %d or more",
				reason, 2*f.seconds("hand-window", handWindow))
		}
		notes = append(notes, `clients need the line: static-challenge "Latch code" 1`,
			"the code is typed before the latch is asked: it must be one that the person has by then, as an authenticator app shows, and not the token that a Latch server makes when it is asked",
			fmt.Sprintf("the latch is asked again, and the client for a code, only when a token ends (auth-gen-token, %d hours where we set it): until then a "+
				"client may reconnect although its latch is closed; restarting the server ends all tokens", TokenLifetime/3600))
	}
	return notes, nil
}

// weaknesses tells what lets a tunnel outlive a latch that closed.
func (f file) weaknesses() (found []string) {
	if token := f.find("auth-gen-token"); token != nil && !f.ours(token.line) {
		found = append(found, "auth-gen-token is set: PAM is not asked when a client with a token renegotiates or reconnects, and a closed latch ends no tunnel "+lifetime(token.words))
	}
	if f.seconds("reneg-sec", renegSec) == 0 {
		found = append(found, "reneg-sec is 0: unless a client renegotiates, a closed latch ends no tunnel")
	}
	if window := f.find("tran-window"); window != nil && !f.ours(window.line) {
		found = append(found, "tran-window is set: a login that is refused at a renegotiation keeps its tunnel for that many seconds")
	}
	return found
}

// certless finds the options by which a server takes clients without a certificate.
func certless(d directive) bool {
	return d.name() == "client-cert-not-required" || d.name() == "verify-client-cert" && len(d.words) > 1 && d.words[1] != "require"
}

// Defaults of OpenVPN; seconds.
const (
	handWindow = 60
	renegSec   = 3600
)

// tokenless tells why OpenVPN would refuse to hand out tokens, "" where it would not.
func (f file) tokenless() string {
	switch reneg := f.seconds("reneg-sec", renegSec); {
	case reneg == 0:
		return "reneg-sec is 0"
	case reneg < 2*f.seconds("hand-window", handWindow):
		return fmt.Sprintf("reneg-sec is only %d", reneg)
	}
	return ""
}

// seconds is the value of an option.
func (f file) seconds(option string, otherwise int) int {
	if d := f.find(option); d != nil && len(d.words) > 1 {
		if n, err := strconv.Atoi(d.words[1]); err == nil {
			return n
		}
	}
	return otherwise
}

// lifetime tells how long a token holds.
func lifetime(words []string) string {
	if len(words) > 1 {
		if seconds, err := strconv.Atoi(words[1]); err == nil && seconds > 0 {
			return fmt.Sprintf("before its token does (%d seconds)", seconds)
		}
	}
	return "as long as its client stays connected"
}

// stale tells whether what we set belongs to the other kind of login: with a code, or without.
func (f file) stale(w Wanted) bool {
	option := "auth-gen-token"
	if w.OTP {
		option = "tran-window"
	}
	d := f.find(option)
	return d != nil && f.ours(d.line)
}

func (f file) ours(line int) bool {
	return bytes.HasSuffix(bytes.TrimRight(f.lines[line], spaces), []byte(mark))
}

// change is a line to stand in the place of another one.
type change struct {
	line int
	text string
}

// plugin works out what loads the plugin with the right list: a line to add, or one to put in the place of another.
func (f file) plugin(w Wanted) (swap *change, add, notes []string, err error) {
	found := f.plugins()
	switch {
	case len(found) > 1:
		return nil, nil, nil, fmt.Errorf("lines %d and %d both load the PAM plugin", found[0].line+1, found[1].line+1)
	case len(found) == 0 && w.Plugin == "":
		return nil, nil, nil, fmt.Errorf("there is no %s here: install OpenVPN's plugins (on openSUSE openvpn-auth-pam-plugin, on Alpine openvpn-auth-pam)", PluginFiles[0])
	case len(found) == 0:
		list, err := complete([]string{Service}, w.OTP)
		notes = []string{"clients must send a user name and a password from now on: they need the line auth-user-pass"}
		return nil, []string{line(w.Plugin, list)}, notes, err
	}
	d := found[0]
	list, err := d.list()
	if err != nil {
		return nil, nil, nil, err
	}
	whole, notes, err := adopt(list, w.OTP)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("line %d: %w", d.line+1, err)
	}
	if slices.Equal(whole, list) {
		return nil, nil, notes, nil
	}
	return &change{d.line, line(d.words[1], whole)}, nil, notes, nil
}

// plugins are the lines that load the PAM plugin.
func (f file) plugins() (found []directive) {
	for _, d := range f.directives {
		if d.name() == "plugin" && len(d.words) > 1 && slices.Contains(PluginFiles, path.Base(d.words[1])) {
			found = append(found, d)
		}
	}
	return found
}

// list is what a plugin line hands to the plugin: a PAM service, and pairs of names and values.
func (d directive) list() ([]string, error) {
	if len(d.words) != 3 {
		return d.words[2:], nil
	}
	list, err := splitWords(d.words[2])
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", d.line+1, err)
	}
	return list, nil
}

func line(plugin string, list []string) string { return join([]string{"plugin", plugin, join(list)}) }

// adopt makes an existing list ask our service and know its questions.
func adopt(list []string, otp bool) (whole, notes []string, err error) {
	switch {
	case len(list) == 0 || len(list)%2 == 0:
		return nil, nil, fmt.Errorf("the plugin wants a PAM service and pairs of names and values")
	case list[0] == "login":
		notes = []string{"the plugin asked the PAM service login, and asks " + Service + " from now on"}
		list = append([]string{Service}, list[1:]...)
	case list[0] != Service:
		return nil, nil, fmt.Errorf("the plugin asks the PAM service %s: write %s, and put what %s does into /etc/pam.d/%s (auth include %s, account include %s)",
			list[0], Service, list[0], Service, list[0], list[0])
	}
	whole, err = complete(list, otp)
	return whole, notes, err
}

// complete adds the pairs that the list has no answer for. Without a list the plugin would answer every question that
// is shown with the user's name.
func complete(list []string, otp bool) ([]string, error) {
	whole := slices.Clone(list)
	pairs := [][3]string{{loginPrompt, "login", "USERNAME"}, {passwordPrompt, "password", "PASSWORD"}}
	if otp {
		pairs = append(pairs, [3]string{tokenPrompt, "latch", "OTP"}, [3]string{codePrompt, "latch", "OTP"})
	}
	for _, p := range pairs {
		value, known := answer(whole, p[0])
		if !known {
			whole = append(whole, p[1], p[2])
		} else if p[2] == "OTP" && !strings.Contains(value, "OTP") {
			return nil, fmt.Errorf("the plugin's list answers %q with %s, not with OTP", p[0], value)
		}
	}
	if len(whole) > maxWords {
		return nil, fmt.Errorf("the plugin's list has no room for %s", join(whole[len(list):]))
	}
	return whole, nil
}

// answer finds the value that the plugin answers a question with: that of the first name which the question begins
// with, in either case.
func answer(list []string, prompt string) (value string, known bool) {
	for i := 1; i+1 < len(list); i += 2 {
		if name := list[i]; len(name) <= len(prompt) && strings.EqualFold(name, prompt[:len(name)]) {
			return list[i+1], true
		}
	}
	return "", false
}

// edit returns the text with one line replaced and some added at its end.
func (f file) edit(swap *change, add []string) []byte {
	var b bytes.Buffer
	ended := true
	for i, line := range f.lines {
		ended = bytes.HasSuffix(line, []byte("\n"))
		if swap == nil || swap.line != i {
			b.Write(line)
			continue
		}
		if !f.ours(i) {
			b.WriteString(replaced)
			b.Write(line)
			if !ended {
				b.WriteByte('\n')
			}
		}
		b.WriteString(swap.text + "  " + mark)
		if ended {
			b.WriteByte('\n')
		}
	}
	// A text without a line end at its end keeps none: Uninstall knows it by that.
	for _, line := range add {
		if ended {
			b.WriteString(line + "  " + mark + "\n")
		} else {
			b.WriteString("\n" + line + "  " + mark)
		}
	}
	return b.Bytes()
}

// Uninstall takes back what Install did, and tells how many lines were ours. Lines of others stay as they are.
func Uninstall(text []byte) (before []byte, lines int) {
	f := file{lines: split(text)}
	var kept [][]byte
	for i, line := range f.lines {
		switch {
		case bytes.HasPrefix(line, []byte(replaced)):
			lines++
			kept = append(kept, line[len(replaced):])
		case !f.ours(i):
			kept = append(kept, line)
		default:
			lines++
			if last := i == len(f.lines)-1 && !bytes.HasSuffix(line, []byte("\n")); last && len(kept) > 0 {
				kept[len(kept)-1] = bytes.TrimSuffix(kept[len(kept)-1], []byte("\n"))
			}
		}
	}
	return bytes.Join(kept, nil), lines
}
