// Package packages proves the packages of Debian and of Fedora that `make deb` and `make rpm` make: what is in them, and
// what installing, upgrading and removing them does to a minimal Debian in a folder, where a real su asks. It runs on a
// machine of the tests' own (fixture.Isolate). Everything here needs root.
package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

const (
	ana    = "ana"
	anaID  = "7401"
	later  = ".1" // behind a version makes a higher one
	pamDir = "/etc/pam.d"
)

// names are the packages in the order of their dependence.
var names = []string{"latch", "libpam-latch", "latch-server"}

// bed is what all tests share.
var bed struct {
	root    string // of the work tree
	version string
	minimal string // the directory of a minimal Debian, which no test writes to
	scratch string // on the machine of the tests' own
	server  *fixture.Server
	conf    fixture.Conf
}

func TestMain(m *testing.M) {
	os.Exit(fixture.Main(m, func() { _ = bed.server.Stop() }, locate, setUp))
}

func locate() (err error) {
	if bed.root, err = fixture.Root(); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(bed.root, "VERSION"))
	if err != nil {
		return err
	}
	bed.version = strings.TrimSpace(string(text))
	bed.minimal, err = filepath.EvalSymlinks(filepath.Join(bed.root, "build", "test", "minimal"))
	return err
}

// made is where the packages of a version lie: those of the higher one apart, so that nobody installs them.
func made(version string) string {
	if version == bed.version {
		return filepath.Join(bed.root, "build", "packages")
	}
	return filepath.Join(bed.root, "build", "test", "packages")
}

func setUp() (err error) {
	if bed.scratch, err = os.MkdirTemp("/run", "packages-"); err != nil {
		return err
	}
	artefacts, err := fixture.Built()
	if err != nil {
		return err
	}
	if bed.server, err = fixture.StartServer(artefacts.Server, bed.scratch+"/data"); err != nil {
		return err
	}
	app, err := bed.server.AddApp("machine")
	if err != nil {
		return err
	}
	bed.conf = fixture.NewConf(bed.server, app).With("ca_file", "/etc/latch/ca.pem")
	return bed.server.AddUser(ana)
}

// tool runs a program of this machine and returns all that it wrote, which an error carries too.
func tool(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func mustTool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := tool(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
