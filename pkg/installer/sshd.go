package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// SSHD is the kind of our drop-in for sshd.
const SSHD Kind = "sshd"

const (
	sshdService = "sshd"
	sshdConfig  = "/etc/ssh/sshd_config"
	sshdDropIn  = "/etc/ssh/sshd_config.d/00-latch.conf"
	sshdHead    = "# Written by latch install, taken away by latch uninstall: what sshd needs to ask PAM, or to ask for a code.\n"
)

// Run runs a program and returns its standard output.
type Run func(ctx context.Context, name string, args ...string) ([]byte, error)

// SSHDSettings returns sshd's effective settings, in lower case, as `sshd -T` prints them; nil where there is no sshd or
// where it was never started. file is another configuration than sshd's own, "" for that.
func SSHDSettings(ctx context.Context, run Run, file string) (map[string]string, error) {
	args := []string{"-T"}
	if file != "" {
		args = append(args, "-f", file)
	}
	out, err := run(ctx, "/usr/sbin/sshd", args...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil && strings.Contains(err.Error(), "Missing privilege separation directory"):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("sshd -T: %w", err)
	}
	settings := map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		key = strings.ToLower(key)
		if settings[key] != "" {
			value = settings[key] + " " + value // AuthenticationMethods may stand in several lines
		}
		settings[key] = value
	}
	return settings, nil
}

// planSSHD plans the drop-in that makes sshd ask PAM at all, nil where it does. settings are sshd's now. The drop-in says
// no more than it has to: a method of logging in that was closed stays closed.
func planSSHD(settings map[string]string, o Options) (*Change, error) {
	if settings == nil {
		return nil, nil
	}
	var lines []string
	code := o.OTP != "" && o.OTP != "no"
	interactive := settings["kbdinteractiveauthentication"] == "yes"
	if settings["usepam"] != "yes" {
		lines = append(lines, "UsePAM yes")
		if interactive && settings["passwordauthentication"] != "yes" && !keyFirst(settings["authenticationmethods"]) {
			return nil, refuse("with UsePAM yes sshd would take passwords again, which PasswordAuthentication no keeps out: " +
				"set KbdInteractiveAuthentication no in " + sshdConfig + " first")
		}
	}
	if code && !interactive {
		if settings["passwordauthentication"] != "yes" && !keyFirst(settings["authenticationmethods"]) {
			return nil, refuse("a code needs KbdInteractiveAuthentication yes, which would let passwords in again: " +
				"set AuthenticationMethods publickey,keyboard-interactive:pam and KbdInteractiveAuthentication yes together first, or leave --otp out")
		}
		lines = append(lines, "KbdInteractiveAuthentication yes")
	}
	if len(lines) == 0 {
		return nil, nil
	}
	if err := includesDropIns(); err != nil {
		return nil, err
	}
	c := &Change{Service: sshdService, Kind: SSHD, Path: sshdDropIn, Mode: 0o644, After: []byte(sshdHead + strings.Join(lines, "\n") + "\n")}
	text, err := os.ReadFile(sshdDropIn)
	if err == nil {
		err = c.existing(text)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return c, err
}

// keyFirst tells whether every way in begins with a key.
func keyFirst(methods string) bool {
	lists := strings.Fields(methods)
	for _, list := range lists {
		if !strings.HasPrefix(list, "publickey") {
			return false
		}
	}
	return len(lists) > 0
}

// includesDropIns checks that sshd reads our file before it reads a setting of its own: the first value counts.
func includesDropIns() error {
	text, err := os.ReadFile(sshdConfig)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(strings.ToLower(strings.Replace(line, "=", " ", 1)))
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "include":
			for _, pattern := range words[1:] {
				if !filepath.IsAbs(pattern) {
					pattern = "/etc/ssh/" + pattern
				}
				if ok, err := filepath.Match(pattern, sshdDropIn); err == nil && ok {
					return nil
				}
			}
		case "usepam", "kbdinteractiveauthentication", "challengeresponseauthentication", "match":
			return refuse("%s sets %s before it includes %s: put the include first", sshdConfig, words[0], filepath.Dir(sshdDropIn))
		}
	}
	return refuse("%s does not include %s/*.conf: put that line first", sshdConfig, filepath.Dir(sshdDropIn))
}

// ProveSSHD tries the drop-in: sshd reads it, PAM is asked then, and no method is offered that was not. It needs the
// settings of before.
func (c Change) ProveSSHD(ctx context.Context, run Run, before map[string]string) error {
	dir, err := os.MkdirTemp("", "latch-sshd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	draft := filepath.Join(dir, "sshd_config")
	text := append(bytes.Clone(c.After), []byte("Include "+sshdConfig+"\n")...)
	if err := os.WriteFile(draft, text, 0o600); err != nil {
		return err
	}
	after, err := SSHDSettings(ctx, run, draft)
	if err != nil {
		return err
	}
	if after["usepam"] != "yes" {
		return fmt.Errorf("sshd would still not ask PAM (UsePAM %s)", after["usepam"])
	}
	for _, method := range []string{"passwordauthentication", "pubkeyauthentication", "gssapiauthentication", "hostbasedauthentication", "authenticationmethods"} {
		if before[method] != after[method] {
			return fmt.Errorf("the change would turn %s from %q to %q", method, before[method], after[method])
		}
	}
	return nil
}
