package install

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// distributions are the directories of testdata/pam.d that /etc/pam.d, authselect's links in it, and /usr/lib/pam.d are
// made from, and the services of each that latch install has a place for, with their phases.
var distributions = map[string]struct {
	own, links, vendor string
	services           map[string]string
}{
	"debian12":      {"debian12", "", "debian12/usr-lib", early},
	"ubuntu2404":    {"ubuntu2404", "", "ubuntu2404/usr-lib", with(early, "lightdm", "account")},
	"fedora-local":  {"fedora", "fedora/authselect-local", "fedora/usr-lib", late},
	"fedora-sssd":   {"fedora", "fedora/authselect-sssd", "fedora/usr-lib", late},
	"rhel9-sssd":    {"rhel9", "rhel9/authselect-sssd", "rhel9/usr-lib", late},
	"rhel9-minimal": {"rhel9", "rhel9/authselect-minimal", "rhel9/usr-lib", late},
	"opensuse":      {"opensuse", "", "opensuse/usr-lib", late},
	"arch":          {"arch", "", "arch/usr-lib", with(early, "su", "")},
}

// Where a wrong password ends the stack both phases ask; where it goes on, only the account phase does.
var (
	early = map[string]string{"sshd": "both", "login": "both", "gdm-password": "both", "lightdm": "both", "polkit-1": "auth", "su": "auth", "sudo": "auth"}
	late  = map[string]string{"sshd": "account", "login": "account", "gdm-password": "account", "lightdm": "account", "polkit-1": "", "su": "", "sudo": ""}
)

func with(services map[string]string, service, phases string) map[string]string {
	services = maps.Clone(services)
	services[service] = phases
	return services
}

const moduleDir = "/usr/lib/x86_64-linux-gnu/security"

var called = regexp.MustCompile(`pam_[a-z0-9_]+\.so`)

// become lays a distribution's service files over this machine's. Modules that it has and this machine has not answer as
// they do about a user who is none of theirs.
func become(t *testing.T, own, links, vendor string) {
	t.Helper()
	modules := map[string]bool{}
	for _, pair := range [][2]string{{own, pamDir}, {links, "/etc/authselect"}, {vendor, "/usr/lib/pam.d"}} {
		if err := os.MkdirAll(pair[1], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", pair[1], "tmpfs", 0, "mode=755"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(pair[1], syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		if pair[0] == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join("../../testdata/pam.d", pair[0], "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // a directory
			}
			for _, module := range called.FindAllString(string(text), -1) {
				modules[module] = true
			}
			// What makes a wrong password slow tells nothing here.
			quick := regexp.MustCompile(`pam_(unix|faillock)\.so`).ReplaceAllString(string(text), "$0 nodelay")
			quick = regexp.MustCompile(`(?m)^.*pam_faildelay.so.*\n`).ReplaceAllString(quick, "")
			to := filepath.Join(pair[1], filepath.Base(file))
			if err := os.WriteFile(to, []byte(quick), 0o644); err != nil {
				t.Fatal(err)
			}
			if pair[0] == links {
				if err := os.Symlink(to, filepath.Join(pamDir, filepath.Base(file))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for module := range modules {
		standIn(t, module)
	}
}

// standIn makes a module that this machine does not have.
func standIn(t *testing.T, module string) {
	t.Helper()
	file := filepath.Join(moduleDir, module)
	if _, err := os.Stat(file); err == nil || module == "pam_latch.so" {
		return
	}
	code := map[string]string{"pam_sss.so": "PAM_USER_UNKNOWN", "pam_systemd_home.so": "PAM_USER_UNKNOWN", "pam_fprintd.so": "PAM_AUTHINFO_UNAVAIL"}[module]
	if code == "" {
		code = "PAM_IGNORE"
	}
	if standIns[code] == "" { // compiled once, as each takes a second
		if out, err := exec.Command("cc", "-shared", "-fPIC", "-DCODE="+code, "-o", file, "testdata/standin.c").CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		standIns[code] = file
		return
	}
	if err := os.Link(standIns[code], file); err != nil {
		t.Fatal(err)
	}
}

// standIns are the stand-ins that were compiled, by their answer.
var standIns = map[string]string{}

// door tries one service. It fails the test unless the person comes in as wanted after so many questions to the server.
func door(t *testing.T, tap *fixture.Tap, what string, tx fixture.Transaction, in bool, questions int) {
	t.Helper()
	before := tap.Questions()
	tx.User = ana
	o, err := tx.Run()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if asked := tap.Questions() - before; o.In() != in || asked != questions {
		t.Errorf("%s: %v after %d questions, want in: %v after %d", what, o, asked, in, questions)
	}
}

// TestLoginsOnDistributions goes through libpam with the service files of six distributions: a wrong password asks
// nothing, a right one asks once, a key asks once, a closed latch refuses both, and in the end every file is as it was.
// A sample installs every service everywhere, and logs in by half of them, each at several distributions.
func TestLoginsOnDistributions(t *testing.T) {
	tap := throughTap(t)
	for i, name := range slices.Sorted(maps.Keys(distributions)) {
		d := distributions[name]
		t.Run(name, func(t *testing.T) {
			become(t, d.own, d.links, d.vendor)
			before := tree(t)
			var services []string
			for _, service := range slices.Sorted(maps.Keys(d.services)) {
				_, errs, status := latch(t, nil, "install", service, "--dry-run")
				if (status == 0) != (d.services[service] != "") {
					t.Fatalf("%s: %d %s", service, status, errs)
				}
				if status == 0 {
					services = append(services, service)
				}
				if only := strings.Contains(errs, "only the account phase asks"); only != (d.services[service] == "account") {
					t.Errorf("%s: %s", service, errs)
				}
			}
			must(t, append([]string{"install", "--yes"}, services...)...)
			for _, service := range fixture.Sample(fixture.Rotated(services, i), 2) {
				if service != "su" { // which lets root by, as whom this runs
					try(t, tap, service, d.services[service] != "auth")
				}
			}
			must(t, "uninstall", "--all", "--yes")
			same(t, "uninstalling", before)
		})
	}
}

// try takes every way in of one service, with the latch open and closed.
func try(t *testing.T, tap *fixture.Tap, service string, account bool) {
	t.Helper()
	wrong := fixture.Transaction{Service: service, Answers: []string{"wrong"}}
	right := fixture.Transaction{Service: service, Answers: []string{fixture.Password}}
	key := fixture.Transaction{Service: service, NoAuth: true}
	door(t, tap, service+", a wrong password", wrong, false, 0)
	door(t, tap, service+", the right password", right, true, 1)
	if account {
		door(t, tap, service+", a key", key, true, 1)
	}
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	door(t, tap, service+", closed, a wrong password", wrong, false, 0)
	door(t, tap, service+", closed, the right password", right, false, 1)
	if account {
		door(t, tap, service+", closed, a key", key, false, 1)
	}
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
	// Wrong passwords, and the refusal, after which the next login asks once more so that the phone hears of it.
	for _, dir := range []string{"/run/faillock", "/run/latch/closed"} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(fmt.Errorf("forgetting what went before: %w", err))
		}
	}
}
