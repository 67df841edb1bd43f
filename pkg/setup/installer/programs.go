package installer

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/setup/sshd"
	"github.com/latch-linux/latch/pkg/setup/sudo"
)

// Program is a program whose configuration names the PAM services that it uses.
type Program struct {
	Name     string   // as sshd
	Usual    []string // the services that it uses where its configuration names none
	Services []string // those that it does use
	Setting  string   // where its configuration names them
	Err      error    // they could not be found out, and the usual ones are taken
}

// FindPrograms looks at the programs of this machine whose PAM services may have other names than one expects, and notes how
// sshd is configured.
func (s *System) FindPrograms(ctx context.Context, run sshd.Run, files sshd.Files) {
	state, err := sshd.Load(ctx, run, files)
	s.SSHD = state
	s.programs = []Program{{sshd.Service, []string{sshd.Service}, state.Services(), "PAMServiceName in sshd's configuration", err}}
	services, err := sudo.Services(ctx, sudo.Run(run))
	s.programs = append(s.programs, Program{"sudo", sudo.Usual, services, "pam_service in sudoers", err})
}

// Programs returns what FindPrograms found.
func (s System) Programs() []Program { return s.programs }

// unknown is why it cannot be said whether a program uses a service.
func (s System) unknown(service string) error {
	for _, p := range s.programs {
		if slices.Contains(p.Usual, service) {
			return p.Err
		}
	}
	return nil
}

// UsedBy returns the program that uses a service, as far as that is known; "" for none.
func (s System) UsedBy(service string) string {
	for _, p := range s.programs {
		if slices.Contains(p.Services, service) {
			return p.Name
		}
	}
	if s.programs == nil && service == sshd.Service {
		return service
	}
	return ""
}

// Unused returns the program that would be expected to use a service and uses others.
func (s System) Unused(service string) (Program, bool) {
	for _, p := range s.programs {
		if slices.Contains(p.Usual, service) && !slices.Contains(p.Services, service) && s.UsedBy(service) == "" {
			return p, true
		}
	}
	return Program{}, false
}

// Instead says which services a program uses instead of a usual one, and names the command that installs them.
func (p Program) Instead() (text, command string) {
	names := strings.Join(p.Services, " ")
	return p.Name + " uses the PAM service " + strings.Join(p.Services, ", ") + " (" + p.Setting + ")", "latch install " + names
}

// SideDoor is a PAM service without our line, of a program that has it in another one.
type SideDoor struct {
	Program Program
	Service string
	NoFile  bool // so /etc/pam.d/other decides
	Only    bool // no service that the program uses has our line
}

// SideDoors finds the services by which a program that is protected, or was meant to be, lets in past a closed latch. The
// plans are counted as made.
func (s System) SideDoors(plans []Change) (doors []SideDoor) {
	s.planned = map[string][]byte{}
	for _, c := range plans {
		if c.Kind == PAM {
			s.planned[c.Service] = c.After
		}
	}
	for _, p := range s.programs {
		used := slices.ContainsFunc(p.Services, s.Asks)
		if !used && !slices.ContainsFunc(p.Usual, s.Asks) {
			continue
		}
		for _, service := range p.Services {
			_, err := s.Read(service)
			gone := errors.Is(err, fs.ErrNotExist)
			if s.Asks(service) || gone && slices.Contains(p.Usual, service) { // sudo-i is a part of sudo then
				continue
			}
			doors = append(doors, SideDoor{p, service, gone, !used})
		}
	}
	return doors
}

// Text says what is open.
func (d SideDoor) Text() string {
	if d.Service == "sudo-i" {
		return "sudo -i is a PAM service of its own, which does not ask: with a closed latch it works still"
	}
	text := d.Program.Name + " uses the PAM service " + d.Service + " (" + d.Program.Setting + "), which does not ask"
	if d.NoFile {
		text += " and has no file, so /etc/pam.d/other decides"
	}
	return text + ": with a closed latch it works still"
}

// Remedy is the command that closes a side door.
func (d SideDoor) Remedy() string {
	install := "latch install " + d.Service
	if d.NoFile {
		return "cp /etc/pam.d/" + d.Program.Usual[0] + " /etc/pam.d/" + d.Service + " && " + install
	}
	return install
}
