// Package doctor examines a machine: what of the latch works here, what does not, and what to do about it. It reads
// and queries, and changes nothing.
//
// A check is a method of examination that calls ok, warn or fail for each row of the result, and stands in the list
// machineChecks, or in profileChecks, whose checks run once for each set of files and find it in profile and config.
package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/sshd"
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
	Check   string // what was looked at, such as "pairings"
	Profile string // whose files it is about, "" for the whole machine
	State   State
	Text    string // what was found
	Fix     string // what to do, "" where there is nothing to do
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
	// Connect returns a client of the server, without asking it anything yet.
	Connect func(*config.Config) (LatchServer, error)
	// Expiry returns when the first certificate of the server's chain ends.
	Expiry func(context.Context, *config.Config) (time.Time, error)
	// Find returns the uid of a user, or false where the name service does not know the name.
	Find func(name string) (uid int64, known bool, err error)
	// Run runs a program and returns its standard output.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
}

// LatchServer is what the doctor asks of a server, beyond the application.
type LatchServer interface {
	Status(context.Context, client.Query) (client.Status, error)
	Operations(ctx context.Context, parent string) (map[string]api.Operation, error)
	Can(word string) bool // by its latest answer
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
	scan     []installer.ServiceState
	scanErr  error
	ours     []line         // of every service
	profile  config.Profile // of the rows that are added; its name is "" in checks of the whole machine
	config   *config.Config // nil where it cannot be read
	remote   LatchServer    // nil where the server does not answer
	stores   [][2]string    // of one-time passwords, directory and key, that were told about
	findings []Finding
}

func (e *examination) add(check string, state State, fix, format string, args ...any) {
	e.findings = append(e.findings, Finding{check, e.profile.Name, state, fmt.Sprintf(format, args...), fix})
}

func (e *examination) ok(check, format string, args ...any) { e.add(check, OK, "", format, args...) }
func (e *examination) warn(check, fix, format string, args ...any) {
	e.add(check, Warn, fix, format, args...)
}
func (e *examination) fail(check, fix, format string, args ...any) {
	e.add(check, Fail, fix, format, args...)
}

// machineChecks run once, profileChecks for each set of files, between the first and the second of the others.
var (
	machineChecks = []func(*examination){(*examination).programs, (*examination).mode, (*examination).log, (*examination).files, (*examination).services, (*examination).drift,
		(*examination).pending, (*examination).sideDoors, (*examination).sshd, (*examination).sudo, (*examination).openvpn, (*examination).selinux,
		(*examination).denials, (*examination).leftovers}
	profileChecks = []func(*examination){(*examination).configuration, (*examination).server, (*examination).operations,
		(*examination).pairings, (*examination).codes}
)

// Examine runs every check.
func (m Machine) Examine(ctx context.Context) []Finding {
	e := &examination{Machine: m, ctx: ctx}
	e.PAM.FindPrograms(ctx, m.Run, sshd.Files{Root: m.Root})
	e.scan, e.scanErr = m.PAM.Scan()
	e.ours = e.lines()
	for _, check := range machineChecks {
		e.profile = config.Profile{}
		check(e)
	}
	return e.findings
}

// Drift runs only the check for services that were installed and have lost their line.
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
