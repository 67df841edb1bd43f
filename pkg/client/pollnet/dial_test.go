package pollnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// passing is a context whose deadline passes with an event, so that nothing here depends on time.
type passing struct {
	context.Context
	event chan struct{}
}

func deadline() (ctx passing, pass func()) {
	event := make(chan struct{})
	return passing{context.Background(), event}, sync.OnceFunc(func() { close(event) })
}

func (p passing) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (p passing) Done() <-chan struct{}       { return p.event }
func (p passing) Err() error {
	select {
	case <-p.event:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// pair returns a connection and its other end.
func pair(t *testing.T, ctx context.Context) (*Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := (&Dialer{Names: parsed(t, "", ""), Meter: NewMeter(ctx)}).Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); far.Close() })
	return c, far
}

// TestWhoseTurn: what a deadline means depends on what was sent and read by then.
func TestWhoseTurn(t *testing.T) {
	b := make([]byte, 8)
	t.Run("the other end's", func(t *testing.T) {
		ctx, pass := deadline()
		c, _ := pair(t, ctx)
		go pass()
		if _, err := c.Read(b); !errors.Is(err, ErrSilent) || !errors.Is(c.Cut(), ErrSilent) {
			t.Errorf("%v, cut by %v", err, c.Cut())
		}
	})
	t.Run("this end's", func(t *testing.T) {
		ctx, pass := deadline()
		c, _ := pair(t, ctx)
		c.Owe(true)
		before := c.meter.Load().Waited()
		go pass()
		if _, err := c.Read(b); !errors.Is(err, ErrUnsent) || c.meter.Load().Waited() != before {
			t.Errorf("%v, %v count as waited", err, c.meter.Load().Waited()-before)
		}
	})
	t.Run("this end's since it began to wait", func(t *testing.T) {
		ctx, pass := deadline()
		c, _ := pair(t, ctx)
		c.Owe(true)
		go func() { c.Owe(false); pass() }()
		if _, err := c.Read(b); !errors.Is(err, ErrSilent) {
			t.Errorf("%v", err)
		}
	})
	t.Run("received before", func(t *testing.T) {
		ctx, pass := deadline()
		c, far := pair(t, ctx)
		if _, err := far.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		if _, err := poll(c.pollFor(unix.POLLIN), time.Hour); err != nil {
			t.Fatal(err)
		}
		pass()
		if n, err := c.Read(b); n != 6 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if _, err := c.Read(b); !errors.Is(err, ErrSilent) {
			t.Errorf("then: %v", err)
		}
	})
	t.Run("nothing sent", func(t *testing.T) {
		ctx, pass := deadline()
		c, _ := pair(t, ctx)
		pass()
		if _, err := c.Write(b); !errors.Is(err, ErrUnsent) {
			t.Errorf("%v", err)
		}
		d := &Dialer{Names: parsed(t, "", ""), Meter: NewMeter(ctx)}
		if _, err := d.Dial(t.Context(), "127.0.0.1:1"); !errors.Is(err, ErrUnsent) {
			t.Errorf("connecting: %v", err)
		}
		if _, err := d.lookup(t.Context(), "latch.example.org"); !errors.Is(err, ErrUnsent) {
			t.Errorf("asking a name server: %v", err)
		}
	})
	t.Run("out of the query", func(t *testing.T) {
		ctx, pass := deadline()
		c, far := pair(t, ctx)
		c.Release()
		pass()
		if _, err := c.Write([]byte("later")); err != nil {
			t.Error(err)
		}
		if n, err := io.ReadAtLeast(far, b, 5); n != 5 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestWaitedOnce: waits that overlap count once, and a part counts as the whole's.
func TestWaitedOnce(t *testing.T) {
	m, now := NewMeter(t.Context()), time.Now()
	m.add(now, now.Add(3*time.Second))
	m.within(now).add(now.Add(time.Second), now.Add(4*time.Second))
	m.add(now, now.Add(2*time.Second))
	if got := m.Waited(); got != 4*time.Second {
		t.Errorf("%v", got)
	}
}

// TestClosedWhileReading: who reads must notice, and the descriptor must not be another's by then.
func TestClosedWhileReading(t *testing.T) {
	c, far := pair(t, t.Context())
	failed := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		failed <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("read something")
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other end: %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}

// deaf is a port that takes no more connections and refuses none.
func deaf(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port))
	for range 4 { // more than the queue of a backlog of 0 holds
		c, err := open(unix.SOCK_STREAM, at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(c) })
	}
	return at
}

func TestSeveralAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	good := netip.MustParseAddrPort(l.Addr().String())
	refused := netip.MustParseAddrPort("127.0.0.1:1")
	silent := deaf(t)
	for name, c := range map[string]struct {
		addrs []netip.AddrPort
		want  error
	}{
		"refused, good":         {[]netip.AddrPort{refused, good}, nil},
		"silent, good":          {[]netip.AddrPort{silent, good}, nil},
		"silent, refused, good": {[]netip.AddrPort{silent, refused, good}, nil},
		"refused":               {[]netip.AddrPort{refused, refused}, syscall.ECONNREFUSED},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Dialer{Meter: NewMeter(t.Context())}
			conn, err := d.connect(t.Context(), c.addrs)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if err == nil {
				conn.Close()
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		ctx, pass := deadline()
		d := &Dialer{Meter: NewMeter(ctx), Start: func(string) { pass() }}
		if _, err := d.connect(t.Context(), []netip.AddrPort{silent}); !errors.Is(err, ErrUnsent) && !errors.Is(err, ErrSilent) {
			t.Errorf("%v", err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := &Dialer{Meter: NewMeter(ctx), Start: func(string) { cancel() }}
		if _, err := d.connect(ctx, []netip.AddrPort{silent}); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
