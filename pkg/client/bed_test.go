package client

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// timeout is how far away the deadline of a call seems to be: less than what a server may ask for in Retry-After. No test
// waits for it.
const timeout = 10 * time.Minute

// until is the context of a call whose deadline passes with an event, not with the clock: nothing depends on how fast a
// machine is. Without an event it never passes, and a call that hangs ends with the test's own time.
type until struct {
	context.Context
	end   time.Time
	event <-chan struct{}
}

func deadlineAt(event <-chan struct{}) until {
	return until{context.Background(), time.Now().Add(timeout), event}
}

func (u until) Deadline() (time.Time, bool) { return u.end, true }
func (u until) Done() <-chan struct{}       { return u.event }

func (u until) Err() error {
	select {
	case <-u.event:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// untilSilent is the context of a call whose deadline passes after an event, when the client has waited without success since. Only
// then is it the server that owes an answer.
func untilSilent(t *testing.T, c *Client, event <-chan struct{}) until {
	t.Helper()
	const waits = 100 * time.Millisecond // what counts in two steps, the second of which began after the event
	ctx := t.Context()
	silent, happen := newEvent()
	go func() {
		select {
		case <-event:
		case <-ctx.Done():
			return
		}
		for before := c.meter.Load().Waited(); c.meter.Load().Waited() <= before+waits && ctx.Err() == nil; {
			time.Sleep(time.Millisecond)
		}
		happen()
	}()
	return deadlineAt(silent)
}

// newEvent returns an event and what makes it happen; the calls after the first do nothing.
func newEvent() (event <-chan struct{}, happen func()) {
	c := make(chan struct{})
	return c, sync.OnceFunc(func() { close(c) })
}

func TestMain(m *testing.M) {
	flag.Parse()
	if child, asked := os.LookupEnv(childVariable); asked {
		os.Exit(children[child]())
	}
	grace = time.Hour // however slow the machine is, what ends at its deadline has come back
	// These tests wait more than they work.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// childVariable names the function that this test binary runs in place of its tests, in a process of its own whose
// environment or limits a test has spoiled.
const childVariable = "LATCH_TEST_CHILD"

var children = map[string]func() int{"environment": environmentChild, "descriptors": descriptorsChild}

// runChild returns what the child prints. args reach it as further variables.
func runChild(t *testing.T, name string, variables ...string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(variables, childVariable+"="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child %s: %v: %s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

func start(t testing.TB, fault string) *latchtest.Server {
	t.Helper()
	s, err := latchtest.New(fault)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// caFile writes a file as ca_file wants it.
func caFile(t testing.TB, pem []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func credentials() api.Credentials {
	return api.Credentials{ID: latchtest.AppID, Secret: latchtest.Secret}
}

func optionsFor(t testing.TB, s *latchtest.Server) Options {
	t.Helper()
	return Options{Host: s.URL, Credentials: credentials(), APIVersion: "1.3", Retries: 2, CAFile: caFile(t, s.CA), ReadCAFile: securefile.Read}
}

func clientOf(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clientFor(t testing.TB, s *latchtest.Server) *Client {
	t.Helper()
	return clientOf(t, optionsFor(t, s))
}

// ask asks as a login without a code does.
func ask(c *Client) (Status, error) { return askIn(deadlineAt(nil), c) }

func askIn(ctx context.Context, c *Client) (Status, error) {
	return c.Status(ctx, Query{AccountID: latchtest.AccountID, NoOTP: true})
}

// word is an answer in one word: open, closed, or the kind of the failure.
func word(s Status, err error) string {
	switch {
	case err != nil && s.Open:
		return fmt.Sprintf("open with the error %v", err)
	case err != nil:
		return strings.ReplaceAll(KindOf(err).String(), " ", "-")
	case s.Open:
		return "open"
	}
	return "closed"
}
