package testbed

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Conf is what stands in a latch.conf: keys and values.
type Conf map[string]string

// NewConf is the configuration that makes a host ask this server as this application.
func NewConf(s *Server, app App) Conf {
	return Conf{"app_id": app.ID, "secret_key": app.Secret, "latch_host": s.URL, "ca_file": s.CA}
}

// With returns a copy with one more pair; an empty value removes the key.
func (c Conf) With(key, value string) Conf {
	c = maps.Clone(c)
	if value == "" {
		delete(c, key)
	} else {
		c[key] = value
	}
	return c
}

// Text is the file's text, keys in alphabetical order.
func (c Conf) Text() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%s = %s\n", key, c[key])
	}
	return b.String()
}

// Write replaces the file with mode 0600 and returns its path.
func (c Conf) Write(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(c.Text()), 0o600); err != nil {
		return "", err
	}
	return path, os.Rename(temporary, path)
}

// WriteService writes the PAM service file dir/name.
func WriteService(dir, name string, lines ...string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// Pair pairs a local user by `latch pair` with a fresh code of the person of the same name.
func Pair(s *Server, cli, conf, accounts, user string) error {
	code, err := s.Code(user)
	if err != nil {
		return err
	}
	_, err = run(exec.Command(cli, "pair", code, "--config", conf, "--accounts", accounts, "--user", user))
	return err
}
