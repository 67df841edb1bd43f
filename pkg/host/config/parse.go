package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gopkg.in/ini.v1"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

const (
	sizeLimit    = 64 << 10 // of latch.conf
	idLength     = 20       // of application and operation ids
	secretLength = 40
	operations   = "operations" // the only section
	bom          = "\ufeff"     // what some editors begin a file with
	maxHold      = 100          // seconds that pam_latch.so waits at most
)

// ErrNotSetUp is wrapped by the error about a file that has no app_id or no secret_key yet.
var ErrNotSetUp = errors.New("not set up")

// LineError is a mistake in a configuration file.
type LineError struct {
	File    string
	Line    int    // from 1, 0 where no line is at fault
	Problem string // what is wrong and what to do; never a value that may be secret
	Err     error  // ErrNotSetUp or nil
}

// Unwrap makes errors.Is(err, ErrNotSetUp) work.
func (e *LineError) Unwrap() error { return e.Err }

func (e *LineError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Problem
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
}

// Load reads a trusted latch.conf of at most 64 KiB.
func Load(path string) (*Config, error) {
	data, err := securefile.Read(path, sizeLimit)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a latch.conf. name stands in the errors, which are of type *LineError.
func Parse(name string, data []byte) (*Config, error) {
	settings, err := scan(name, string(bytes.TrimPrefix(data, []byte(bom))))
	if err != nil {
		return nil, err
	}
	file, err := load(settings)
	if err != nil {
		return nil, &LineError{File: name, Problem: err.Error()}
	}
	c := Defaults()
	c.Path = name
	for _, s := range settings {
		// Value is the text itself; String would expand %(name)s.
		if problem := c.set(s, file.Section(s.section).Key(s.key).Value()); problem != "" {
			return nil, &LineError{File: name, Line: s.line, Problem: problem}
		}
	}
	if err := c.complete(settings); err != nil {
		return nil, err
	}
	return c, nil
}

// load hands the settings to ini.v1 in a form that it takes literally: a value between triple quotes
// keeps its #, ;, backslashes, blanks and quotes, and ends with the last three quotes of its line.
func load(settings []setting) (*ini.File, error) {
	var text strings.Builder
	section := ""
	for _, s := range settings {
		if s.section != section {
			section = s.section
			fmt.Fprintf(&text, "[%s]\n", section)
		}
		fmt.Fprintf(&text, "%s = \"\"\"%s\"\"\"\n", s.key, s.value)
	}
	return ini.LoadSources(ini.LoadOptions{
		IgnoreInlineComment: true, IgnoreContinuation: true, PreserveSurroundedQuote: true, KeyValueDelimiters: "=",
	}, []byte(text.String()))
}

// setting is a "key = value" line and where it stands.
type setting struct {
	section, key, value string
	line                int // from 1
}

// scan finds the settings and every line that is none of setting, comment and section. ini.v1 keeps no
// line numbers, lets the last of two equal keys win (upstream's reader takes the first) and gives quotes
// a meaning that upstream's files do not know.
func scan(name, text string) ([]setting, error) {
	var found []setting
	seen := map[string]int{}
	section := ""
	for i, raw := range strings.Split(text, "\n") {
		s, problem := scanLine(strings.TrimSpace(raw))
		switch {
		case problem != "":
			return nil, &LineError{File: name, Line: i + 1, Problem: problem}
		case s.section != "":
			section = s.section
		case s.key != "":
			if first := seen[s.key]; first != 0 {
				problem = fmt.Sprintf("%s stands in line %d already; remove one of the two", quoted(s.key), first)
				return nil, &LineError{File: name, Line: i + 1, Problem: problem}
			}
			seen[s.key] = i + 1
			found = append(found, setting{section, s.key, s.value, i + 1})
		}
	}
	return found, nil
}

// scanLine reads a section line (only section is set), a setting (key and value) or a comment (neither).
func scanLine(text string) (s setting, problem string) {
	switch {
	case text == "" || text[0] == '#' || text[0] == ';':
		return setting{}, ""
	case text[0] == '[':
		if text != "["+operations+"]" {
			return setting{}, fmt.Sprintf("unknown section %s; the only one is [%s]", quoted(text), operations)
		}
		return setting{section: operations}, ""
	case strings.ContainsFunc(text, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }):
		return setting{}, "has a control character; type the line anew"
	}
	key, value, isSetting := strings.Cut(text, "=")
	key = strings.TrimSpace(key)
	if !isSetting || key == "" {
		return setting{}, `this is no "key = value" line; put # before a comment`
	}
	if strings.ContainsAny(key, "\"`\t") || key == "-" {
		return setting{}, fmt.Sprintf("%s cannot be a key; write it without quotes and tabs", quoted(key))
	}
	return setting{key: key, value: strings.TrimSpace(value)}, ""
}

