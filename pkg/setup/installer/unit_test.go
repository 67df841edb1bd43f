package installer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/units"
)

// confined is a machine whose polkit runs PAM in the unit of polkit 128.
func confined(t *testing.T) (s installer.System, dropIn string) {
	t.Helper()
	s, _ = one(t, stack)
	s.Root = t.TempDir()
	unit, err := os.ReadFile("../units/testdata/polkit-128/usr/lib/systemd/system/polkit-agent-helper@.service")
	must(t, err)
	for _, dir := range []string{"/usr/lib/systemd/system", "/etc/systemd/system"} {
		must(t, os.MkdirAll(s.Root+dir, 0o755))
	}
	// The drop-in makes the directories that it names, so they are the test's own.
	text := strings.ReplaceAll(string(unit), "ProtectSystem=strict\n", "")
	write(t, s.Root+"/usr/lib/systemd/system/polkit-agent-helper@.service", text)
	write(t, filepath.Join(s.PamDirs[0], "polkit-1"), stack)
	return s, s.Root + units.DropIn("polkit-agent-helper@.service")
}

// TestUnitThatConfines installs where a unit keeps latch-auth from the network, and takes it back.
func TestUnitThatConfines(t *testing.T) {
	s, dropIn := confined(t)
	before := snapshot(t, s)
	if problems, err := s.UnitProblems("polkit-1"); err != nil || len(problems) != 2 || !problems[0].Install || !strings.Contains(problems[0].Text, "PrivateNetwork=yes") {
		t.Errorf("before: %v %v", problems, err)
	}
	install(t, s, "polkit-1")
	text, err := os.ReadFile(dropIn)
	if err != nil || !strings.Contains(string(text), "PrivateNetwork=no\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n") {
		t.Errorf("%v %s", err, text)
	}
	if problems, err := s.UnitProblems("polkit-1"); err != nil || len(problems) > 0 {
		t.Errorf("installed: %v %v", problems, err)
	}
	if plans, _ := plan(t, s, "polkit-1"); len(plans) != 2 || !plans[0].None() || !plans[1].None() {
		t.Errorf("a second time: %v", plans)
	}
	remove(t, s)
	same(t, "uninstalling", before, snapshot(t, s))
	if _, err := os.Stat(filepath.Dir(dropIn)); err == nil {
		t.Error("the drop-in's directory stays")
	}
	if plans, _ := plan(t, s, "door"); len(plans) != 1 {
		t.Errorf("a service without a unit: %v", plans)
	}
}

// TestUnitThatNoDropInOpens refuses what only an administrator can change.
func TestUnitThatNoDropInOpens(t *testing.T) {
	for text, says := range map[string]string{
		"IPAddressDeny=any":      "IPAddressDeny=any",
		"PrivateNetwork=yes":     "zz.conf) leaves it no network: change it there",
		"InaccessiblePaths=/etc": "hides /etc/latch",
	} {
		s, dropIn := confined(t)
		must(t, os.MkdirAll(filepath.Dir(dropIn), 0o755))
		write(t, filepath.Join(filepath.Dir(dropIn), "zz.conf"), "[Service]\n"+text+"\n")
		if _, err := s.PlanAll(map[string]installer.Options{"polkit-1": {}}); !errors.Is(err, installer.ErrRefused) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
		if problems, err := s.UnitProblems("polkit-1"); err != nil || len(problems) == 0 || problems[0].Install {
			t.Errorf("%s: %v %v", text, problems, err)
		}
	}
}
