package otpstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
)

// playVariable makes this test binary a login in a process of its own: it says "ready", waits for the end of its input and tries the code.
const playVariable = "OTPSTORE_TEST_PLAY"

// sample returns all for `make test-all`, and some otherwise.
func sample(all, some int) int {
	if os.Getenv("LATCH_TEST_ALL") != "" {
		return all
	}
	return some
}

// start is the instant that the clock of a bed starts at.
var start = time.Unix(1_800_000_000, 0)

func TestMain(m *testing.M) {
	if play := os.Getenv(playVariable); play != "" {
		os.Exit(login(strings.Fields(play)))
	}
	if play := os.Getenv(actVariable); play != "" {
		os.Exit(act(strings.Fields(play)))
	}
	os.Exit(m.Run())
}

// login tries codes for the instants from args[1] on, args[2] steps of 30 s, and says which were right: DIR FIRST COUNT.
func login(args []string) int {
	first, err := strconv.ParseInt(args[1], 10, 64)
	count, err2 := strconv.Atoi(args[2])
	if err := errors.Join(err, err2); err != nil {
		return 2
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	for i := range int64(count) {
		step := first + i
		s := at(args[0], time.Unix(step*30, 0))
		code, err := otp.Code(seed, step)
		if err != nil {
			return 2
		}
		used, err := s.Use(context.Background(), Try{User: "ana", UID: 1000, Typed: code})
		if err != nil {
			fmt.Println("error", err)
			return 1
		}
		if used.Result == RightCode {
			fmt.Println("right", step)
		}
	}
	return 0
}

// seed is RFC 6238's.
const seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// at is a store whose clock stands.
func at(dir string, now time.Time) Store {
	return Store{Dir: filepath.Join(dir, "otp"), KeyFile: filepath.Join(dir, "otp.key"), Now: func() time.Time { return now }}
}

// bed is a store with a clock that the test moves.
type bed struct {
	*testing.T
	Store
	dir string
	now time.Time
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{T: t, dir: t.TempDir(), now: start}
	b.must(os.Chmod(b.dir, 0o700))
	b.Store = at(b.dir, start)
	b.Store.Now = func() time.Time { return b.now }
	if created, err := b.CreateKey(t.Context()); err != nil || !created {
		t.Fatalf("key: %v, %v", created, err)
	}
	return b
}

func (b *bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// totp is a standard authenticator.
func totp() Authenticator {
	return Authenticator{Parameters: otp.Standard(), Secret: seed, Window: 1, Enrolled: start.Unix()}
}

func hotp() Authenticator {
	return Authenticator{Parameters: otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6}, Secret: seed, Window: 10, Enrolled: start.Unix()}
}

func (b *bed) enrol(a Authenticator) {
	b.Helper()
	b.must(b.Enrol(b.Context(), "ana", 1000, a))
}

// code is what the phone shows some steps from now.
func (b *bed) code(steps int64) string {
	b.Helper()
	c, err := otp.Code(seed, b.now.Unix()/30+steps)
	b.must(err)
	return c
}

// uses tries a code from an address and wants a result.
func (b *bed) uses(address, typed string, want Result) Used {
	b.Helper()
	used, err := b.Use(b.Context(), Try{User: "ana", UID: 1000, Address: address, Typed: typed})
	if err != nil || used.Result != want {
		b.Errorf("%q from %q: %d, %v; want %d", typed, address, used.Result, err, want)
	}
	return used
}

// process is a login in a process of its own that waits for begin.
type process struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines *bufio.Reader
}

func (b *bed) process(first int64, count int) *process {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", playVariable, b.dir, first, count))
	in, err := cmd.StdinPipe()
	b.must(err)
	out, err := cmd.StdoutPipe()
	b.must(err)
	b.must(cmd.Start())
	p := &process{cmd, in, bufio.NewReader(out)}
	if ready, err := p.lines.ReadString('\n'); err != nil || ready != "ready\n" {
		b.Fatalf("%q, %v", ready, err)
	}
	return p
}

func (p *process) begin() { p.in.Close() }

// end waits for the end of the process and returns what it has printed since the last line that was read.
func (p *process) end() string {
	var text strings.Builder
	_, _ = p.lines.WriteTo(&text)
	_ = p.cmd.Wait()
	return text.String()
}

// killAfter kills the process when it has printed n lines, in the middle of what it does next, and returns all that it printed.
func (p *process) killAfter(n int) string {
	var text strings.Builder
	for range n {
		line, _ := p.lines.ReadString('\n')
		text.WriteString(line)
	}
	_ = p.cmd.Process.Kill()
	return text.String() + p.end()
}
