// Package config reads latch.conf, the module arguments of a PAM line, and knows where each profile keeps
// its files. A mistake in any of them is an error that names file, line and remedy: a typo must neither open
// a door nor go unnoticed.
package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// Policy is what to do where the server gave no verdict.
type Policy int8

// Policies. The zero value is none of them, so that a forgotten one opens nothing.
const (
	Open  Policy = iota + 1 // let in
	Close                   // refuse
	Last                    // as this machine saw the latch last; never seen is closed
	OTP                     // ask for a code of this machine's; nobody to ask, or not enrolled, is closed
)

var policyNames = map[string]Policy{"open": Open, "close": Close, "last": Last, "otp": OTP}

func (p Policy) String() string {
	for name, q := range policyNames {
		if p == q {
			return name
		}
	}
	return fmt.Sprintf("Policy(%d)", int8(p))
}

// Secret is a value that must appear in no log and no error: every way of printing it gives stars.
type Secret struct{ value string }

// NewSecret wraps a secret.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the secret itself, for signing and for writing it to its own file.
func (s Secret) Reveal() string { return s.value }

func (s Secret) String() string { return "***" }

// GoString keeps %#v from looking inside.
func (s Secret) GoString() string { return "***" }

// Format keeps every other verb from looking inside.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "***") }

// MarshalJSON keeps encoding/json from looking inside.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal("***") }

// Config is latch.conf. The sample file in conf/ says what each key means.
type Config struct {
	Path             string // as it was loaded from, for messages
	AppID            string // 20 characters
	SecretKey        Secret // 40 characters
	Host             *url.URL
	Action           Policy        // no answer: Open, Close, Last, OTP
	OnError          Policy        // an error or a wrong answer: Open, Close, OTP
	Unpaired         Policy        // no pairing here: Open (not our user), Close
	UnpairedByServer Policy        // error 201: Open, Close, OTP
	Timeout          time.Duration // whole question, 1 s … 99 s
	Retries          int           // 0 … 10, of what did not reach the server
	CAFile           string        // absolute path, or "" for the system's
	Proxy            *url.URL      // nil for none
	APIVersion       string
	OTP              string        // "no", "yes", "totp" or "server-totp"
	OTPKey           string        // file with the key of what codes are checked with
	OTPEcho          bool          // show the code while it is typed
	OTPRequired      bool          // who is asked for a code and is not enrolled is refused
	OTPIssuer        string        // what an app shows above a code; "" for this machine's name
	OTPWindow        int           // steps of TOTP before and after now, 0 … 10, for records without one of their own
	OTPLifetime      time.Duration // of an authenticator without one of its own, from its enrolment on; 0 for ever
	OTPEncrypt       bool          // seal what is written about codes
	OTPRefuseClear   bool          // take what is not sealed for damaged
	Wait             time.Duration // Timeout + Wait ≤ 99 s
	HostContext      bool
	ExemptUsers      []string
	ExemptGroups     []string
	ExemptServices   []string
	AccountSkip      []string          // services not asked about in the account phase
	LockerServices   []string          // services of screen lockers, in addition to the built-in ones
	StateDir         string            // what survives a reboot
	RunDir           string            // what does not
	Operations       map[string]string // name to operation id

	placeholders []string // operations that are named without an id
}

// DefaultHost is Telefónica's cloud.
const DefaultHost = "https://latch.tu.com"

// cloudHosts are the names that Telefónica's cloud has had.
var cloudHosts = []string{"latch.tu.com", "latch.telefonica.com", "latch.elevenpaths.com"}

// Cloud reports whether the server is Telefónica's cloud, which is told nothing beyond the Latch API.
func (c *Config) Cloud() bool { return slices.Contains(cloudHosts, strings.ToLower(c.Host.Hostname())) }

