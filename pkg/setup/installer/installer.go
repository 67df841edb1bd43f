// Package installer puts our line into the service files of this machine and takes it out again. It plans first, so
// that every change can be shown and tried before it is made, keeps what it replaced, and puts it back byte for byte.
package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
	"github.com/latch-linux/latch/pkg/setup/sshd"
)

// System is where a machine keeps its files.
type System struct {
	PamDirs  []string // where libpam looks; changes are written to the first
	StateDir string   // what was replaced; 0700
	Root     string   // "" but in tests: /proc, programs and units are looked for below it

	SSHD        *sshd.State // for a plan that changes sshd
	AccountSkip []string    // services that latch.conf does not ask about in the account phase
	Lockers     []string    // services of further screen lockers

	programs []Program         // nil where nobody looked
	planned  map[string][]byte // what service files will be, while several are planned
}

// Default is this machine, with the places that Linux-PAM of Debian, Fedora, Arch and openSUSE look at.
func Default() System {
	return System{PamDirs: directories("/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"), StateDir: "/var/lib/latch/install"}
}

// directories follows those that are symbolic links: files are replaced where they are.
func directories(paths ...string) []string {
	for i, path := range paths {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			paths[i] = real
		}
	}
	return paths
}

// limit bounds a service file; bytes.
const limit = 1 << 20

// Errors that callers tell apart.
var (
	ErrNoService = errors.New("there is no such PAM service")
	ErrRefused   = errors.New("refused")
)

// serviceName keeps a service from being a path.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// ValidService reports whether a service can have this name.
func ValidService(name string) bool { return serviceName.MatchString(name) }

// Read returns the text of a service file, as pamconf.Tree wants it. Absolute names are what include lines may have.
func (s System) Read(name string) ([]byte, error) {
	if text, ok := s.planned[name]; ok {
		return text, nil
	}
	_, text, err := s.find(name)
	return text, err
}

// find returns the path that libpam would read for a service, and its text.
func (s System) find(name string) (path string, text []byte, err error) {
	if filepath.IsAbs(name) {
		text, err = readLinked(name)
		return name, text, err
	}
	for _, dir := range s.PamDirs {
		path = filepath.Join(dir, name)
		if text, err = readLinked(path); !errors.Is(err, fs.ErrNotExist) {
			return path, text, err
		}
	}
	return "", nil, fmt.Errorf("%q: %w: %w", name, ErrNoService, fs.ErrNotExist)
}

// readLinked reads a file that may be a symbolic link of the distribution's, as authselect's are.
func readLinked(path string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	return securefile.Read(real, limit)
}

// Services lists every service that libpam would find, sorted.
func (s System) Services() ([]string, error) {
	var names []string
	for _, dir := range s.PamDirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if serviceName.MatchString(e.Name()) && !e.IsDir() && !leftover(e.Name()) {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// leftover reports whether a file is a copy that a package manager or the setup of Telefónica's plugin left.
func leftover(name string) bool {
	for _, suffix := range []string{upstreamCopy, ".dpkg-old", ".dpkg-dist", ".dpkg-new", ".rpmnew", ".rpmsave", ".pacnew", ".bak", "~"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// ServiceState is what a service file does with the latch.
type ServiceState struct {
	Service string
	Phases  map[pamconf.Phase][]pamconf.Finding // the phases that have our line, with the problems of each
	Where   []string                            // file and line of the first of our lines in each of them, auth first
	Args    [][]string                          // module arguments of the same lines
	Lines   int                                 // the larger number of our lines in one phase
	Err     error                               // the file cannot be read, or libpam would refuse to read it
}

// Scan examines every service.
func (s System) Scan() ([]ServiceState, error) {
	names, err := s.Services()
	if err != nil {
		return nil, err
	}
	var all []ServiceState
	for _, name := range names {
		all = append(all, s.serviceState(name))
	}
	return all, nil
}

func (s System) serviceState(name string) ServiceState {
	a := ServiceState{Service: name, Phases: map[pamconf.Phase][]pamconf.Finding{}}
	text, err := s.Read(name)
	if err != nil {
		a.Err = err
		return a
	}
	f := pamconf.Parse(name, text)
	for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
		stack, err := pamconf.Load(f, phase, s)
		if err != nil {
			a.Err = err
			return a
		}
		if at := stack.Asks(); at >= 0 {
			a.Phases[phase] = stack.Judge()
			a.Where = append(a.Where, stack.Steps[at].Where())
			a.Args = append(a.Args, stack.Steps[at].Rule.Args)
		}
		lines := 0
		for _, step := range stack.Steps {
			if step.Rule.IsLatch() {
				lines++
			}
		}
		a.Lines = max(a.Lines, lines)
	}
	return a
}

// Line is one of our lines in a service file: which files latch-auth uses for a login there, and which operation.
type Line struct {
	Service, Where string
	config.Args
	Err error // the arguments are wrong, so everybody is refused
}

// Ours returns the first of our lines in each phase, auth first.
func (a ServiceState) Ours() []Line {
	var lines []Line
	for i, words := range a.Args {
		args, err := config.ParseArgs(words)
		lines = append(lines, Line{Service: a.Service, Where: a.Where[i], Args: args, Err: err})
	}
	return lines
}

// Asks reports whether a service has our line in any phase.
func (s System) Asks(service string) bool { return len(s.serviceState(service).Phases) > 0 }
