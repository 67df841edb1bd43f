// Package sudo finds out which PAM services sudo uses.
package sudo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Usual are the PAM services of a sudo that nobody configured. Where sudo-i has no file, sudo was built without it.
var Usual = []string{"sudo", "sudo-i"}

// Run runs a program and returns its standard output.
type Run func(ctx context.Context, name string, args ...string) ([]byte, error)

// settings are the Defaults that name a PAM service, by what `sudo -V` says of each to root.
var settings = []struct{ label, name string }{
	{"PAM service name to use", "pam_service"},
	{"PAM service name to use for login shells", "pam_login_service"},
	{"PAM service name to use when sudo is run with the -A option", "pam_askpass_service"},
}

// Services returns the PAM services that sudo uses, sorted: those of everybody, and those that Defaults name for some users,
// hosts or commands. Without sudo, or with one that names none, they are the usual ones.
func Services(ctx context.Context, run Run) ([]string, error) {
	out, err := run(ctx, "env", "LC_ALL=C", "sudo", "-V")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "No such file") {
			err = nil
		} else {
			err = fmt.Errorf("sudo -V: %w", err)
		}
		return Usual, err
	}
	names, sudoers := parseVersion(string(out))
	if len(names) == 0 {
		return Usual, nil
	}
	out, err = run(ctx, "cvtsudoers", "-f", "json", "-s", "aliases,privileges", sudoers)
	if err == nil { // else sudo keeps its rules elsewhere, as in LDAP, or is older than that program
		more, err := parseDefaults(out)
		if err != nil {
			return Usual, fmt.Errorf("cvtsudoers: %w", err)
		}
		names = append(names, more...)
	}
	for i, name := range names {
		names[i] = strings.ToLower(name) // as libpam does
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// parseVersion reads what `sudo -V` prints to root.
func parseVersion(text string) (names []string, sudoers string) {
	sudoers = "/etc/sudoers"
	for _, line := range strings.Split(text, "\n") {
		label, value, found := strings.Cut(line, ": ")
		if !found || value == "" {
			continue
		}
		if label == "Sudoers path" {
			sudoers = value
		}
		for _, s := range settings {
			if label == s.label {
				names = append(names, value)
			}
		}
	}
	return names, sudoers
}

// parseDefaults reads the names that Defaults for some users, hosts or commands have, as cvtsudoers(1) prints them.
func parseDefaults(text []byte) (names []string, err error) {
	var file struct {
		Defaults []struct {
			Binding []json.RawMessage
			Options []map[string]any
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	for _, d := range file.Defaults {
		if len(d.Binding) == 0 {
			continue // which sudo -V has told
		}
		for _, option := range d.Options {
			for _, s := range settings {
				if name, ok := option[s.name].(string); ok {
					names = append(names, name)
				}
			}
		}
	}
	return names, nil
}
