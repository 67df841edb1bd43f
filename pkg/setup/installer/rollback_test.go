package installer_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/setup/installer"
)

// change makes a change that waits to be confirmed.
func change(t *testing.T, s installer.System, operation string) {
	t.Helper()
	options := map[string]installer.Options{"door": {Operation: operation}}
	plans, err := s.PlanAll(options)
	must(t, err)
	must(t, s.Prepare(installer.Pending{At: time.Now(), Due: time.Now().Add(time.Hour)}, plans))
	for _, c := range plans {
		must(t, s.Apply(c, options[c.Service], time.Now()))
	}
}

// TestRollbackKnowsWhatWasBefore undoes a second change, and later all of the first.
func TestRollbackKnowsWhatWasBefore(t *testing.T) {
	s, path := one(t, stack)
	shipped := snapshot(t, s)
	install(t, s, "door")
	before := snapshot(t, s)
	change(t, s, "front")
	done, err := s.Rollback()
	if err != nil || len(done) != 1 {
		t.Errorf("%q %v", done, err)
	}
	same(t, "rolling back", before, snapshot(t, s))
	if installed, err := s.Installed(); err != nil || installed["door"] != (installer.Options{}) {
		t.Errorf("options of what was undone: %v %v", installed, err)
	}
	if p, err := s.Pending(); p != nil || err != nil {
		t.Errorf("it waits still: %v %v", p, err)
	}

	// A change that was cut off before it was written takes nothing of the first one away.
	plans, err := s.PlanAll(map[string]installer.Options{"door": {Operation: "front"}})
	must(t, err)
	must(t, s.Prepare(installer.Pending{At: time.Now()}, plans))
	if _, err := s.Rollback(); err != nil {
		t.Fatal(err)
	}
	same(t, "rolling back what was not written", before, snapshot(t, s))

	// Somebody else edits the file meanwhile: our lines go, and drift tells that it asked before.
	change(t, s, "front")
	text, err := os.ReadFile(path)
	must(t, err)
	write(t, path, "# mine\n"+string(text))
	if _, err := s.Rollback(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "# mine\n"+stack {
		t.Errorf("%v %q", err, text)
	}
	if gone, err := s.Drifted(); err != nil || len(gone["door"]) != 2 {
		t.Errorf("drift: %v %v", gone, err)
	}
	write(t, path, stack)
	remove(t, s)
	same(t, "uninstalling", shipped, snapshot(t, s))

	// A package that was removed meanwhile keeps nothing waiting.
	change(t, s, "front")
	must(t, os.Remove(path))
	if _, err := s.Rollback(); err != nil {
		t.Error(err)
	}
	if p, err := s.Pending(); p != nil || err != nil {
		t.Errorf("it waits still: %v %v", p, err)
	}
}

// TestTimeLeft is the kernel's as long as it runs, and the clock's after a reboot.
func TestTimeLeft(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p := installer.Pending{At: at, Due: at.Add(5 * time.Minute), Wait: 5 * time.Minute, Made: installer.Moment{Boot: "a", Since: time.Hour}}
	for name, c := range map[string]struct {
		now    time.Time
		moment installer.Moment
		want   time.Duration
	}{
		"two minutes later":              {at.Add(2 * time.Minute), installer.Moment{Boot: "a", Since: time.Hour + 2*time.Minute}, 3 * time.Minute},
		"the clock was set back":         {at.Add(-time.Hour), installer.Moment{Boot: "a", Since: time.Hour + 2*time.Minute}, 3 * time.Minute},
		"the clock was set ahead":        {at.Add(time.Hour), installer.Moment{Boot: "a", Since: time.Hour + 2*time.Minute}, 3 * time.Minute},
		"after a reboot":                 {at.Add(2 * time.Minute), installer.Moment{Boot: "b", Since: time.Minute}, 3 * time.Minute},
		"after a reboot without a clock": {time.Unix(0, 0), installer.Moment{Boot: "b", Since: time.Minute}, 0},
	} {
		if left := p.Left(c.now, c.moment); left != c.want {
			t.Errorf("%s: %v, want %v", name, left, c.want)
		}
	}
}

// TestSessionOfThisProcess takes whatever login the test runs from: it began before now.
func TestSessionOfThisProcess(t *testing.T) {
	now, err := installer.ThisMoment()
	if err != nil || strings.TrimSpace(now.Boot) == "" {
		t.Fatalf("%+v %v", now, err)
	}
	if began, err := installer.SessionStart(os.Getpid()); err == nil && began > now.Since {
		t.Errorf("it began %v after the boot, and it is %v", began, now.Since)
	}
}

// TestChangeThatCannotBeWrittenLeavesNothing prepares a change of a file in a directory that a link leads to, which is not
// written through: no change is left that looks interrupted.
func TestChangeThatCannotBeWrittenLeavesNothing(t *testing.T) {
	s, _ := one(t, stack)
	link := s.Root + "/link"
	if err := os.Symlink(s.PamDirs[0], link); err != nil {
		t.Fatal(err)
	}
	s.PamDirs[0] = link
	c, err := s.Plan("door", installer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(installer.Pending{At: time.Now()}, []installer.Change{c}); err == nil {
		t.Error("it is prepared")
	}
	if p, err := s.Pending(); p != nil || err != nil {
		t.Errorf("left behind: %v %v", p, err)
	}
}
