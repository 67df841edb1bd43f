package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// DropIn is the file that latch install writes. sshd takes the first value of a setting, and reads this file before most
// others.
const DropIn = dropInDir + "/00-latch.conf"

// Head is the first line of the drop-in.
const Head = "# Written by latch install, taken away by latch uninstall: what sshd needs to ask PAM, or to ask for a code.\n"

// Text is the drop-in with some lines.
func Text(lines []string) []byte { return []byte(Head + strings.Join(lines, "\n") + "\n") }

// systemdRunning is there where systemd manages services.
const systemdRunning = "/run/systemd/system"

// First is a command that has sshd read some lines before every other value of these settings, checks the result and makes
// sshd take it in.
func (s *State) First(lines ...string) string {
	quoted := "'" + strings.Join(lines, "' '") + "'"
	write := fmt.Sprintf("printf '%%s\\n' %s >%s", quoted, s.firstName())
	if _, err := os.Stat(s.files.Root + dropInDir); err != nil {
		write = "mkdir -p " + dropInDir + " && " + write
	}
	if s.IncludesDropIns() != nil {
		const all = configFile + ".new"
		write = fmt.Sprintf("{ printf '%%s\\n' %s; cat %s; } >%s && cat %s >%s", quoted, configFile, all, all, configFile)
	}
	return write + " && " + Program + " -t && " + s.reload()
}

// firstName is a file that sshd reads before every other drop-in.
func (s *State) firstName() string {
	names, err := s.files.glob(dropInDir + "/*.conf")
	for _, head := range []string{"00-", "00--", "00---", "0-", "0--", "-"} {
		if name := path.Join(dropInDir, head+"methods.conf"); err != nil || len(names) == 0 || name <= names[0] {
			return name
		}
	}
	return path.Join(dropInDir, "---methods.conf")
}

// reload is the command that makes a running sshd read its configuration again.
func (s *State) reload() string {
	if _, err := os.Stat(s.files.Root + systemdRunning); err != nil {
		return "kill -HUP $(cat /run/sshd.pid)"
	}
	for _, dir := range []string{"/etc", "/usr/lib", "/lib"} {
		if _, err := os.Stat(s.files.Root + dir + "/systemd/system/ssh.service"); err == nil {
			return "systemctl reload ssh" // Debian's name of it
		}
	}
	return "systemctl reload sshd"
}

// IncludesDropIns returns an error unless sshd reads the drop-in before it reads a setting of its own.
func (s *State) IncludesDropIns() error {
	text, err := os.ReadFile(s.files.Root + configFile)
	if err != nil {
		return err
	}
	first := fmt.Sprintf("put the line \"Include %s/*.conf\" first", dropInDir)
	for _, line := range strings.Split(string(text), "\n") {
		switch keyword, values := words(line); keyword {
		case "include":
			if takesDropIn(values) {
				return nil
			}
		case usePAM, interactive, "challengeresponseauthentication", methods, "match":
			return fmt.Errorf("%s sets %s before it includes %s: %s", configFile, keyword, dropInDir, first)
		}
	}
	return fmt.Errorf("%s includes no %s: %s", configFile, dropInDir, first)
}

// takesDropIn reports whether one of an include's patterns takes our file in.
func takesDropIn(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := filepath.Match(wholePattern(pattern), DropIn)
		return ok && err == nil
	})
}

// Prove tries the drop-in by files in dir: sshd reads it, PAM is asked then, and no method is offered that was not.
func (s *State) Prove(ctx context.Context, run Run, dir string, dropIn []byte) error {
	ours, whole := filepath.Join(dir, "drop-in"), filepath.Join(dir, "sshd_config")
	text, err := s.around(ours)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{ours: dropIn, whole: text} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return err
		}
	}
	after, err := Settings(ctx, run, whole)
	if err != nil {
		return err
	}
	for _, method := range []string{usePAM, password, interactive, "pubkeyauthentication", "gssapiauthentication", "hostbasedauthentication", methods} {
		want := s.Set[method]
		for _, line := range strings.Split(string(dropIn), "\n") {
			if keyword, values := words(line); keyword == method {
				want = strings.Join(values, " ")
			}
		}
		if after[method] != want {
			return fmt.Errorf("sshd would have %s %s and not %s: another file in %s sets it first", method, after[method], want, dropInDir)
		}
	}
	return nil
}

// around is sshd's configuration with a file in the place that our drop-in will have among the others: sshd takes them in
// the order of their names, and the first value of a setting counts.
func (s *State) around(ours string) ([]byte, error) {
	text, err := os.ReadFile(s.files.Root + configFile)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, line := range strings.Split(string(text), "\n") {
		keyword, patterns := words(line)
		if keyword != "include" || !takesDropIn(patterns) {
			b.WriteString(line + "\n")
			continue
		}
		for _, pattern := range patterns {
			names, err := s.files.glob(pattern)
			if err != nil {
				return nil, err
			}
			if takesDropIn([]string{pattern}) {
				names = append(names, DropIn)
			}
			slices.Sort(names)
			for _, name := range slices.Compact(names) {
				if name == DropIn {
					name = ours
				}
				fmt.Fprintf(&b, "Include %q\n", name)
			}
		}
	}
	return b.Bytes(), nil
}

// Present returns the drop-in's text, nil where there is none.
func (s *State) Present() ([]byte, error) {
	text, err := os.ReadFile(s.files.Root + DropIn)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
