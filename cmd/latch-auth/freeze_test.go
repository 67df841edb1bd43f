package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// attackerID is a user who owns the cgroup that latch-auth runs in, as the caller of a set-uid host may.
const attackerID = 4242

// attacker is a shell of that user.
type attacker struct {
	t   *testing.T
	dir string
	in  io.Writer
	out *bufio.Reader
}

func newAttacker(t *testing.T) *attacker {
	t.Helper()
	dir, err := fixture.DelegateCgroup(attackerID)
	must(t, err)
	cmd := exec.Command("/bin/sh", "-c", `while read -r line; do eval "$line" && echo yes || echo no; done`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: attackerID, Gid: attackerID}}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	a := &attacker{t, dir, in, bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
		removeCgroup(t, dir+"/ice")
		removeCgroup(t, dir)
	})
	a.does("mkdir %s/ice && echo threaded >%[1]s/ice/cgroup.type && echo 1 >%[1]s/ice/cgroup.freeze", dir)
	return a
}

// removeCgroup waits until the last process has left.
func removeCgroup(t *testing.T, dir string) {
	t.Helper()
	await(t, "an empty cgroup", func() bool { return ignoreMissing(syscall.Rmdir(dir)) == nil })
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// tries has the attacker run a line of shell and reports whether it succeeded.
func (a *attacker) tries(format string, args ...any) bool {
	a.t.Helper()
	_, err := fmt.Fprintf(a.in, format+"\n", args...)
	must(a.t, err)
	answer, err := a.out.ReadString('\n')
	must(a.t, err)
	return answer == "yes\n"
}

func (a *attacker) does(format string, args ...any) {
	a.t.Helper()
	if !a.tries(format, args...) {
		a.t.Fatalf("the attacker cannot do this: "+format, args...)
	}
}

// freeze stops threads, and returns when the kernel says that they stand still. It reports whether there were any.
func (a *attacker) freeze(threads []string) bool {
	a.t.Helper()
	any := false
	for _, id := range threads {
		any = a.tries("echo %s >%s/ice/cgroup.threads", id, a.dir) || any
	}
	if any {
		await(a.t, "a frozen thread", func() bool {
			events, err := os.ReadFile(a.dir + "/ice/cgroup.events")
			return err == nil && strings.Contains(string(events), "frozen 1")
		})
	}
	return any
}

func (a *attacker) thaw() { a.does("echo 0 >%s/ice/cgroup.freeze", a.dir) }

// blocked is a place where latch-auth waits. reached is closed when it has come there, and it is let go by release.
type blocked struct {
	reached, released chan struct{}
	reach, release    func()
	accepted          atomic.Int32 // connections, those included that fill a queue
}

func newBlocked() *blocked {
	b := &blocked{reached: make(chan struct{}), released: make(chan struct{})}
	b.reach, b.release = sync.OnceFunc(func() { close(b.reached) }), sync.OnceFunc(func() { close(b.released) })
	return b
}

func (b *blocked) hold() {
	b.reach()
	<-b.released
}

// names holds the places where the name server's answers about some hosts are held.
var names sync.Map

// nameServer makes the machine ask a name server that answers every question of type A with 127.0.0.1, and others with nothing.
func nameServer(t *testing.T) {
	t.Helper()
	must(t, serveNames())
}

var serveNames = sync.OnceValue(func() error {
	if err := ignoreMissing(os.Remove("/etc/resolv.conf")); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/resolv.conf", []byte("nameserver 127.0.0.53\n"), 0o644); err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", "127.0.0.53:53")
	if err != nil {
		return err
	}
	go func() {
		for {
			query := make([]byte, 512)
			n, from, err := udp.ReadFrom(query)
			if err != nil {
				return
			}
			go func() { _, _ = udp.WriteTo(answerOf(query[:n]), from) }()
		}
	}()
	return nil
})