// Defaults returns what an empty latch.conf means. AppID and SecretKey have no default.
func Defaults() *Config {
	host, err := url.Parse(DefaultHost)
	if err != nil {
		panic(err) // a constant
	}
	return &Config{
		Host: host, Action: Open, OnError: Close, Unpaired: Open, UnpairedByServer: Close,
		Timeout: 8 * time.Second, Retries: 2, APIVersion: "1.3",
		OTP: "no", OTPKey: "/etc/latch/otp.key", OTPWindow: 1, OTPEncrypt: true,
		AccountSkip: []string{"anacron", "at", "atd", "cron", "crond", "gdm-launch-environment", "greetd-greeter",
			"lightdm-greeter", "polkit-1", "sddm-greeter", "systemd-user"},
		StateDir: "/var/lib/latch", RunDir: "/run/latch",
		Operations: map[string]string{},
	}
}

// Operation returns the id of a named operation. A name that latch.conf does not have, or whose id is
// still to be filled in, is an error: the PAM line asks for something that cannot be asked.
func (c *Config) Operation(name string) (string, error) {
	if id, ok := c.Operations[name]; ok {
		return id, nil
	}
	if slices.Contains(c.placeholders, name) {
		return "", fmt.Errorf("%s: operation %q has no operation id yet; put it there", c.Path, name)
	}
	return "", fmt.Errorf("%s: there is no operation %q; add it to [operations]", c.Path, name)
}

// LocalCode is what checking a code on this machine may take, other logins of the same user included.
const LocalCode = 5 * time.Second

// LocalReads is what reading the other files of this machine may take, where a timeout leaves that much.
const LocalReads = 20 * time.Second

// Hold returns how long one authentication may take without the person's own time, in whole seconds, and how much of it is for
// the files that are read before the server is asked.
func (c *Config) Hold() (seconds int, local time.Duration) {
	rest := c.asking()
	local = max(time.Second, min(LocalReads, maxHold*time.Second-rest))
	return int(min(rest+local, max(rest, maxHold*time.Second)) / time.Second), local
}

// asking is the part of Hold that begins when all files have been read.
func (c *Config) asking() time.Duration {
	hold := c.Timeout + c.Wait + time.Second
	if c.OTP == "server-totp" {
		hold += c.Timeout // the server is asked once more
	}
	switch {
	case c.AsksHere():
		hold += LocalCode
	case c.OTP == "yes": // where a recovery code passes, too; a timeout that was long enough without stays so
		hold = min(hold+LocalCode, max(hold, maxHold*time.Second))
	}
	return hold
}

// Asks reports whether a login may come to be asked for a code of any kind.
func (c *Config) Asks() bool { return c.OTP == "yes" || c.AsksHere() }

// AsksHere reports whether a login may come to be asked for a code that this machine keeps something for.
func (c *Config) AsksHere() bool {
	return c.OTP == "totp" || c.OTP == "server-totp" || c.OTP == "yes" && c.OTPRequired || c.Action == OTP || c.OnError == OTP || c.UnpairedByServer == OTP
}

// Profile is a set of files: one application, its configuration and its pairings.
type Profile struct {
	Name     string // "system" or "openvpn"
	Config   string
	Accounts string
}

// Options returns the options that make a command of latch work on these files, each with a blank before it; "" for the
// system's usual files.
func (p Profile) Options() string {
	usual, err := ProfileByName(p.Name)
	if err != nil {
		usual = Profile{}
	}
	options := ""
	if p.Name != "" && p.Name != "system" {
		options += " --profile " + p.Name
	}
	if p.Config != usual.Config {
		options += " --config " + securefile.ShellWord(p.Config)
	}
	if p.Accounts != usual.Accounts {
		options += " --accounts " + securefile.ShellWord(p.Accounts)
	}
	return options
}

// Profiles returns every profile. The system's file names are upstream's.
func Profiles() []Profile {
	return []Profile{
		{"system", "/etc/latch/latch.conf", "/etc/latch/latch.accounts"},
		{"openvpn", "/etc/latch/openvpn.conf", "/etc/latch/openvpn.accounts"},
	}
}

// ProfileByName finds a profile; "" is the system's.
func ProfileByName(name string) (Profile, error) {
	for _, p := range Profiles() {
		if p.Name == name || name == "" {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("unknown profile %q; the profiles are system and openvpn", name)
}