// set stores one value and returns what is wrong with it, or "".
func (c *Config) set(s setting, value string) string {
	placeholder := strings.HasPrefix(value, "REPLACE_")
	setter, known := setters[s.key]
	switch {
	case isID(value, idLength) && (!known || s.section == operations):
		c.Operations[s.key] = value
		return ""
	case s.section == operations && known:
		return fmt.Sprintf("%q is a setting; it belongs above [operations]", s.key)
	case known && placeholder:
		return fmt.Sprintf("%q still has the sample's placeholder; put the real value there or let `latch setup` do it", s.key)
	case known:
		return setter(c, value)
	// Upstream's sample names operations that nobody need use. They break nothing until a PAM line names one. A short name
	// without a value, such as "ftp =", looks like many keys; without a value it would change none of them.
	case placeholder, value == "" && (len(s.key) < 5 || closest(s.key) == ""):
		c.placeholders = append(c.placeholders, s.key)
		return ""
	case s.section == operations:
		return fmt.Sprintf("operation %s has no operation id of %d letters and digits", quoted(s.key), idLength)
	}
	return fmt.Sprintf("unknown key %s%s", quoted(s.key), suggestion(s.key))
}

// setters holds one function per key, each returning what is wrong with the value.
var setters = map[string]func(*Config, string) string{
	"app_id":                func(c *Config, v string) string { return setText(&c.AppID, v, idLength) },
	"secret_key":            setSecret,
	"latch_host":            setHost,
	"action":                func(c *Config, v string) string { return setPolicy(&c.Action, v, "open", "close", "last", "otp") },
	"on_error":              func(c *Config, v string) string { return setPolicy(&c.OnError, v, "open", "close", "otp") },
	"unpaired":              func(c *Config, v string) string { return setPolicy(&c.Unpaired, v, "open", "close") },
	"unpaired_by_server":    func(c *Config, v string) string { return setPolicy(&c.UnpairedByServer, v, "open", "close", "otp") },
	"timeout":               func(c *Config, v string) string { return setSeconds(&c.Timeout, v, 1, 99) },
	"wait":                  func(c *Config, v string) string { return setSeconds(&c.Wait, v, 0, 98) },
	"retries":               func(c *Config, v string) string { return setNumber(&c.Retries, v, 10) },
	"ca_file":               setCAFile,
	"state_dir":             func(c *Config, v string) string { return setPath(&c.StateDir, v) },
	"run_dir":               func(c *Config, v string) string { return setPath(&c.RunDir, v) },
	"proxy":                 setProxy,
	"api_version":           setVersion,
	"otp":                   func(c *Config, v string) string { return setOTP(&c.OTP, v) },
	"otp_key":               func(c *Config, v string) string { return setPath(&c.OTPKey, v) },
	"otp_echo":              func(c *Config, v string) string { return setBool(&c.OTPEcho, v) },
	"otp_required":          func(c *Config, v string) string { return setBool(&c.OTPRequired, v) },
	"otp_issuer":            setIssuer,
	"otp_window":            func(c *Config, v string) string { return setNumber(&c.OTPWindow, v, MaxOTPWindow) },
	"otp_lifetime":          setLifetime,
	"otp_encrypt":           func(c *Config, v string) string { return setBool(&c.OTPEncrypt, v) },
	"otp_refuse_clear":      func(c *Config, v string) string { return setBool(&c.OTPRefuseClear, v) },
	"host_context":          func(c *Config, v string) string { return setBool(&c.HostContext, v) },
	"exempt_users":          func(c *Config, v string) string { return setList(&c.ExemptUsers, v) },
	"exempt_groups":         func(c *Config, v string) string { return setList(&c.ExemptGroups, v) },
	"exempt_services":       func(c *Config, v string) string { return setList(&c.ExemptServices, v) },
	"account_skip_services": func(c *Config, v string) string { return setList(&c.AccountSkip, v) },
	"locker_services":       func(c *Config, v string) string { return setList(&c.LockerServices, v) },
}

// Keys returns every key outside [operations], sorted.
func Keys() []string { return slices.Sorted(maps.Keys(setters)) }

