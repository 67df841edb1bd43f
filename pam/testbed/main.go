package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Main runs a package's tests (m is its *testing.M) on a machine of their own (Isolate): the steps first, then the tests,
// then end, which may be nil. It returns the exit code for os.Exit.
func Main(m interface{ Run() int }, end func(), steps ...func() error) int {
	return Isolate(func() int {
		for _, step := range steps {
			if err := step(); err != nil {
				fmt.Fprintf(os.Stderr, "setting up: %v\n", err)
				return 1
			}
		}
		if end != nil {
			defer end()
		}
		return m.Run()
	})
}

// MakeInstall installs the product as an administrator does, with further variables for make, as DESTDIR=/elsewhere.
func MakeInstall(variables ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	_, err = run(exec.Command("make", append([]string{"-s", "-C", root, "install"}, variables...)...))
	return err
}

// Su has nobody become user by su with a password. It says whether a command ran then.
func Su(user, password string) bool {
	cmd := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "su", user, "-c", "echo inside")
	cmd.Stdin = strings.NewReader(password + "\n")
	out, _ := cmd.Output()
	return strings.Contains(string(out), "inside")
}
