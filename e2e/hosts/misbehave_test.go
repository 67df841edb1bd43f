package hosts

import (
	"crypto/rand"
	"io"
	"os"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the misbehaving authenticator: a copy of it stands at authPath, and behaviourFile says how it is
// to behave. A script would not do, as the module runs its authenticator by descriptor.
const behaviourFile = "/run/misbehaviour"

const (
	hold    = "\x00\x00\x00\x02\x81\x05"
	success = "\x00\x00\x00\x02\x86\x01"
)

var behaviours = map[string]func(module *os.File){
	"ends at once": func(*os.File) {},
	"crashes": func(*os.File) {
		syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	},
	"crashes after HELLO": func(module *os.File) {
		module.Read(make([]byte, 16))
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	},
	"is silent":                func(*os.File) { time.Sleep(time.Minute) },
	"is silent after HOLD":     says("\x00\x00\x00\x02\x81\x01", time.Minute),
	"decides too late":         func(m *os.File) { says("\x00\x00\x00\x02\x81\x01", 1500*time.Millisecond)(m); says(success, 0)(m) },
	"sends garbage":            func(m *os.File) { io.Copy(m, rand.Reader) },
	"sends zeros":              func(m *os.File) { m.Write(make([]byte, 1<<20)) },
	"sends half a verdict":     says(hold+success[:5], 0),
	"sends verdict 0":          says(hold+"\x00\x00\x00\x02\x86\x00", 0),
	"sends verdict 4":          says(hold+"\x00\x00\x00\x02\x86\x04", 0),
	"sends two verdicts":       says(hold+success+success, 0),
	"sends a verdict and more": says(hold+success+"x", 0),
	"sends a long verdict":     says(hold+"\x00\x00\x00\x03\x86\x01\x01", 0),
	"sends an endless frame":   says(hold+"\x7f\xff\xff\xff\x86\x01", 0),
	"sends HOLD 0":             says("\x00\x00\x00\x02\x81\x00"+success, 0),
	"sends HOLD twice":         says(hold+hold+success, 0),
	// One that ended before HELLO was sent would be one that is gone.
	"is a good one": func(m *os.File) { m.Read(make([]byte, 64<<10)); says(hold+success, 0)(m) },
}

func says(text string, pause time.Duration) func(*os.File) {
	return func(module *os.File) {
		io.WriteString(module, text)
		time.Sleep(pause)
	}
}

// misbehave takes over when this process was started as the authenticator.
func misbehave() {
	if exe, err := os.Readlink("/proc/self/exe"); err != nil || exe != authPath {
		return
	}
	name, err := os.ReadFile(behaviourFile)
	if err != nil {
		os.Exit(1)
	}
	behaviours[string(name)](os.NewFile(3, "module"))
	os.Exit(0)
}

func impostor(t *testing.T, behaviour string) {
	t.Helper()
	replace(t, authPath, func() error {
		text, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			return err
		}
		return os.WriteFile(authPath, text, 0o755)
	})
	if err := os.WriteFile(behaviourFile, []byte(behaviour), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMisbehavingAuthenticator(t *testing.T) {
	configure(t, mostOpen())
	for behaviour := range behaviours {
		t.Run(behaviour, func(t *testing.T) {
			impostor(t, behaviour)
			good := behaviour == "is a good one" // the control: it is really this program that the module runs
			everybody(t, good)
		})
	}
}