// complete checks what no single line can.
func (c *Config) complete(settings []setting) error {
	for _, missing := range []struct{ key, value string }{{"app_id", c.AppID}, {"secret_key", c.SecretKey.Reveal()}} {
		if missing.value == "" {
			problem := fmt.Sprintf("there is no %s; `latch setup` asks for it and writes it", missing.key)
			return &LineError{File: c.Path, Problem: problem, Err: ErrNotSetUp}
		}
	}
	if problem := c.contradiction(); problem != "" {
		return c.at(settings, problem, "otp_encrypt", "otp_refuse_clear")
	}
	if problem := c.tooLong(); problem != "" {
		return c.at(settings, problem, "timeout", "wait")
	}
	return nil
}

// at is a mistake in the last line that sets one of the keys, or in none.
func (c *Config) at(settings []setting, problem string, keys ...string) error {
	mistake := &LineError{File: c.Path, Problem: problem}
	for _, s := range settings {
		if s.section == "" && slices.Contains(keys, s.key) {
			mistake.Line = s.line
		}
	}
	return mistake
}

// tooLong says why a login could take longer than pam_latch.so waits, or "".
func (c *Config) tooLong() string {
	beyond := int(c.asking()/time.Second) - maxHold
	switch {
	case beyond <= 0:
		return ""
	case c.OTP == "server-totp":
		return fmt.Sprintf("twice timeout and wait together are %d s too long to ask for a code besides", beyond)
	case c.AsksHere():
		return fmt.Sprintf("timeout and wait together are %d s too long to ask for a code besides", beyond)
	}
	return "timeout and wait together are more than 99 seconds"
}

// quoted shows a text of the file in an error, but for what may be a secret on the wrong line or behind the wrong key.
func quoted(text string) string {
	if len(text) >= secretLength-8 && !strings.HasPrefix(text, "/") {
		return fmt.Sprintf("a text of %d characters", len(text))
	}
	return strconv.Quote(text)
}

func isID(s string, length int) bool {
	return len(s) == length && strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

func setText(to *string, v string, length int) string {
	if !isID(v, length) {
		return fmt.Sprintf("an application id has %d letters and digits, this has %d characters", length, len(v))
	}
	*to = v
	return ""
}

func setSecret(c *Config, v string) string {
	if len(v) != secretLength || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Sprintf("a secret key has %d printable characters, this has %d", secretLength, len(v))
	}
	c.SecretKey = NewSecret(v)
	return ""
}

func setHost(c *Config, v string) string {
	if !strings.Contains(v, "://") {
		v = "https://" + v
	}
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Hostname() == "":
		return "latch_host is no address; write https://name or https://name:port"
	case u.Scheme != "https":
		return "latch_host must begin with https://; the secrets of every login would travel in the clear"
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port()):
		return "latch_host has no port between 1 and 65535 after the colon"
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(v, "#"):
		return "latch_host has more than a name and a port; write https://name or https://name:port"
	}
	c.Host = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return ""
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func setProxy(c *Config, v string) string {
	if v == "" {
		c.Proxy = nil
		return ""
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return "a proxy is written http://name:port"
	}
	c.Proxy = u
	return ""
}

func setVersion(c *Config, v string) string {
	numbers := strings.Split(v, ".")
	if slices.ContainsFunc(numbers, func(n string) bool { return n == "" || strings.Trim(n, "0123456789") != "" }) {
		return "api_version is digits and dots, such as 1.3"
	}
	c.APIVersion = v
	return ""
}

func setPolicy(to *Policy, v string, allowed ...string) string {
	v = strings.ToLower(v)
	if !slices.Contains(allowed, v) {
		return fmt.Sprintf("unknown value %s; write %s", quoted(v), strings.Join(allowed, " or "))
	}
	*to = policyNames[v]
	return ""
}

func setBool(to *bool, v string) string {
	switch strings.ToLower(v) {
	case "yes", "no":
		*to = strings.EqualFold(v, "yes")
		return ""
	}
	return fmt.Sprintf("unknown value %s; write yes or no", quoted(v))
}

func setSeconds(to *time.Duration, v string, least, most int) string {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return fmt.Sprintf("%s is no number of seconds between %d and %d", quoted(v), least, most)
	}
	*to = time.Duration(n) * time.Second
	return ""
}

func setNumber(to *int, v string, most int) string {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > most {
		return fmt.Sprintf("%s is no number between 0 and %d", quoted(v), most)
	}
	*to = n
	return ""
}

func setPath(to *string, v string) string {
	if !filepath.IsAbs(v) || filepath.Clean(v) != v {
		return fmt.Sprintf("%s is no absolute path in its shortest form", quoted(v))
	}
	*to = v
	return ""
}

func setCAFile(c *Config, v string) string {
	if v == "" {
		c.CAFile = ""
		return ""
	}
	return setPath(&c.CAFile, v)
}

func setList(to *[]string, v string) string {
	*to = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	return ""
}
