package pollnet

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection whose waits a Meter bounds and counts.
type Conn struct {
	fd            int
	local, remote net.Addr
	meter         atomic.Pointer[Meter]
	owes          atomic.Bool
	cut           atomic.Pointer[error]

	mu     sync.Mutex
	users  int
	closed bool
}

func newConn(fd int, m *Meter, remote net.Addr) *Conn {
	c := &Conn{fd: fd, remote: remote}
	c.meter.Store(m)
	if name, err := unix.Getsockname(fd); err == nil {
		c.local = addrOf(name)
	}
	return c
}

// Owe notes whether this end has yet to send something, so that the other end's silence says nothing.
func (c *Conn) Owe(owes bool) { c.owes.Store(owes) }

// Release takes the connection out of its query's deadline.
func (c *Conn) Release() { c.meter.Store(NewMeter(context.Background())) }

// Cut returns what has ended a Read at the deadline, and nil before. Readers of higher protocols may hide it.
func (c *Conn) Cut() error {
	if err := c.cut.Load(); err != nil {
		return *err
	}
	return nil
}

// enter keeps the descriptor open until leave.
func (c *Conn) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.users++
	return nil
}

func (c *Conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users == 0 && c.closed {
		_ = unix.Close(c.fd)
	}
}

func (c *Conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return nil
}

// Close ends the connection; what reads or writes just now notices.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	if c.users == 0 {
		return unix.Close(c.fd)
	}
	return unix.Shutdown(c.fd, unix.SHUT_RDWR)
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.leave()
	for len(b) > 0 {
		n, err := syscall.Read(c.fd, b)
		switch {
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLIN, c.due); err != nil {
				return 0, c.end(err)
			}
		case err == unix.EINTR:
		case err != nil:
			return 0, c.failed("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
	return 0, nil
}

func (c *Conn) due() bool { return !c.owes.Load() }

// end keeps a verdict of the deadline for Cut.
func (c *Conn) end(err error) error {
	if err != net.ErrClosed {
		c.cut.Store(&err)
	}
	return err
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.leave()
	sent := 0
	for sent < len(b) {
		if c.meter.Load().Over() {
			return sent, ErrUnsent
		}
		n, err := syscall.Write(c.fd, b[sent:])
		switch {
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLOUT, always); err != nil {
				return sent, err
			}
		case err == unix.EINTR:
		case err != nil:
			return sent, c.failed("write", err)
		default:
			sent += n
		}
	}
	return sent, nil
}

func (c *Conn) pollFor(event int16) []unix.PollFd {
	return []unix.PollFd{{Fd: int32(c.fd), Events: event}}
}

// wait returns in steps, since the meter may be another one by then.
func (c *Conn) wait(event int16, due func() bool) error {
	err := c.meter.Load().wait(c.pollFor(event), time.Now().Add(step), due, c.ended)
	if err == errElapsed {
		return nil
	}
	return err
}

func (c *Conn) failed(call string, err error) error {
	return &net.OpError{Op: call, Net: "tcp", Source: c.local, Addr: c.remote, Err: os.NewSyscallError(call, err)}
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn. The meter has the only deadline.
func (c *Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
