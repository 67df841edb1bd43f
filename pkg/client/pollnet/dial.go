package pollnet

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// attemptDelay is the time after which the next address is tried beside one that has not answered (RFC 8305, section 5).
const attemptDelay = 250 * time.Millisecond

// Dialer connects by names that were read before.
type Dialer struct {
	Names *Names
	Meter *Meter
	Start func(address string) // is called before each attempt to reach an address; nil for none
	Note  func(error)          // gets every error of a Dial that fails, which returns only one of them; nil for none

	noted []error
}

// Dial connects to an address "host:port" over TCP. It is called once.
func (d *Dialer) Dial(ctx context.Context, address string) (*Conn, error) {
	c, err := d.dial(ctx, address)
	if err != nil && d.Note != nil {
		for _, noted := range d.noted {
			d.Note(noted)
		}
	}
	return c, err
}

func (d *Dialer) note(err error) { d.noted = append(d.noted, err) }

func (d *Dialer) dial(ctx context.Context, address string) (*Conn, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, &net.AddrError{Err: "invalid port", Addr: address}
	}
	found, err := d.lookup(ctx, host)
	if errors.Is(err, ErrSilent) || errors.Is(err, ErrUnsent) {
		err = unanswered(host, "", err)
	}
	if err != nil {
		return nil, err
	}
	d.noted = nil // a name server that could not be asked does not matter any more
	if d.Meter.Over() {
		return nil, ErrUnsent
	}
	var ports []netip.AddrPort
	for _, a := range inOrder(found) {
		ports = append(ports, netip.AddrPortFrom(a, uint16(port)))
	}
	return d.connect(ctx, ports)
}

// attempt is a connection that is being made.
type attempt struct {
	fd   int
	addr netip.AddrPort
}

// race is one attempt to reach any of several addresses.
type race struct {
	*Dialer
	left    []netip.AddrPort
	pending []attempt
	next    time.Time // when to try the next address
	failed  error     // of the first address that failed
}

// connect tries the addresses one after the other, each beside those that have not answered yet. The first connection wins.
func (d *Dialer) connect(ctx context.Context, addrs []netip.AddrPort) (*Conn, error) {
	r := &race{Dialer: d, left: addrs}
	defer func() {
		for _, a := range r.pending {
			_ = unix.Close(a.fd)
		}
	}()
	for {
		r.start()
		if len(r.pending) == 0 {
			return nil, cmp.Or(r.failed, ErrUnsent)
		}
		fds := make([]unix.PollFd, len(r.pending))
		for i, a := range r.pending {
			fds[i] = unix.PollFd{Fd: int32(a.fd), Events: unix.POLLOUT}
		}
		until := time.Time{}
		if len(r.left) > 0 {
			until = r.next
		}
		switch err := d.Meter.wait(fds, until, always, ctx.Err); {
		case err == errElapsed:
		case err != nil:
			return nil, err
		default:
			if c := r.finish(fds); c != nil {
				return c, nil
			}
		}
	}
}

// start begins the attempts that are due.
func (r *race) start() {
	for len(r.left) > 0 && !r.Meter.Over() && (len(r.pending) == 0 || !time.Now().Before(r.next)) {
		addr := r.left[0]
		r.left = r.left[1:]
		if r.Start != nil {
			r.Start(addr.String())
		}
		fd, err := open(unix.SOCK_STREAM, addr)
		if err != nil {
			r.lose(addr, err)
			continue
		}
		r.pending = append(r.pending, attempt{fd, addr})
		r.next = time.Now().Add(attemptDelay)
	}
}

// finish looks at the attempts that are decided. fds belong to them, in the same order.
func (r *race) finish(fds []unix.PollFd) *Conn {
	var undecided []attempt
	var won *Conn
	for i, a := range r.pending {
		if fds[i].Revents == 0 || won != nil {
			undecided = append(undecided, a)
			continue
		}
		errno, err := unix.GetsockoptInt(a.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = os.NewSyscallError("connect", unix.Errno(errno))
		} else if err == nil && toItself(a.fd, a.addr) {
			err = os.NewSyscallError("connect", unix.ECONNREFUSED)
		}
		if err != nil {
			_ = unix.Close(a.fd)
			r.lose(a.addr, err)
			continue
		}
		won = newConn(a.fd, r.Meter, net.TCPAddrFromAddrPort(a.addr))
	}
	r.pending = undecided
	return won
}

// lose notes an attempt that failed. The next one need not wait.
func (r *race) lose(addr netip.AddrPort, err error) {
	err = &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	r.note(err)
	r.failed = cmp.Or(r.failed, err)
	r.next = time.Time{}
}

// open makes a socket that is connected, or about to be.
func open(kind int, addr netip.AddrPort) (int, error) {
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	if a := addr.Addr(); a.Is4() || a.Is4In6() {
		to = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: a.Unmap().As4()}
	} else {
		family = unix.AF_INET6
		to = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: a.As16(), ZoneId: zone(a.Zone())}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if kind == unix.SOCK_STREAM {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	for err = unix.Connect(fd, to); err == unix.EINTR; err = unix.Connect(fd, to) {
	}
	if err != nil && err != unix.EINPROGRESS && err != unix.EALREADY && err != unix.EISCONN {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

// zone returns the number of a link-local address's interface.
func zone(name string) uint32 {
	if name == "" {
		return 0
	}
	if i, err := net.InterfaceByName(name); err == nil {
		return uint32(i.Index)
	}
	n, _ := strconv.ParseUint(name, 10, 32)
	return uint32(n)
}

// toItself reports whether a socket is connected to itself, which the kernel allows where nobody listens on a port that it
// chooses for the near end.
func toItself(fd int, addr netip.AddrPort) bool {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	near, ok := addrOf(name).(*net.TCPAddr)
	return ok && near.Port == int(addr.Port()) && near.IP.Equal(addr.Addr().AsSlice())
}

func addrOf(name unix.Sockaddr) net.Addr {
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	}
	return nil
}

// inOrder puts addresses that the machine has no way to last, and alternates between IPv6 and IPv4 (RFC 8305, section 4).
func inOrder(addrs []netip.Addr) []netip.Addr {
	var reached [2][]netip.Addr // IPv6, IPv4
	var unreached []netip.Addr
	for _, a := range addrs {
		family := 0
		if a.Is4() {
			family = 1
		}
		if hasWay(a) {
			reached[family] = append(reached[family], a)
		} else {
			unreached = append(unreached, a)
		}
	}
	var ordered []netip.Addr
	for i := range max(len(reached[0]), len(reached[1])) {
		for _, family := range reached {
			if i < len(family) {
				ordered = append(ordered, family[i])
			}
		}
	}
	return slices.Concat(ordered, unreached)
}

// hasWay asks the kernel's routes; no packet is sent.
func hasWay(a netip.Addr) bool {
	const discard = 9
	fd, err := open(unix.SOCK_DGRAM, netip.AddrPortFrom(a, discard))
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}
