package installer_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

// upstreams are the distributions that Telefónica's setup.sh knows, by the one whose files lie below today.
var upstreams = map[string]string{"centos": "rhel9-minimal", "fedora": "fedora-local", "debian": "debian12", "ubuntu": "ubuntu2404"}

// migrated is a machine on which Telefónica's setup.sh was run.
func migrated(t *testing.T, name string) (s installer.System, services []string) {
	t.Helper()
	s = unpack(t, machines[upstreams[name]])
	files, err := filepath.Glob(filepath.Join(stored, "upstream", name, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files for %s: %v", name, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		service := filepath.Base(file)
		write(t, filepath.Join(s.PamDirs[0], service), string(text))
		if !strings.HasSuffix(service, "-latch") {
			services = append(services, service)
		}
	}
	return s, services
}

// state shows what doctor would say of a service, and what installing it would do.
func state(t *testing.T, s installer.System, service string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "== %s\n", service)
	all, err := s.Scan()
	if err != nil {
		t.Fatal(err)
	}
	found := all[slices.IndexFunc(all, func(a installer.ServiceState) bool { return a.Service == service })]
	for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
		for _, finding := range found.Phases[phase] {
			fmt.Fprintf(&b, "%s: %v\n", phase, finding)
		}
		if slices.ContainsFunc(found.Phases[phase], func(x pamconf.Finding) bool { return installer.Unworkable(x.Problem) }) {
			fmt.Fprintf(&b, "repair: %s\n", s.Remedy(service, phase))
		}
	}
	c, err := s.Plan(service, installer.Options{})
	if err != nil {
		fmt.Fprintf(&b, "install: %v\n", err)
	}
	b.WriteString(c.Diff())
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	return b.String()
}

// shell runs a command that a remedy names.
func shell(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", command, err, out)
	}
}

// TestUpstreamFiles compares what doctor and install say of the files of Telefónica's plugin with what somebody read and
// approved.
func TestUpstreamFiles(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		s, services := migrated(t, name)
		var got strings.Builder
		for _, service := range services {
			got.WriteString(state(t, s, service))
		}
		compare(t, filepath.Join(stored, "golden", "upstream", name+".txt"), strings.ReplaceAll(got.String(), filepath.Dir(filepath.Dir(s.PamDirs[0])), ""))
	}
}

// TestUpstreamArgumentsAreRead reads the module arguments of every file of theirs.
func TestUpstreamArgumentsAreRead(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(stored, "upstream", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range pamconf.Parse(file, text).Rules {
			if !r.IsLatch() {
				continue
			}
			lines++
			a, err := config.ParseArgs(r.Args)
			want := config.Args{Config: "/etc/latch/latch.conf", Accounts: "/etc/latch/latch.accounts", Operation: a.Operation, OTP: "yes", Profile: "system"}
			if err != nil || a != want || a.Operation == "" {
				t.Errorf("%s: %q: %+v %v", file, r.Args, a, err)
			}
		}
	}
	if lines < 18 {
		t.Errorf("only %d lines: where are the files?", lines)
	}
}

// TestRemovalLocksNobodyOut refuses to take out a line without which nobody comes in, and the remedy that it names works.
func TestRemovalLocksNobodyOut(t *testing.T) {
	for _, name := range []string{"centos", "fedora"} {
		s, services := migrated(t, name)
		touched, err := s.Touched()
		if err != nil || len(touched) != 4 {
			t.Fatalf("%s: touched are %q, %v", name, touched, err)
		}
		var plans []installer.Change
		for _, file := range touched {
			more, err := s.PlanRemoval(file)
			if err != nil {
				t.Fatal(err)
			}
			plans = append(plans, more...)
		}
		err = s.CheckRemoval(plans)
		if !errors.Is(err, installer.ErrRefused) {
			t.Fatalf("%s: %v", name, err)
		}
		for _, service := range services {
			remedy := s.Remedy(service, pamconf.Auth)
			command, _, found := strings.Cut(remedy, " && ")
			if !found || !strings.Contains(err.Error(), remedy) {
				t.Fatalf("%s: the remedy is %q, the error %v", service, remedy, err)
			}
			shell(t, command)
			every := strings.HasSuffix(remedy, " --every-use")
			o := installer.Options{OTP: "yes", EveryUse: &every}
			if c, err := s.Plan(service, o); err != nil || c.None() {
				t.Errorf("%s %s after %s: %v", name, service, remedy, err)
			}
		}
		if err := s.CheckRemoval(plans); err != nil {
			t.Errorf("%s, repaired: %v", name, err)
		}
	}
}

// TestRemovalKeepsTheCopies passes over the copies that setup.sh made, and puts one back where there is one.
func TestRemovalKeepsTheCopies(t *testing.T) {
	s, path := one(t, "auth requisite pam_unix.so\nauth sufficient pam_latch.so otp=yes\nauth required pam_deny.so\naccount required pam_unix.so\n")
	if remedy := s.Remedy("door", pamconf.Auth); !strings.HasPrefix(remedy, "replace the line in door:2 by the rule that checks the password") || !strings.HasSuffix(remedy, "latch install door --otp yes") {
		t.Errorf("without a copy: %q", remedy)
	}
	if c, err := s.Plan("door", installer.Options{Repair: true}); !errors.Is(err, installer.ErrRefused) || !strings.Contains(err.Error(), "replace the line in door:2") {
		t.Errorf("moving the line locks out: %v %s", err, c.Diff())
	}
	write(t, path+".lchsave", "auth requisite pam_unix.so\naccount required pam_unix.so\n")
	if names, err := s.Services(); err != nil || slices.Contains(names, "door.lchsave") {
		t.Errorf("the copy is a service: %q %v", names, err)
	}
	command, _, _ := strings.Cut(s.Remedy("door", pamconf.Auth), " && ")
	shell(t, command)
	if c, err := s.Plan("door", installer.Options{}); err != nil || c.None() {
		t.Errorf("after %s: %v", command, err)
	}
}
