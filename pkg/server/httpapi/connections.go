package httpapi

import (
	"container/list"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// maxConnections bounds the connections that are open at a time. One costs some 100 KiB before anything about it is
// verified, and a descriptor, which the database needs too.
const (
	maxConnections       = 2048
	descriptorsForOthers = 128
)

// connectionLimit is maxConnections, or less where the process may open fewer files.
func connectionLimit() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur > maxConnections+descriptorsForOthers {
		return maxConnections
	}
	return max(int(files.Cur)-descriptorsForOthers, int(files.Cur)/2)
}

// limitedListener makes room for each newcomer: beyond the limit it closes the oldest connection of whoever has most, or the
// oldest of all where nobody has more than a fair share: whoever has a prefix of IPv6, or many machines, has one connection
// from each of thousands of addresses, and hosts behind one address would be those who have most. To refuse newcomers
// instead would let any user of a host keep its logins from asking, and then the host's "no answer" decides; this way it
// takes as many new connections as the limit, or the share, within the milliseconds of one question.
type limitedListener struct {
	net.Listener
	limit   int
	proxies Proxies // their connections carry many clients and go last
	dropped *sparingly

	mu    sync.Mutex
	open  map[netip.Prefix]*list.List // of *limitedConn, oldest first
	sum   int
	http2 int    // of them, those that may speak it
	ever  uint64 // connections, those that are closed included
}

// share is how many connections one origin may have before its own have to go first.
func (l *limitedListener) share() int { return max(1, l.limit/8) }

func limitConnections(l net.Listener, limit int, log *slog.Logger) *limitedListener {
	return &limitedListener{Listener: l, limit: limit, open: map[netip.Prefix]*list.List{},
		dropped: &sparingly{log: log, limit: 1, now: time.Now}}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &limitedConn{Conn: c, of: l, from: origin(c.RemoteAddr())}
	if victim := l.add(conn); victim != nil {
		victim.Close()
		l.dropped.warn("connection dropped: too many are open", slog.String("from", victim.from.String()))
	}
	return conn, nil
}

// add counts a connection, and returns the one that has to go for it.
func (l *limitedListener) add(c *limitedConn) (victim *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sum >= l.limit {
		victim = l.evictionCandidate()
	}
	if l.open[c.from] == nil {
		l.open[c.from] = list.New()
	}
	c.place = l.open[c.from].PushBack(c)
	c.number = l.ever
	l.ever++
	l.sum++
	return victim
}

// evictionCandidate returns the connection that has to go next, nil if there is none. Those of proxies go last.
func (l *limitedListener) evictionCandidate() *limitedConn {
	if candidate := l.candidateAmong(false); candidate != nil {
		return candidate
	}
	return l.candidateAmong(true)
}

func (l *limitedListener) candidateAmong(proxies bool) *limitedConn {
	var oldest *limitedConn
	most := l.share()
	for from, conns := range l.open {
		if l.proxies.contains(from.Addr()) != proxies {
			continue
		}
		first := conns.Front().Value.(*limitedConn)
		switch n := conns.Len(); {
		case n > most:
			most, oldest = n, first
		case most == l.share() && (oldest == nil || first.number < oldest.number):
			oldest = first
		}
	}
	return oldest
}

func (l *limitedListener) remove(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place == nil {
		return
	}
	conns := l.open[c.from]
	conns.Remove(c.place)
	if c.place = nil; conns.Len() == 0 {
		delete(l.open, c.from)
	}
	l.sum--
	if c.http2 {
		l.http2--
	}
}

// origin is whose connection it is: an IPv4 address, or the /64 that one subscriber has of IPv6.
func origin(a net.Addr) netip.Prefix {
	from, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	addr := from.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// limitedConn is counted until it is closed.
type limitedConn struct {
	net.Conn
	of     *limitedListener
	from   netip.Prefix
	number uint64        // of those that were ever opened
	place  *list.Element // nil when it is not counted
	http2  bool          // it may speak it
}

func (c *limitedConn) Close() error {
	c.of.remove(c)
	return c.Conn.Close()
}

// sparingly logs what anybody can cause as often as they like: limit lines a minute, and then how many more there were.
type sparingly struct {
	log   *slog.Logger
	limit int
	now   func() time.Time

	mu     sync.Mutex
	since  time.Time
	lines  int
	unsaid int
}

// may tells whether a line may be written now, and how many were not since the last one.
func (s *sparingly) may() (ok bool, unsaid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := s.now().Sub(s.since); age >= time.Minute || age < 0 {
		s.since, s.lines = s.now(), 0
	}
	if s.lines >= s.limit {
		s.unsaid++
		return false, 0
	}
	s.lines++
	unsaid, s.unsaid = s.unsaid, 0
	return true, unsaid
}

func (s *sparingly) warn(text string, attrs ...any) {
	if ok, unsaid := s.may(); ok {
		s.log.Warn(text, append(attrs, slog.Int("unsaid", unsaid))...)
	}
}