// answerOf answers a query (RFC 1035, section 4), once that is let go.
func answerOf(query []byte) []byte {
	name, at := string(query[13:13+int(query[12])]), 12
	for query[at] != 0 {
		at += 1 + int(query[at])
	}
	if held, known := names.Load(name); known {
		held.(*blocked).hold()
	}
	answer := append(query[:2:2], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	answer = append(answer, query[12:at+5]...)
	if isA := query[at+2] == 1; isA {
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return answer
}

// relayTo forwards connections to a server, and holds what place says. It returns its own port.
func relayTo(t *testing.T, server, place string, b *blocked) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	backlog := 16
	if place == "connect" {
		backlog = 0
	}
	must(t, errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, backlog)))
	file := os.NewFile(uintptr(fd), "listener")
	listener, err := net.FileListener(file)
	must(t, err)
	file.Close()
	t.Cleanup(func() { listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if place == "connect" {
		fill(t, listener, port, b)
	}
	go func() {
		if place == "connect" {
			<-b.released
		}
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			b.accepted.Add(1)
			go forward(c, server, place, b)
		}
	}()
	return port
}

// fill takes all places of a queue until latch-auth has come behind them and is let go.
func fill(t *testing.T, l net.Listener, port string, b *blocked) {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	number, err := strconv.Atoi(port)
	must(t, err)
	pattern := fmt.Sprintf(":%04X 02 ", number) // SYN_SENT
	go func() {
		for {
			table, err := os.ReadFile("/proc/net/tcp")
			if err != nil || strings.Contains(string(table), pattern) {
				b.reach()
				return
			}
			select {
			case <-b.released:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
}

func forward(c net.Conn, server, place string, b *blocked) {
	defer c.Close()
	s, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer s.Close()
	go func() {
		buffer := make([]byte, 16<<10)
		for first := true; ; first = false {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			if first && place == "handshake" {
				b.hold()
			}
			if _, err := s.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 16<<10)
	for first := true; ; first = false {
		n, err := s.Read(buffer)
		if err != nil {
			return
		}
		if !first && place == "answer" {
			b.hold()
		}
		if _, err := c.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// raid is one login of ana's, whose latch is closed, at a host whose caller owns the cgroup.
type raid struct {
	*attacker
	place   string
	talk    *talk
	begun   time.Time // when the query began, as far as the network shows
	b       *blocked
	starved func() bool
}

// watchOver returns a function that reports whether this process was kept from running since: it may then have delivered the
// server's answer too late.
func watchOver(t *testing.T) (starved func() bool) {
	const pause, limit = 5 * time.Millisecond, 50 * time.Millisecond
	ctx := t.Context()
	var late atomic.Bool
	go func() {
		for begun := time.Now(); ctx.Err() == nil; begun = time.Now() {
			time.Sleep(pause)
			if time.Since(begun) > limit {
				late.Store(true)
			}
		}
	}()
	return late.Load
}

const raidTimeout = 2 * time.Second

// newRaid returns when latch-auth waits at the place.
func newRaid(t *testing.T, place string) *raid {
	t.Helper()
	r := &raid{attacker: newAttacker(t), place: place, b: newBlocked(), starved: watchOver(t)}
	t.Cleanup(r.b.release)
	s := newSite(t)
	server := s.serve("none, closed")
	if name := filepath.Base(filepath.Dir(s.conf)); place == "name" {
		names.Store(name, r.b)
	}
	hosts, argv := s.hostsOf(server)
	s.set("latch_host", strings.TrimSuffix(s.settings["latch_host"], server.URL.Port())+relayTo(t, server.URL.Host, place, r.b))
	s.set("timeout", strconv.Itoa(int(raidTimeout/time.Second)))
	if place == "hosts" {
		holdFile(t, hosts, r.b)
		r.talk = start(t, nil, argv...)
	} else {
		r.talk = begin(t, nil)
	}
	must(t, r.talk.module.SetDeadline(time.Now().Add(3*patience)))
	must(t, os.WriteFile(filepath.Join(r.dir, "cgroup.procs"), []byte(strconv.Itoa(r.talk.cmd.Process.Pid)), 0o644))
	r.talk.greet(s.hello(nil))
	r.begun = time.Now()
	select {
	case <-r.b.reached:
	case <-time.After(patience):
		t.Fatalf("latch-auth does not wait at %q; log: %q", place, r.talk.log())
	}
	return r
}

// holdFile keeps a file from being opened.
func holdFile(t *testing.T, path string, b *blocked) {
	t.Helper()
	held, err := fixture.HoldFile(path)
	must(t, err)
	go func() {
		for !held.Wanted() {
			select {
			case <-b.released:
				held.Release()
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
		b.hold()
		held.Release()
	}()
}

// threads are the ids of latch-auth's threads.
func (r *raid) threads() []string {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.talk.cmd.Process.Pid))
	must(r.t, err)
	var ids []string
	for _, entry := range all {
		ids = append(ids, entry.Name())
	}
	return ids
}

// mostThreads is more than latch-auth has.
const mostThreads = 8

// TestFrozenThreads: an unprivileged user freezes one thread of latch-auth, or all, wherever it waits, has the server's answer
// arrive, and thaws around the deadline. The latch is closed, so nothing that comes of it may open.
func TestFrozenThreads(t *testing.T) {
	t.Parallel()
	nameServer(t)
	places := []string{"hosts", "name", "connect", "handshake", "answer"}
	t.Run("controls", func(t *testing.T) {
		for _, place := range places[1:] { // of files see TestSlowFiles
			t.Run(place, func(t *testing.T) {
				t.Parallel()
				r := newRaid(t, place)
				// A busy machine may keep latch-auth from running for as long as its caller could.
				if v := r.talk.verdict(); v != relay.Success && !strings.Contains(r.talk.log()[0], "this process was held up for") {
					t.Errorf("a server that stays silent: verdict %d; log: %q", v, r.talk.log())
				}
			})
		}
	})
	type plan struct {
		place  string
		thread int
		early  time.Duration
	}
	var plans []plan
	for _, place := range places {
		for thread := range mostThreads + 1 {
			for _, early := range []time.Duration{100 * time.Millisecond, 10 * time.Millisecond, -50 * time.Millisecond} {
				plans = append(plans, plan{place, thread, early})
			}
		}
	}
	var mutex sync.Mutex
	reasons := map[string]int{}
	t.Run("raids", func(t *testing.T) {
		for _, p := range fixture.Sample(plans, 4) {
			t.Run(fmt.Sprintf("%s, thread %d, %v before the end", p.place, p.thread, p.early), func(t *testing.T) {
				t.Parallel()
				if reason := newRaid(t, p.place).freezeAndThaw(p.thread, p.early); reason != "" {
					mutex.Lock()
					reasons[reason]++
					mutex.Unlock()
				}
			})
		}
	})
	t.Logf("frozen threads led to %v", reasons)
}

// freezeAndThaw freezes a thread, or all of them, and thaws so early before the end of the query, or after it. It returns the reason in
// the log where something was frozen.
func (r *raid) freezeAndThaw(thread int, early time.Duration) (reason string) {
	r.t.Helper()
	targets := r.threads()
	if thread < mostThreads {
		targets = targets[min(thread, len(targets)):min(thread+1, len(targets))]
	}
	frozen := r.freeze(targets)
	r.b.release()
	time.Sleep(time.Until(r.begun.Add(raidTimeout - early)))
	r.thaw()
	v := r.talk.verdict()
	// The kernel asks for a connection again after 1 s, 3 s and so on, which may be too late for an answer.
	silent := r.place == "connect" && r.b.accepted.Load() < 2
	if v != relay.Refuse && !silent && !r.starved() {
		r.t.Errorf("verdict %d; log: %q", v, r.talk.log())
	}
	if !frozen {
		return ""
	}
	_, reason, _ = strings.Cut(r.talk.log()[0], "reason=")
	reason, _, _ = strings.Cut(reason, " ")
	return reason
}
