package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Args are the module arguments of a PAM line.
type Args struct {
	Config, Accounts string // files; ParseArgs fills them from the profile
	Operation        string // a name from latch.conf, or ""
	OTP              string // one of OTPModes, or "" to leave it to latch.conf
	Profile          string // "system" or "openvpn"
	Notify           string // "no" keeps the account phase off the phone, "yes" or "" does not
}

// fields are the arguments by their names. authenticator= is the module's own and is not kept.
func (a *Args) fields() map[string]*string {
	return map[string]*string{"config": &a.Config, "accounts": &a.Accounts, "operation": &a.Operation, "otp": &a.OTP,
		"profile": &a.Profile, "notify": &a.Notify, "authenticator": new(string)}
}

// ArgNames returns every module argument, sorted.
func ArgNames() []string { return slices.Sorted(maps.Keys(new(Args).fields())) }

// ParseArgs reads the arguments of Telefónica's module (config=, accounts=, operation=, otp=) and ours (profile=, notify=,
// and authenticator=, which is the module's own). An unknown argument is an error, except for two mistakes in Telefónica's
// sample files that change nothing.
func ParseArgs(args []string) (Args, error) {
	var a Args
	fields := a.fields()
	account := ""
	fields["account"] = &account
	for i, arg := range args {
		if strayWord(args, i) {
			continue
		}
		name, value, _ := strings.Cut(arg, "=")
		field, ok := fields[name]
		switch {
		case !ok || value == "":
			return Args{}, fmt.Errorf("unknown or empty module argument %q on the PAM line", arg)
		case *field != "":
			return Args{}, fmt.Errorf("module argument %q stands twice on the PAM line", name)
		}
		*field = value
	}
	if a.OTP != "" {
		if problem := setOTP(&a.OTP, a.OTP); problem != "" {
			return Args{}, fmt.Errorf("module argument otp=: %s", problem)
		}
	}
	if a.Notify != "" && a.Notify != "yes" && a.Notify != "no" {
		return Args{}, fmt.Errorf("module argument notify=: %q is neither yes nor no", a.Notify)
	}
	if err := a.applyProfile(); err != nil {
		return Args{}, err
	}
	// Telefónica's samples for FreeBSD write account=, which their module does not read: it takes the usual file.
	if account != "" && account != a.Accounts {
		return Args{}, fmt.Errorf("unknown module argument %q on the PAM line; did you mean %q?", "account="+account, "accounts="+account)
	}
	return a, nil
}

// strayWord reports whether an argument is the second "login" of "operation=sshd-login login" in Telefónica's samples for
// Fedora, which their module does not read.
func strayWord(args []string, i int) bool {
	return args[i] == "login" && i > 0 && strings.HasPrefix(args[i-1], "operation=")
}

// Load reads the configuration that a PAM line names, with what the line overrides.
func (a Args) Load() (*Config, error) {
	c, err := Load(a.Config)
	if err != nil || a.OTP == "" {
		return c, err
	}
	c.OTP = a.OTP
	if problem := c.tooLong(); problem != "" {
		return nil, &LineError{File: a.Config, Problem: "with otp=" + a.OTP + " of the PAM line " + problem}
	}
	return c, nil
}

func (a *Args) applyProfile() error {
	p, err := ProfileByName(a.Profile)
	if err != nil {
		return fmt.Errorf("module argument profile=: %w", err)
	}
	a.Profile = p.Name
	if a.Config == "" {
		a.Config = p.Config
	}
	if a.Accounts == "" {
		a.Accounts = p.Accounts
	}
	for _, path := range []string{a.Config, a.Accounts} {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("module argument: %q is no absolute path", path)
		}
	}
	return nil
}
