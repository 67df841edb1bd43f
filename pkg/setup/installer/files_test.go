package installer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/setup/installer"
)

func owner(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Gid }

const stack = "auth required pam_env.so\nauth requisite pam_unix.so\naccount required pam_unix.so\n"

// one is a machine with one service of a given text.
func one(t *testing.T, text string) (s installer.System, path string) {
	t.Helper()
	s = unpack(t, machine{})
	path = filepath.Join(s.PamDirs[0], "door")
	write(t, path, text)
	return s, path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func plan(t *testing.T, s installer.System, services ...string) ([]installer.Change, map[string]installer.Options) {
	t.Helper()
	options := map[string]installer.Options{}
	for _, service := range services {
		options[service] = installer.Options{}
	}
	plans, err := s.PlanAll(options)
	if err != nil {
		t.Fatal(err)
	}
	return plans, options
}

func install(t *testing.T, s installer.System, services ...string) {
	t.Helper()
	plans, options := plan(t, s, services...)
	apply(t, s, plans, options)
}

// TestFilesComeBack installs into files of every shape and takes it out again.
func TestFilesComeBack(t *testing.T) {
	for name, shape := range map[string]func(t *testing.T, path string){
		"no final newline":       func(t *testing.T, path string) { write(t, path, strings.TrimSuffix(stack, "\n")) },
		"carriage returns":       func(t *testing.T, path string) { write(t, path, strings.ReplaceAll(stack, "\n", " \r\n")) },
		"blank lines":            func(t *testing.T, path string) { write(t, path, "\n\n"+stack+"\n\n") },
		"a mode of its own":      func(t *testing.T, path string) { must(t, os.Chmod(path, 0o600)) },
		"a group of its own":     func(t *testing.T, path string) { must(t, os.Chown(path, -1, aGroup(t))) },
		"lines that go on":       func(t *testing.T, path string) { write(t, path, strings.ReplaceAll(stack, " pam", " \\\n\tpam")) },
		"a line of ours":         func(t *testing.T, path string) { write(t, path, stack) },
		"bytes that are no text": func(t *testing.T, path string) { write(t, path, "# \xff\xfe\x00\n"+stack) },
	} {
		t.Run(name, func(t *testing.T) {
			s, path := one(t, stack)
			shape(t, path)
			before := snapshot(t, s)
			install(t, s, "door")
			if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "pam_latch.so") != 2 {
				t.Errorf("%v %q", err, text)
			}
			remove(t, s)
			same(t, name, before, snapshot(t, s))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// aGroup is one that the test may give a file to.
func aGroup(t *testing.T) int {
	t.Helper()
	groups, err := os.Getgroups()
	if err != nil || os.Geteuid() == 0 || len(groups) == 0 {
		return 42
	}
	return groups[len(groups)-1]
}

// TestFilesThatAreRefused holds what may not be replaced: somebody else manages it, or would keep the old text.
func TestFilesThatAreRefused(t *testing.T) {
	for name, shape := range map[string]func(t *testing.T, path string){
		"symbolic link": func(t *testing.T, path string) {
			must(t, os.Rename(path, path+"-real"))
			must(t, os.Symlink(path+"-real", path))
		},
		"hard link":          func(t *testing.T, path string) { must(t, os.Link(path, path+"-too")) },
		"written by a group": func(t *testing.T, path string) { must(t, os.Chmod(path, 0o664)) },
		"directory": func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o755))
		},
	} {
		s, path := one(t, stack)
		shape(t, path)
		if c, err := s.Plan("door", installer.Options{}); err == nil {
			t.Errorf("%s: %v", name, c)
		}
	}
	s, _ := one(t, stack)
	for _, service := range []string{"system-auth", "password-auth", "postlogin", "cron", "systemd-user", "lightdm-greeter", "swaylock"} {
		write(t, filepath.Join(s.PamDirs[0], service), stack)
		if c, err := s.Plan(service, installer.Options{}); !errors.Is(err, installer.ErrRefused) {
			t.Errorf("%s: %v %v", service, err, c)
		}
	}
	if _, err := s.Plan("system-auth", installer.Options{}); err == nil || !strings.Contains(err.Error(), "authselect create-profile") {
		t.Errorf("nobody knows what to do instead: %v", err)
	}
	write(t, filepath.Join(s.PamDirs[0], "door.dpkg-old"), stack)
	write(t, filepath.Join(filepath.Dir(s.PamDirs[0]), "door"), stack)
	for _, service := range []string{"../door", "a b", "door.dpkg-old", "", "nosuch"} {
		if c, err := s.Plan(service, installer.Options{}); err == nil {
			t.Errorf("%q: %v", service, c)
		}
	}
	if _, err := s.PlanRemoval("../door"); err == nil {
		t.Error("a path was taken for a service")
	}
}

// TestNothingOfOursStays takes out what somebody wrote by hand before latch install, wherever it can be found, and says
// where it cannot.
func TestNothingOfOursStays(t *testing.T) {
	s, path := one(t, "auth requisite pam_unix.so\nauth required pam_latch.so\naccount required pam_unix.so\n")
	install(t, s, "door") // which adds the account line
	remove(t, s)
	if text, err := os.ReadFile(path); err != nil || string(text) != "auth requisite pam_unix.so\naccount required pam_unix.so\n" {
		t.Errorf("%v %q", err, text)
	}

	ours := "auth required pam_latch.so\nauth requisite pam_unix.so\n"
	real := filepath.Join(filepath.Dir(s.PamDirs[0]), "authselect", "system-auth")
	write(t, real, ours)
	must(t, os.Symlink(real, filepath.Join(s.PamDirs[0], "system-auth")))
	remove(t, s)
	if text, err := os.ReadFile(real); err != nil || strings.Contains(string(text), "latch") {
		t.Errorf("behind a link: %v %q", err, text)
	}
	if info, err := os.Lstat(filepath.Join(s.PamDirs[0], "system-auth")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v %v", info, err)
	}

	write(t, path, ours)
	must(t, os.Chmod(path, 0o666))
	if services, err := s.Touched(); err == nil {
		t.Errorf("a file that others can write was passed over: %q", services)
	}
	write(t, path, "auth include elsewhere\n")
	must(t, os.Chmod(path, 0o644))
	write(t, filepath.Join(s.PamDirs[1], "elsewhere"), ours)
	if asking, err := s.StillAsking(); err != nil || !slices.Equal(asking, []string{"door (elsewhere:1)", "elsewhere (elsewhere:1)"}) {
		t.Errorf("in the vendor's file: %q %v", asking, err)
	}
}

// TestLockersThatIncludeAreNamed installs into a file that a screen locker includes, directly or not.
func TestLockersThatIncludeAreNamed(t *testing.T) {
	for text, named := range map[string]bool{"auth include door\n": true, "@include door\n": true, "auth substack inner\n": true,
		"auth include other\n": false, "session include door\n": false} {
		s, _ := one(t, stack)
		write(t, filepath.Join(s.PamDirs[0], "inner"), "auth include door\n")
		write(t, filepath.Join(s.PamDirs[0], "other"), stack)
		write(t, filepath.Join(s.PamDirs[1], "hyprlock"), text)
		c, err := s.Plan("door", installer.Options{})
		if err != nil || strings.Contains(strings.Join(c.Notes, "\n"), "hyprlock includes it: where it does not run as root") != named {
			t.Errorf("%q: %v %q", text, err, c.Notes)
		}
	}
}

// TestOtherServicesAreNamed names the services that include the file.
func TestOtherServicesAreNamed(t *testing.T) {
	s, _ := one(t, stack)
	write(t, filepath.Join(s.PamDirs[0], "gate"), "auth include door\naccount include door\n")
	install(t, s, "gate")
	write(t, filepath.Join(s.PamDirs[0], "hatch"), "auth include door\n")
	c, err := s.Plan("door", installer.Options{})
	if notes := strings.Join(c.Notes, "\n"); err != nil || !strings.Contains(notes, "ask as well: hatch") || !strings.Contains(notes, "latch uninstall gate") {
		t.Errorf("%v %s", err, notes)
	}
}

// TestLineWithoutEffectIsRefused refuses a service whose line protects nothing.
func TestLineWithoutEffectIsRefused(t *testing.T) {
	for text, says := range map[string]string{
		"auth requisite pam_unix.so\nauth optional pam_latch.so\naccount required pam_unix.so\n":                                         "would not refuse the login",
		"auth sufficient pam_permit.so\nauth required pam_latch.so\naccount required pam_unix.so\n":                                      "can succeed without reaching it",
		"auth requisite pam_unix.so\naccount sufficient pam_localuser.so\naccount required pam_latch.so\naccount required pam_unix.so\n": "can succeed without reaching it",
		"auth sufficient pam_rootok.so\nauth requisite pam_unix.so\nauth required pam_latch.so\naccount required pam_unix.so\n":          "",
	} {
		s, _ := one(t, text)
		c, err := s.Plan("door", installer.Options{})
		if says == "" && err != nil || says != "" && (!errors.Is(err, installer.ErrRefused) || !strings.Contains(err.Error(), "does not work") || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v %v", text, err, c.Diff())
		}
	}
}

// TestCopiesOfTheVendorGo installs into a copy of the vendor's file twice, with other options, and takes it out.
func TestCopiesOfTheVendorGo(t *testing.T) {
	s, path := one(t, "")
	must(t, os.Remove(path))
	write(t, filepath.Join(s.PamDirs[1], "door"), stack)
	before := snapshot(t, s)
	for _, operation := range []string{"", "front", "back"} {
		options := map[string]installer.Options{"door": {Operation: operation}}
		plans, err := s.PlanAll(options)
		must(t, err)
		apply(t, s, plans, options)
		if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "pam_latch.so") != 2 || !strings.Contains(string(text), operation) {
			t.Errorf("%v %q", err, text)
		}
	}
	remove(t, s)
	same(t, "uninstalling", before, snapshot(t, s))
}

