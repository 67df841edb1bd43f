// Package sshd reads sshd_config(5) as sshd does, and works out what sshd needs before PAM can decide about a login or ask
// for a code, and what that would open.
package sshd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Program is where every distribution that we know installs sshd.
const Program = "/usr/sbin/sshd"

// Service is the PAM service of an sshd without PAMServiceName.
const Service = "sshd"

// Keywords of sshd_config(5), in lower case as sshd -T prints them.
const (
	usePAM      = "usepam"
	password    = "passwordauthentication"
	interactive = "kbdinteractiveauthentication"
	methods     = "authenticationmethods"
	pamService  = "pamservicename"
)

// Run runs a program and returns its standard output.
type Run func(ctx context.Context, name string, args ...string) ([]byte, error)

// State is how sshd is configured.
type State struct {
	Set    map[string]string // effective outside of Match blocks, by keyword in lower case
	Blocks []*Block          // every Match block, in the order in which sshd reads them
	files  Files
}

// Load returns the state of this machine's sshd, nil where there is none or where it was never started.
func Load(ctx context.Context, run Run, files Files) (*State, error) {
	set, err := Settings(ctx, run, "")
	if set == nil || err != nil {
		return nil, err
	}
	blocks, err := files.Blocks()
	if err != nil {
		return nil, fmt.Errorf("sshd's configuration: %w", err)
	}
	return &State{Set: set, Blocks: blocks, files: files}, nil
}

// Settings returns the effective settings that `sshd -T` prints, nil as for Load. file is another configuration than
// sshd's own, "" for that.
func Settings(ctx context.Context, run Run, file string) (map[string]string, error) {
	args := []string{"-T"}
	if file != "" {
		args = append(args, "-f", file)
	}
	out, err := run(ctx, Program, args...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil && strings.Contains(err.Error(), "Missing privilege separation directory"):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("sshd -T: %w", err)
	}
	return parseSettings(string(out)), nil
}

func parseSettings(text string) map[string]string {
	set := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		key = strings.ToLower(key)
		if set[key] != "" {
			value = set[key] + " " + value // AuthenticationMethods may stand in several lines
		}
		set[key] = value
	}
	return set
}

// Services returns the names of the PAM services that sshd uses, sorted: that of PAMServiceName (OpenSSH 9.8 and newer), in
// Match blocks too. libpam makes them lower-case.
func (s *State) Services() []string {
	if s == nil {
		return []string{Service}
	}
	names := map[string]bool{Service: true}
	if name := s.Set[pamService]; name != "" {
		names = map[string]bool{strings.ToLower(name): true}
	}
	for _, b := range s.Blocks {
		if name, ok := b.get(pamService); ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// view returns the settings that are in force for users whom a block matches, nil for all others.
func (s *State) view(b *Block) func(keyword string) string {
	return func(keyword string) string {
		if value, ok := b.get(keyword); ok {
			return value
		}
		return s.Set[keyword]
	}
}
