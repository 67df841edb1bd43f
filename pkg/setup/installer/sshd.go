package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	blocks, err := sshdBlocks()
	if err != nil {
		return nil, err
	}
	if where, found := opened(blocks, settings, interactive || code); found {
		return nil, refuse("%s keeps passwords out, and keyboard-interactive would take them again there: set KbdInteractiveAuthentication no in that block first", where)
	}
	if err := includesDropIns(); err != nil {
		return nil, err
	}
	c := &Change{Service: sshdService, Kind: SSHD, Path: sshdDropIn, Mode: 0o644, After: []byte(sshdHead + strings.Join(lines, "\n") + "\n")}
	if settings["usepam"] != "yes" {
		c.Notes = append(c.Notes, "with UsePAM yes sshd leaves it to PAM whether somebody whose password is locked (passwd -l) may come in by a key")
	}
	text, err := os.ReadFile(sshdDropIn)
	if err == nil {
		err = c.existing(text)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return c, err
}

// keyFirst reports whether every way in begins with a key.
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
		switch keyword, values := sshdWords(line); keyword {
		case "include":
			if takesDropIn(values) {
				return nil
			}
		case "usepam", "kbdinteractiveauthentication", "challengeresponseauthentication", "match":
			return refuse("%s sets %s before it includes %s: put the line \"Include %s/*.conf\" first", sshdConfig, keyword, filepath.Dir(sshdDropIn), filepath.Dir(sshdDropIn))
		}
	}
	return refuse("%s includes no %s: put the line \"Include %s/*.conf\" first", sshdConfig, filepath.Dir(sshdDropIn), filepath.Dir(sshdDropIn))
}

// takesDropIn reports whether one of an include's patterns takes our file in.
func takesDropIn(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := filepath.Match(wholePattern(pattern), sshdDropIn)
		return ok && err == nil
	})
}

func wholePattern(pattern string) string {
	if filepath.IsAbs(pattern) {
		return pattern
	}
	return filepath.Join(filepath.Dir(sshdConfig), pattern)
}

// ProveSSHD tries the drop-in: sshd reads it, PAM is asked then, and no method is offered that was not. It needs the
// settings of before.
func (c Change) ProveSSHD(ctx context.Context, run Run, before map[string]string) error {
	dir, err := os.MkdirTemp("", "latch-sshd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, whole := filepath.Join(dir, "drop-in"), filepath.Join(dir, "sshd_config")
	text, err := sshdAround(ours)
	if err != nil {
		return err
	}
	for path, text := range map[string][]byte{ours: c.After, whole: text} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
	}
	after, err := SSHDSettings(ctx, run, whole)
	if err != nil {
		return err
	}
	for _, method := range []string{"usepam", "passwordauthentication", "kbdinteractiveauthentication", "pubkeyauthentication", "gssapiauthentication",
		"hostbasedauthentication", "authenticationmethods"} {
		want := before[method]
		for _, line := range strings.Split(string(c.After), "\n") {
			if keyword, values := sshdWords(line); keyword == method {
				want = strings.Join(values, " ")
			}
		}
		if after[method] != want {
			return fmt.Errorf("sshd would have %s %s and not %s: another file in %s sets it first", method, after[method], want, filepath.Dir(sshdDropIn))
		}
	}
	return nil
}

// sshdAround is sshd's configuration with a file in the place that our drop-in will have among the others: sshd takes them
// in the order of their names, and the first value of a setting counts.
func sshdAround(ours string) ([]byte, error) {
	text, err := os.ReadFile(sshdConfig)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, line := range strings.Split(string(text), "\n") {
		keyword, patterns := sshdWords(line)
		if keyword != "include" || !takesDropIn(patterns) {
			b.WriteString(line + "\n")
			continue
		}
		for _, pattern := range patterns {
			files, err := filepath.Glob(wholePattern(pattern))
			if err != nil {
				return nil, err
			}
			if takesDropIn([]string{pattern}) {
				files = append(files, sshdDropIn)
			}
			slices.Sort(files)
			for _, file := range slices.Compact(files) {
				if file == sshdDropIn {
					file = ours
				}
				fmt.Fprintf(&b, "Include %q\n", file)
			}
		}
	}
	return b.Bytes(), nil
}