// TestAFileThatChangedMeanwhileStays plans, lets somebody else write, and then makes the change.
func TestAFileThatChangedMeanwhileStays(t *testing.T) {
	s, path := one(t, stack)
	plans, options := plan(t, s, "door")
	write(t, path, "# mine\n"+stack)
	before := snapshot(t, s)
	if err := s.Prepare(installer.Pending{}, plans); err == nil || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("preparing: %v", err)
	}
	if err := s.Apply(plans[0], options["door"], time.Now()); err == nil || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("applying: %v", err)
	}
	same(t, "installing", before, snapshot(t, s))
	install(t, s, "door")
	files, err := s.PlanRemoval("door")
	must(t, err)
	write(t, path, "# mine\n"+stack)
	if err := s.Undo(files[0]); err == nil || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("undoing: %v", err)
	}
	same(t, "uninstalling", before, snapshot(t, s))
	must(t, os.Remove(path))
	if err := s.Apply(plans[0], options["door"], time.Now()); err == nil {
		t.Error("a file that is gone was written")
	}
}

// TestIncludedFilesComeFirst installs two services at once, of which one includes the other and comes first by its name.
func TestIncludedFilesComeFirst(t *testing.T) {
	s, _ := one(t, stack)
	outer := filepath.Join(s.PamDirs[0], "above")
	write(t, outer, "auth include door\naccount include door\n")
	install(t, s, "above", "door")
	if text, err := os.ReadFile(outer); err != nil || strings.Contains(string(text), "pam_latch.so") {
		t.Errorf("a second line: %v %q", err, text)
	}
	if !s.Asks("above") {
		t.Error("it does not ask")
	}
}

