package testbed

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	insideVariable = "TESTBED_INSIDE"
	insideExit     = 42
)

// marks are files that the isolated machine makes in places that belong to the machine around it.
var marks = []string{"/etc/testbed-mark", "/usr/testbed-mark", "/var/testbed-mark", "/run/testbed-mark", "/dev/testbed-mark"}

func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) != "" {
		os.Exit(Isolate(inside))
	}
	os.Exit(m.Run())
}

func inside() int {
	for _, mark := range marks {
		if err := os.WriteFile(mark, nil, 0o644); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if dir := os.TempDir(); !strings.HasPrefix(dir, "/run/") {
		fmt.Printf("temporary files outlive the machine, in %s\n", dir)
		return 1
	}
	u, err := AddUser("testbed-user", 5001)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	id := exec.Command("id", "-un")
	id.SysProcAttr = u.Process()
	name, err := id.Output()
	interfaces, _ := net.Interfaces()
	fmt.Printf("user %s, error %v, pid 1 is ours %v, interfaces %d\n", strings.TrimSpace(string(name)), err, os.Getppid() == 1, len(interfaces))
	// The caller reads our output until its end: it would wait for this one if it did not die with the machine.
	orphan := exec.Command("sleep", "1000")
	orphan.Stdout = os.Stdout
	if err := orphan.Start(); err != nil {
		fmt.Println(err)
	}
	return insideExit
}

func TestIsolateTouchesNothingOutside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal(ErrNotRoot)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != insideExit {
		t.Fatalf("exit %d, want %d: %s", code, insideExit, out)
	}
	if want := "user testbed-user, error <nil>, pid 1 is ours true, interfaces 1\n"; string(out) != want {
		t.Errorf("inside: %q, want %q", out, want)
	}
	for _, mark := range marks {
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%s exists outside", mark)
		}
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil || strings.Contains(string(passwd), "testbed-user") {
		t.Errorf("the user exists outside (%v)", err)
	}
}
