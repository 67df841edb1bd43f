package installer

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// lower is a service name as libpam reads it: pam_start(3) writes every service in lower case, but no included file.
func lower(service string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, service)
}

// Resolve returns the name of the service file that libpam reads for a service, and a note where that is another one.
func (s System) Resolve(service string) (name, note string, err error) {
	if !s.NeverRead(service) {
		return service, "", nil
	}
	name = lower(service)
	note = fmt.Sprintf("libpam reads service names in lower case: %s, not %s", name, service)
	if _, err = s.Read(name); err == nil {
		return name, note, nil
	}
	if _, other := s.Read(service); errors.Is(err, ErrNoService) && other == nil {
		err = refuse("%s: mv %s %s", note, filepath.Join(s.PamDirs[0], service), filepath.Join(s.PamDirs[0], name))
	}
	return name, note, err
}

// NeverRead reports whether a service file has a name with capital letters and is part of no other file, so that libpam
// never reads it.
func (s System) NeverRead(service string) bool {
	if lower(service) == service {
		return false
	}
	names, err := s.Services()
	return err == nil && !s.included(service, names)
}
