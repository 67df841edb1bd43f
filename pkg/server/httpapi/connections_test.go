package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestOneAddressCannotTakeAllConnections has 127.0.0.2 open as many as there are, and others ask beside it.
func TestOneAddressCannotTakeAllConnections(t *testing.T) {
	b := newBed(t)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	l := limitConnections(plain, 4, slog.New(slog.NewTextHandler(b.log, nil)))
	srv := &http.Server{Handler: New(Options{Store: b.store, Now: b.now})}
	go srv.Serve(l)
	defer srv.Close()
	b.url = "http://" + l.Addr().String()

	neighbour := dial(t, "127.0.0.3", plain.Addr().String())
	if !answers(t, neighbour) {
		t.Error("the neighbour is not served")
	}
	var greedy []net.Conn
	for i := range 8 {
		greedy = append(greedy, dial(t, "127.0.0.2", plain.Addr().String()))
		if !answers(t, greedy[i]) {
			t.Errorf("connection %d, the newest, is not served", i)
		}
	}
	b.is(b.call("GET", "operation", nil), `{"data":{"operations":{}}}`)
	if !answers(t, neighbour) {
		t.Error("the neighbour's only connection had to go")
	}
	for i, c := range greedy {
		// The neighbour, this bed's client and two of the greedy are left.
		if got, want := answers(t, c), i >= 6; got != want {
			t.Errorf("connection %d is served: %v, want %v", i, got, want)
		}
	}
	if text := b.log.String(); !strings.Contains(text, "from=127.0.0.2/32") || strings.Count(text, "too many are open") != 1 {
		t.Errorf("the log says %q", text)
	}
	b.client.CloseIdleConnections()
	for _, c := range append(greedy, neighbour) {
		c.Close()
	}
	eventually(func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.sum == 0 && len(l.open) == 0 }) // none is counted any more
}

// TestManyAddressesDoNotStarveOne: whoever has one connection from each of many addresses does not push out hosts that share
// an address, and have most.
func TestManyAddressesDoNotStarveOne(t *testing.T) {
	l := limitConnections(nil, 32, slog.New(slog.DiscardHandler))
	open := func(from string) (*limitedConn, *limitedConn) {
		c := &limitedConn{Conn: &net.TCPConn{}, of: l, from: netip.MustParsePrefix(from)}
		victim := l.add(c)
		if victim != nil {
			l.remove(victim)
		}
		return c, victim
	}
	stranger := func(i int) string { return fmt.Sprintf("2001:db8:0:%x::/64", i) }
	var idle, hosts []*limitedConn
	for i := range 28 {
		c, _ := open(stranger(i))
		idle = append(idle, c)
	}
	for range l.share() {
		c, _ := open("192.0.2.7/32")
		hosts = append(hosts, c)
	}
	for i, c := range append(idle, hosts...) {
		if _, victim := open(stranger(100 + i)); victim != c {
			t.Fatalf("newcomer %d: %s number %d had to go", i, victim.from, victim.number)
		}
	}
	for range l.share() + 1 {
		open("192.0.2.8/32")
	}
	if _, victim := open(stranger(1000)); victim.from.String() != "192.0.2.8/32" {
		t.Errorf("%s had to go, though another has more than its share", victim.from)
	}
}

func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answers sends an unsigned request and tells whether it was answered rather than cut off.
func answers(t *testing.T, c net.Conn) bool {
	t.Helper()
	io.WriteString(c, "GET /api/1.3/operation HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil
}

// eventually waits for what another goroutine is about to do. Where it never happens the test binary's own time ends the test.
func eventually(done func() bool) {
	for !done() {
		time.Sleep(time.Millisecond)
	}
}

func TestOrigin(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:443":            "192.0.2.7/32",
		"[::ffff:192.0.2.7]:443":   "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
		"[2001:db8:1:2:9:9:9:9]:1": "2001:db8:1:2::/64",
		"[fe80::1%lo]:1":           "fe80::/64",
	} {
		if got := origin(named(addr)).String(); got != want {
			t.Errorf("%s comes from %s, want %s", addr, got, want)
		}
	}
}

type named string

func (named) Network() string  { return "tcp" }
func (n named) String() string { return string(n) }

func TestConnectionsLeaveDescriptorsForTheDatabase(t *testing.T) {
	if n := connectionLimit(); n < 1 || n > maxConnections {
		t.Errorf("%d connections", n)
	}
}

// TestStrangersDoNotFillTheLog asks unsigned, more often than there are lines.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	b := newBed(t)
	lines := func() int { return strings.Count(b.log.String(), "code=103") }
	ask := func() {
		r, err := http.NewRequest("GET", b.url+"/api/1.3/operation", nil)
		b.must(err)
		b.send(r)
	}
	for range strangerLines + 50 {
		ask()
	}
	if n := lines(); n != strangerLines {
		t.Errorf("%d lines about %d strangers", n, strangerLines+50)
	}
	b.code(b.call("GET", "status/"+strings.Repeat("2", 64), nil), 201)
	if !strings.Contains(b.log.String(), "code=201") {
		t.Error("a line about somebody who signed is missing")
	}
}

func TestSparinglyTellsWhatItLeftOut(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &sparingly{limit: 2, now: func() time.Time { return now }}
	count := func(n int) (said, unsaid int) {
		for range n {
			if ok, left := s.may(); ok {
				said, unsaid = said+1, unsaid+left
			}
		}
		return said, unsaid
	}
	if said, unsaid := count(5); said != 2 || unsaid != 0 {
		t.Errorf("first minute: %d, %d", said, unsaid)
	}
	now = now.Add(time.Minute)
	if said, unsaid := count(1); said != 1 || unsaid != 3 {
		t.Errorf("second minute: %d, %d", said, unsaid)
	}
	count(1)
	now = now.Add(-time.Hour) // the clock is set back
	if said, _ := count(1); said != 1 {
		t.Error("silent until the old time comes again")
	}
}
