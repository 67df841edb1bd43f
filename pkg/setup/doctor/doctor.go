// Package doctor looks a machine over: what of the latch works here, what does not, and what to do about it. It reads
// and asks, and changes nothing.
package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"time"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// State is how bad a finding is, in the order of monitoring plugins: their exit status is its number.
type State int

// States.
const (
	OK State = iota
	Warn
	Fail
)

func (s State) String() string { return [...]string{"ok", "warn", "fail"}[s] }

// Finding is one line of the examination.
type Finding struct {
	Check string // what was looked at, such as "pairings"
	State State
	Text  string // what was found
	Fix   string // what to do, "" where there is nothing to do
}

// Machine is what is looked over.
type Machine struct {
	Profiles      []config.Profile
	Only          string // the profile to look at; "": those that the services work on
	PAM           installer.System
	Authenticator string // compiled into the module
	ModuleDirs    []string
	Root          string // "" but in tests: what is read from the system lies below it
	Now           func() time.Time

	// Server asks the server whether it knows the application, and returns by how much its clock is ahead.
	Server func(context.Context, *config.Config) (time.Duration, error)
	// Expiry returns when the first certificate of the server's chain ends.
	Expiry func(context.Context, *config.Config) (time.Time, error)
	// Find returns the uid of a user, or false where the name service does not know the name.
	Find func(name string) (uid int64, known bool, err error)
	// Run runs a program and returns its standard output.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
}

// runTimeout bounds every program that is run.
const runTimeout = 15 * time.Second

// RunProgram is Machine.Run for a real machine.
func RunProgram(ctx context.Context, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	var ended *exec.ExitError
	if errors.As(err, &ended) && len(ended.Stderr) > 0 {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(ended.Stderr))
	}
	return out, err
}

// examination collects findings.
type examination struct {
	Machine
	ctx      context.Context
	ours     []line         // of every service
	profile  config.Profile // that is looked at
	config   *config.Config // nil where it cannot be read
	stores   [][2]string    // of one-time passwords, directory and key, that were told about
	findings []Finding
}

func (e *examination) add(check string, state State, fix, format string, args ...any) {
	e.findings = append(e.findings, Finding{check, state, fmt.Sprintf(format, args...), fix})
}

func (e *examination) ok(check, format string, args ...any) { e.add(check, OK, "", format, args...) }
func (e *examination) warn(check, fix, format string, args ...any) {
	e.add(check, Warn, fix, format, args...)
}
func (e *examination) fail(check, fix, format string, args ...any) {
	e.add(check, Fail, fix, format, args...)
}

// Examine runs every check.
func (m Machine) Examine(ctx context.Context) []Finding {
	e := &examination{Machine: m, ctx: ctx}
	all, err := m.PAM.Scan()
	e.ours = e.lines(all)
	for _, check := range []func(){e.programs, e.files, func() { e.services(all, err) }, e.drift, e.pending,
		e.sshd, e.sudo, e.openvpn, e.selinux, e.denials, e.leftovers} {
		check()
	}
	return e.findings
}

// Drift runs only the check for services that were installed and ask no more.
func (m Machine) Drift(ctx context.Context) []Finding {
	e := &examination{Machine: m, ctx: ctx}
	e.drift()
	return e.findings
}

// Worst is the state of an examination.
func Worst(findings []Finding) State {
	worst := OK
	for _, f := range findings {
		worst = max(worst, f.State)
	}
	return worst
}

func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound)
}
