package config

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/ini.v1"

	"github.com/latch-linux/latch/pkg/securefile"
)

const (
	sizeLimit    = 64 << 10 // of latch.conf
	idLength     = 20       // of application and operation ids
	secretLength = 40
	operations   = "operations" // the only section
)

// LineError is a mistake in a configuration file.
type LineError struct {
	File    string
	Line    int    // from 1, 0 where no line is at fault
	Problem string // what is wrong and what to do; never a value that may be secret
}

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
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads a latch.conf. name stands in the errors.
func Parse(name string, data []byte) (*Config, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	lines, err := scan(name, data)
	if err != nil {
		return nil, err
	}
	file, err := ini.LoadSources(ini.LoadOptions{
		// A secret may hold any printable character, so a value is everything behind the "=".
		IgnoreInlineComment: true, IgnoreContinuation: true, PreserveSurroundedQuote: true,
		SkipUnrecognizableLines: false, KeyValueDelimiters: "=", UnescapeValueDoubleQuotes: false,
	}, data)
	if err != nil {
		return nil, &LineError{name, 0, err.Error()}
	}
	c := Defaults()
	c.Path = name
	for _, l := range lines {
		// Value would expand %(name)s; the raw text is what stands in the file.
		value := file.Section(l.section).Key(l.key).Value()
		if problem := c.set(l, value); problem != "" {
			return nil, &LineError{name, l.number, problem}
		}
	}
	return c, c.complete()
}

// setting is where a key stands.
type setting struct {
	section, key, text string
	number             int
}

// scan finds the line of each key, and every line that is none of comment, section and key. ini.v1 reads the
// values; it keeps no line numbers and lets the last of two equal keys win.
func scan(name string, data []byte) ([]setting, error) {
	var found []setting
	seen := map[string]int{}
	section := ""
	for i, raw := range strings.Split(string(data), "\n") {
		text := strings.TrimSpace(raw)
		key, value, isSetting := strings.Cut(text, "=")
		key = strings.TrimSpace(key)
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
		case text[0] == '[':
			if section = strings.Trim(text, "[]"); text != "["+operations+"]" {
				return nil, &LineError{name, i + 1, fmt.Sprintf("unknown section %q; the only one is [%s]", text, operations)}
			}
		case !isSetting || key == "":
			return nil, &LineError{name, i + 1, `this is no "key = value" line; put # before a comment`}
		case seen[section+"\n"+key] != 0:
			return nil, &LineError{name, i + 1, fmt.Sprintf("%q stands in line %d already; remove one of the two", key, seen[section+"\n"+key])}
		default:
			seen[section+"\n"+key] = i + 1
			found = append(found, setting{section, key, strings.TrimSpace(value), i + 1})
		}
	}
	return found, nil
}

// set stores one value and returns what is wrong with it, or "".
func (c *Config) set(s setting, value string) string {
	if value != s.text {
		return fmt.Sprintf("the value of %q cannot be read; write it on one line without quotes", s.key)
	}
	if s.section == operations {
		c.Operations[s.key] = value
		return ""
	}
	if setter, ok := setters[s.key]; ok {
		return setter(c, value)
	}
	// Upstream keeps operations among the other keys, and its sample has placeholders for those that nobody uses.
	if isID(value, idLength) || strings.HasPrefix(value, "REPLACE_") || value == "" && looksLikeOperation(s.key) {
		c.Operations[s.key] = value
		return ""
	}
	return fmt.Sprintf("unknown key %q%s", s.key, suggestion(s.key))
}

// looksLikeOperation keeps upstream's "sshd-login =" apart from a misspelt key without a value.
func looksLikeOperation(key string) bool { return closest(key) == "" }

