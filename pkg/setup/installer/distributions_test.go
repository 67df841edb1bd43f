package installer_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

var update = flag.Bool("update", false, "rewrite testdata/pam.d/golden/install")

// stored is testdata/pam.d.
const stored = "../../../testdata/pam.d"

// machine is a distribution: the directory of its own files, the one that authselect's links lead to ("" without), and
// the vendor's.
type machine struct{ own, authselect, vendor string }

var machines = map[string]machine{
	"debian12":      {"debian12", "", "debian12/usr-lib"},
	"ubuntu2404":    {"ubuntu2404", "", "ubuntu2404/usr-lib"},
	"fedora-local":  {"fedora", "fedora/authselect-local", "fedora/usr-lib"},
	"fedora-sssd":   {"fedora", "fedora/authselect-sssd", "fedora/usr-lib"},
	"rhel9-sssd":    {"rhel9", "rhel9/authselect-sssd", "rhel9/usr-lib"},
	"rhel9-minimal": {"rhel9", "rhel9/authselect-minimal", "rhel9/usr-lib"},
	"opensuse":      {"opensuse", "", "opensuse/usr-lib"},
	"arch":          {"arch", "", "arch/usr-lib"},
}

// people are the services that people log in by.
var people = []string{"sshd", "login", "su", "su-l", "sudo", "sudo-i", "lightdm", "lightdm-autologin", "gdm-password", "gdm-autologin",
	"gdm-fingerprint", "polkit-1"}

// unpack lays a distribution's files out as they lie there.
func unpack(t *testing.T, m machine) installer.System {
	t.Helper()
	root := t.TempDir()
	s := installer.System{PamDirs: []string{root + "/etc/pam.d", root + "/usr/lib/pam.d"}, StateDir: root + "/state", Root: root,
		AccountSkip: config.Defaults().AccountSkip}
	for _, pair := range [][2]string{{m.own, s.PamDirs[0]}, {m.authselect, root + "/etc/authselect"}, {m.vendor, s.PamDirs[1]}} {
		from, to := pair[0], pair[1]
		if err := os.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(stored, from, "*"))
		if err != nil || from == "" {
			continue
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // a directory
			}
			if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o644); err != nil {
				t.Fatal(err)
			}
			if from == m.authselect {
				if err := os.Symlink(filepath.Join(to, filepath.Base(file)), filepath.Join(s.PamDirs[0], filepath.Base(file))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return s
}

// snapshot is everything below the service directories: kind, mode, owner and content.
func snapshot(t *testing.T, s installer.System) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range append(slices.Clone(s.PamDirs), filepath.Dir(s.PamDirs[0])+"/authselect") {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
				return nil
			}
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			target, _ := os.Readlink(path)
			text, err := os.ReadFile(path)
			all[path] = fmt.Sprintf("%v %s %d %q", info.Mode(), target, owner(info), text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if before[path] != after[path] {
			t.Errorf("%s: %s was %s and is %s", what, path, before[path], after[path])
		}
	}
	for path := range after {
		if _, known := before[path]; !known {
			t.Errorf("%s: %s is new", what, path)
		}
	}
}

// apply makes changes as latch install does.
func apply(t *testing.T, s installer.System, plans []installer.Change, options map[string]installer.Options) {
	t.Helper()
	if err := s.Locked(context.Background(), func() error {
		if err := s.Prepare(installer.Pending{At: time.Now()}, plans); err != nil {
			return err
		}
		for _, c := range plans {
			if err := s.Apply(c, options[c.Service], time.Now()); err != nil {
				return err
			}
		}
		return s.Confirm()
	}); err != nil {
		t.Fatal(err)
	}
}

// remove makes every touched service forget us.
func remove(t *testing.T, s installer.System) {
	t.Helper()
	services, err := s.Touched()
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range services {
		files, err := s.PlanRemoval(service)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range files {
			if err := s.Undo(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if asking, err := s.StillAsking(); err != nil || len(asking) > 0 {
		t.Errorf("these still ask: %q %v", asking, err)
	}
	if left, _ := filepath.Glob(s.StateDir + "/[^.]*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestInstallOnDistributions installs everything that a distribution has at once: the diffs are those that somebody read
// and approved, a second time changes nothing, and taking it out leaves the same files.
func TestInstallOnDistributions(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(machines)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := unpack(t, machines[name])
			before := snapshot(t, s)
			options := map[string]installer.Options{}
			var got strings.Builder
			for _, service := range people {
				if _, err := s.Read(service); err != nil {
					continue
				}
				if _, err := s.Plan(service, installer.Options{}); err != nil {
					fmt.Fprintf(&got, "== %s\n%v\n", service, err)
					continue
				}
				options[service] = installer.Options{}
			}
			plans, err := s.PlanAll(options)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range plans {
				fmt.Fprintf(&got, "== %s\n%s", c.Service, c.Diff())
				for _, note := range c.Notes {
					fmt.Fprintf(&got, "note: %s\n", note)
				}
			}
			compare(t, filepath.Join(stored, "golden", "install", name+".txt"),
				strings.ReplaceAll(got.String(), filepath.Dir(filepath.Dir(s.PamDirs[0])), ""))
			same(t, "planning", before, snapshot(t, s))
			apply(t, s, plans, options)
			if again, err := s.PlanAll(options); err != nil || slices.ContainsFunc(again, func(c installer.Change) bool { return !c.None() }) {
				t.Errorf("a second time: %v %v", again, err)
			}
			if gone, err := s.Drifted(); err != nil || len(gone) > 0 {
				t.Errorf("drift at once: %v %v", gone, err)
			}
			remove(t, s)
			same(t, "uninstalling", before, snapshot(t, s))
		})
	}
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is another now:\n%s", path, got)
	}
}

// TestGuessesAtCodesAreTold: behind a substack a wrong password reaches the line, so guessing at codes needs no password.
func TestGuessesAtCodesAreTold(t *testing.T) {
	for mode, told := range map[string]bool{"": false, "yes": false, "totp": true, "server-totp": true} {
		c, err := unpack(t, machines["fedora-local"]).Plan("sshd", installer.Options{OTP: mode})
		if err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(c.Notes, "\n")
		if strings.Contains(notes, "use up a user's guesses") != told || strings.Contains(notes, "a wrong password reaches the latch") != (mode != "") {
			t.Errorf("otp %q: %s", mode, notes)
		}
	}
}
