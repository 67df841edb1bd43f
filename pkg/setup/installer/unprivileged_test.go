package installer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/installer"
)

// place writes a file below a machine's root.
func place(t *testing.T, s installer.System, path, text string) {
	t.Helper()
	path = filepath.Join(s.Root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, text)
}

// process is what proc(5) shows of one.
func process(t *testing.T, s installer.System, pid, name, uids string) {
	t.Helper()
	place(t, s, "proc/"+pid+"/status", "Name:\t"+name+"\nUmask:\t0022\nUid:\t"+uids+"\nGid:\t0\t0\t0\t0\n")
}

// TestHostsWithoutRootAreRefused names services whose programs run without root, by what is known of them and by what the
// machine shows.
func TestHostsWithoutRootAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		service string
		prepare func(t *testing.T, s installer.System)
		says    string // "" installs
	}{
		"nginx":           {"nginx", nil, "nginx's workers, without root"},
		"PostgreSQL":      {"postgresql", nil, "the PostgreSQL server"},
		"Squid":           {"squid", nil, "Squid's helper"},
		"FreeRADIUS":      {"radiusd", nil, "FreeRADIUS"},
		"a screen locker": {"swaylock", nil, "unlocks a screen"},
		"a unit": {"tickets", func(t *testing.T, s installer.System) {
			place(t, s, "etc/systemd/system/tickets.service", "[Service]\nUser = tick\n")
		}, "tickets.service, which runs as tick"},
		"a vendor's unit": {"tickets", func(t *testing.T, s installer.System) {
			place(t, s, "usr/lib/systemd/system/tickets.service", "[Service]\nDynamicUser=yes\n")
		}, "a user of its own"},
		"a unit of root's": {"tickets", func(t *testing.T, s installer.System) {
			place(t, s, "usr/lib/systemd/system/tickets.service", "[Service]\nUser=root\n")
		}, ""},
		"a unit of nobody's": {"tickets", func(t *testing.T, s installer.System) {
			place(t, s, "usr/lib/systemd/system/tickets.service", "[Service]\nType=exec\n")
		}, ""},
		"a process":         {"tickets", func(t *testing.T, s installer.System) { process(t, s, "77", "tickets", "33\t33\t33\t33") }, "process 77, which runs as uid 33"},
		"a set-uid process": {"tickets", func(t *testing.T, s installer.System) { process(t, s, "77", "tickets", "33\t0\t0\t0") }, ""},
		"a process of root's": {"tickets", func(t *testing.T, s installer.System) {
			process(t, s, "77", "tickets", "33\t33\t33\t33")
			process(t, s, "8", "tickets", "0\t0\t0\t0")
		}, ""},
		"another's process": {"tickets", func(t *testing.T, s installer.System) { process(t, s, "77", "ticket", "33\t33\t33\t33") }, ""},
		"sshd in a session": {"sshd", func(t *testing.T, s installer.System) { process(t, s, "77", "sshd", "1000\t1000\t1000\t1000") }, ""},
		"hyprlock by su":    {"su", func(t *testing.T, s installer.System) { place(t, s, "usr/bin/hyprlock", "") }, "cp /etc/pam.d/su /etc/pam.d/hyprlock"},
		"hyprlock by its own": {"su", func(t *testing.T, s installer.System) {
			place(t, s, "usr/bin/hyprlock", "")
			write(t, filepath.Join(s.PamDirs[0], "hyprlock"), stack)
		}, ""},
		"quickshell by login": {"login", func(t *testing.T, s installer.System) { place(t, s, "usr/bin/quickshell", "") }, "locker_services = login"},
		"quickshell, named":   {"login", func(t *testing.T, s installer.System) { place(t, s, "usr/bin/quickshell", "") }, ""},
		"an include of nginx's": {"door", func(t *testing.T, s installer.System) {
			write(t, filepath.Join(s.PamDirs[0], "nginx"), "auth include door\naccount include door\n")
		}, "door is part of nginx"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := one(t, stack)
			write(t, filepath.Join(s.PamDirs[0], c.service), stack)
			if c.prepare != nil {
				c.prepare(t, s)
			}
			if strings.HasSuffix(name, ", named") {
				s.Lockers = []string{c.service}
			}
			change, err := s.Plan(c.service, installer.Options{})
			if c.says == "" {
				if err != nil || change.None() {
					t.Errorf("%v\n%s", err, change.Diff())
				}
				return
			}
			if !errors.Is(err, installer.ErrRefused) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "--allow-unprivileged") {
				t.Errorf("%v, want %q", err, c.says)
			}
			if change, err := s.Plan(c.service, installer.Options{AllowUnprivileged: true}); err != nil || change.None() {
				t.Errorf("allowed: %v\n%s", err, change.Diff())
			}
		})
	}
}

// TestAllowanceIsKept installs a service a second time without saying again that its program may run without root.
func TestAllowanceIsKept(t *testing.T) {
	s, _ := one(t, stack)
	path := filepath.Join(s.PamDirs[0], "nginx")
	write(t, path, stack)
	for _, o := range []installer.Options{{AllowUnprivileged: true}, {OTP: "no"}, {}} {
		c, err := s.Plan("nginx", o)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, s, []installer.Change{c}, map[string]installer.Options{"nginx": o})
		if !s.AllowedUnprivileged("nginx") {
			t.Errorf("%+v: the allowance is lost", o)
		}
	}
	remove(t, s)
	if s.AllowedUnprivileged("nginx") {
		t.Error("the allowance outlives the line")
	}
}