// TestFilesKeepTheirAttributes installs into a file with an attribute and a group of its own, and takes the line out again.
func TestFilesKeepTheirAttributes(t *testing.T) {
	s, path := one(t, stack)
	const name, value = "user.origin", "the ward"
	if err := syscall.Setxattr(path, name, []byte(value), 0); errors.Is(err, syscall.ENOTSUP) {
		t.Skip("this file system has no extended attributes")
	} else if err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, -1, 4321); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		got := make([]byte, 64)
		n, err := syscall.Getxattr(path, name, got)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(got[:n]) != value || owner(info) != 4321 {
			t.Errorf("%s: %q %v %v", when, got[:max(n, 0)], err, statErr)
		}
	}
	install(t, s, "door")
	check("installed")
	remove(t, s)
	check("uninstalled")
}

// TestNamesAreReadInLowerCase resolves service names as libpam does.
func TestNamesAreReadInLowerCase(t *testing.T) {
	s, _ := one(t, stack)
	write(t, filepath.Join(s.PamDirs[0], "Gate"), stack)
	write(t, filepath.Join(s.PamDirs[0], "Part"), stack)
	write(t, filepath.Join(s.PamDirs[0], "hatch"), "auth include Part\naccount include Part\n")
	for service, want := range map[string]string{"door": "door", "Door": "door", "DOOR": "door", "Part": "Part", "Gate": "", "Nowhere": "", "nowhere": "nowhere"} {
		name, note, err := s.Resolve(service)
		if (err != nil) != (want == "") || want != "" && (name != want || (note != "") != (name != service)) {
			t.Errorf("%s: %q %q %v", service, name, note, err)
		}
	}
}
