// Package testbed sets up what a real login needs, for the tests, the demo and the benchmarks: the built programs, a
// latch-server of its own, configuration and PAM service files, a libpam transaction whose conversation is a script, and
// (as root) a machine of its own: private namespaces in which /etc, /usr and /var may be written without touching the host's.
package testbed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Artefacts are the paths of what `make build` makes.
type Artefacts struct {
	Module string // pam_latch.so
	Auth   string // latch-auth
	CLI    string // latch
	Server string // latch-server
}

// Root returns the directory that holds go.mod, found upwards from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in the working directory or above it")
		}
		dir = parent
	}
}

// Built returns the artefacts in build/, or an error that says how to make them.
func Built() (Artefacts, error) {
	root, err := Root()
	if err != nil {
		return Artefacts{}, err
	}
	a := artefactsIn(filepath.Join(root, "build"))
	for _, file := range a.all() {
		if _, err := os.Stat(file); err != nil {
			return Artefacts{}, fmt.Errorf("%w: run make build first", err)
		}
	}
	return a, nil
}

// CopyTo copies the artefacts into dir. The copies belong to the caller, as the module asks of an authenticator, whoever
// owns the work tree.
func (a Artefacts) CopyTo(dir string) (Artefacts, error) {
	to := artefactsIn(dir)
	for i, file := range a.all() {
		if err := copyFile(file, to.all()[i]); err != nil {
			return Artefacts{}, err
		}
	}
	return to, nil
}

func artefactsIn(dir string) Artefacts {
	return Artefacts{
		Module: filepath.Join(dir, "pam_latch.so"),
		Auth:   filepath.Join(dir, "latch-auth"),
		CLI:    filepath.Join(dir, "latch"),
		Server: filepath.Join(dir, "latch-server"),
	}
}

func (a Artefacts) all() []string { return []string{a.Module, a.Auth, a.CLI, a.Server} }

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
