package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// TestLockers: a screen locker cannot read latch.conf, so the names in it stand once more in a file for everybody.
func TestLockers(t *testing.T) {
	if !ScreenLocker("swaylock") || ScreenLocker("sudo") || ScreenLocker("") {
		t.Error("the built-in list is another one")
	}
	c := parsed(t, required+"locker_services = mylock, yourlock")
	c.Path = filepath.Join(t.TempDir(), "latch.conf")
	expect := func(changes bool, want ...string) {
		t.Helper()
		if changed, err := c.PublishLockers(); changed != changes || err != nil {
			t.Errorf("changed %v, %v", changed, err)
		}
		if got, err := ReadLockers(c.Path); !slices.Equal(got, want) || err != nil {
			t.Errorf("the file says %q, %v; want %q", got, err, want)
		}
	}
	expect(true, "mylock", "yourlock")
	if info, err := os.Stat(LockersFile(c.Path)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	expect(false, "mylock", "yourlock")
	c.LockerServices = []string{"mylock"}
	expect(true, "mylock")
	c.LockerServices = nil
	expect(true)
	expect(false)
	if err := securefile.Write(LockersFile(c.Path), []byte("mylock\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadLockers(c.Path); err == nil || len(got) > 0 {
		t.Errorf("a file that others can write says %q", got)
	}
}