// setters holds one function per key, each returning what is wrong with the value.
var setters = map[string]func(*Config, string) string{
	"app_id":                func(c *Config, v string) string { return setText(&c.AppID, v, idLength) },
	"secret_key":            setSecret,
	"latch_host":            setHost,
	"action":                func(c *Config, v string) string { return setPolicy(&c.Action, v, "open", "close", "last") },
	"on_error":              func(c *Config, v string) string { return setPolicy(&c.OnError, v, "open", "close") },
	"unpaired":              func(c *Config, v string) string { return setPolicy(&c.Unpaired, v, "open", "close") },
	"unpaired_by_server":    func(c *Config, v string) string { return setPolicy(&c.UnpairedByServer, v, "open", "close") },
	"timeout":               func(c *Config, v string) string { return setSeconds(&c.Timeout, v, 1, 99) },
	"wait":                  func(c *Config, v string) string { return setSeconds(&c.Wait, v, 0, 98) },
	"retries":               setRetries,
	"ca_file":               func(c *Config, v string) string { return setPath(&c.CAFile, v) },
	"state_dir":             func(c *Config, v string) string { return setPath(&c.StateDir, v) },
	"run_dir":               func(c *Config, v string) string { return setPath(&c.RunDir, v) },
	"proxy":                 setProxy,
	"api_version":           setVersion,
	"otp":                   func(c *Config, v string) string { return setOTP(&c.OTP, v) },
	"otp_echo":              func(c *Config, v string) string { return setBool(&c.OTPEcho, v) },
	"host_context":          func(c *Config, v string) string { return setBool(&c.HostContext, v) },
	"exempt_users":          func(c *Config, v string) string { return setList(&c.ExemptUsers, v) },
	"exempt_groups":         func(c *Config, v string) string { return setList(&c.ExemptGroups, v) },
	"exempt_services":       func(c *Config, v string) string { return setList(&c.ExemptServices, v) },
	"account_skip_services": func(c *Config, v string) string { return setList(&c.AccountSkip, v) },
}

// Keys returns every key outside [operations], sorted.
func Keys() []string { return slices.Sorted(maps.Keys(setters)) }

// complete checks what no single line can.
func (c *Config) complete() error {
	switch {
	case c.AppID == "":
		return &LineError{c.Path, 0, "there is no app_id; `latch setup` asks for it and writes it"}
	case c.SecretKey.Reveal() == "":
		return &LineError{c.Path, 0, "there is no secret_key; `latch setup` asks for it and writes it"}
	case c.Timeout+c.Wait > 99*time.Second:
		return &LineError{c.Path, 0, "timeout and wait together are more than 99 seconds"}
	}
	return nil
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
		return "latch_host must begin with https://"
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "latch_host has more than a name and a port; write https://name or https://name:port"
	}
	c.Host = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return ""
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
	if v == "" || strings.Trim(v, "0123456789.") != "" {
		return "api_version is digits and dots, such as 1.3"
	}
	c.APIVersion = v
	return ""
}

func setPolicy(to *Policy, v string, allowed ...string) string {
	v = strings.ToLower(v)
	if v == "otp" {
		return "the value otp needs codes of this machine's own, which this version does not have; write " + strings.Join(allowed, " or ")
	}
	if !slices.Contains(allowed, v) {
		return fmt.Sprintf("unknown value %q; write %s", v, strings.Join(allowed, " or "))
	}
	*to = policyNames[v]
	return ""
}

func setOTP(to *string, v string) string {
	v = strings.ToLower(v)
	switch v {
	case "yes", "no":
		*to = v
		return ""
	case "totp", "server-totp":
		return "otp = " + v + " is not available in this version; write no or yes"
	}
	return fmt.Sprintf("unknown value %q; write no or yes", v)
}

func setBool(to *bool, v string) string {
	switch strings.ToLower(v) {
	case "yes", "no":
		*to = strings.EqualFold(v, "yes")
		return ""
	}
	return fmt.Sprintf("unknown value %q; write yes or no", v)
}

func setSeconds(to *time.Duration, v string, least, most int) string {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return fmt.Sprintf("%q is no number of seconds between %d and %d", v, least, most)
	}
	*to = time.Duration(n) * time.Second
	return ""
}

func setRetries(c *Config, v string) string {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 10 {
		return fmt.Sprintf("%q is no number between 0 and 10", v)
	}
	c.Retries = n
	return ""
}

func setPath(to *string, v string) string {
	if !filepath.IsAbs(v) || filepath.Clean(v) != v {
		return fmt.Sprintf("%q is no absolute path in its shortest form", v)
	}
	*to = v
	return ""
}

func setList(to *[]string, v string) string {
	*to = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	return ""
}
