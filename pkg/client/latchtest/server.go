// Package latchtest is a Latch server that misbehaves, for tests: each instance has one named fault, an
// address on 127.0.0.1 and a CA of its own that nobody else trusts. It counts what reaches it.
package latchtest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// What the server knows. The status that it means to give is "on": a fault that is overlooked opens.
const (
	AppID       = "FakeAppNumber2234567"
	Secret      = "FakeSecretFakeSecretFakeSecretFakeSecret"
	OperationID = "FakeOperationNumber2"
	AccountID   = "FakeAccountFakeAccountFakeAccountFakeAccountFakeAccountFakeAccou"
	Token       = "g4K9wz"
)

// Domain is what certificates vouch for besides 127.0.0.1, for tests with a name server of their own.
const Domain = "latch.test"

// Ahead is by how much the clock of the faults "109 …" is ahead. HTTP dates have whole seconds, so half a minute more keeps
// hours and minutes of what is told about it the same in every run.
const Ahead = 3*time.Hour + 30*time.Second

// Server is one misbehaving server.
type Server struct {
	Fault string
	URL   *url.URL // https://127.0.0.1:PORT, or another place for faults of the way there
	CA    []byte   // PEM, for ca_file

	fault     fault
	config    *tls.Config
	listener  net.Listener
	trap      net.Listener // where redirects lead
	unheard   int          // descriptor of a port that is bound and not listened on, else -1
	quit      chan struct{}
	stalled   chan struct{} // closed by stall
	stallOnce sync.Once
	requests  atomic.Int64
	conns     atomic.Int64
	sprung    atomic.Int64
	mutex     sync.Mutex
	signed    []*http.Request
	running   sync.WaitGroup
	closeOnce sync.Once
}

// fault is what an instance does wrong. The zero value does nothing wrong.
type fault struct {
	raw    func(*Server, net.Conn)                   // instead of TLS
	tls    func(*authority) (*tls.Config, error)     // instead of a good certificate
	answer func(s *Server, c net.Conn, n int)        // instead of "on"; n counts requests from 1
	place  func(*Server) (address string, err error) // instead of the listener's address
}

// New starts a server with the fault of that name, see Names. "" and "none" have none.
func New(name string) (*Server, error) {
	f, ok := faults[name]
	if !ok && name != "" {
		return nil, fmt.Errorf("no fault is called %q", name)
	}
	s := &Server{Fault: name, fault: f, unheard: -1, quit: make(chan struct{}), stalled: make(chan struct{})}
	if err := s.start(); err != nil {
		s.Close()
		return nil, fmt.Errorf("fake server with fault %q: %w", name, err)
	}
	return s, nil
}

func (s *Server) start() error {
	ca, err := newAuthority("fake authority")
	if err != nil {
		return err
	}
	s.CA = ca.pem()
	makeConfig := good
	if s.fault.tls != nil {
		makeConfig = s.fault.tls
	}
	if s.config, err = makeConfig(ca); err != nil {
		return err
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	if s.trap, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	address := s.listener.Addr().String()
	if s.fault.place != nil {
		if address, err = s.fault.place(s); err != nil {
			return err
		}
	}
	s.URL = &url.URL{Scheme: "https", Host: address}
	s.accept(s.listener, func(c net.Conn) { s.conns.Add(1); s.serve(c) })
	s.accept(s.trap, func(net.Conn) { s.sprung.Add(1) })
	return nil
}

func good(ca *authority) (*tls.Config, error) {
	cert, err := ca.leaf(nil)
	return &tls.Config{Certificates: []tls.Certificate{cert}}, err
}

func (s *Server) accept(l net.Listener, handle func(net.Conn)) {
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() {
				defer c.Close()
				unhook := s.closeWithServer(c)
				defer unhook()
				handle(c)
			})
		}
	})
}

// closeWithServer ends a connection that a fault never ends.
func (s *Server) closeWithServer(c net.Conn) (unhook func()) {
	done := make(chan struct{})
	s.running.Go(func() {
		select {
		case <-s.quit:
			c.Close()
		case <-done:
		}
	})
	return func() { close(done) }
}

func (s *Server) serve(c net.Conn) {
	if s.fault.raw != nil {
		s.fault.raw(s, c)
		return
	}
	secure := tls.Server(c, s.config)
	defer secure.Close()
	request, err := http.ReadRequest(bufio.NewReader(secure))
	if err != nil {
		return
	}
	s.mutex.Lock()
	s.signed = append(s.signed, request)
	s.mutex.Unlock()
	n := int(s.requests.Add(1))
	if s.fault.answer != nil {
		s.fault.answer(s, secure, n)
		return
	}
	answer(secure, on)
}

// Stalled is closed once a fault that never ends has sent what a client needs to wait for more. A test that shall see how a
// client gives up waits for this and not for some time.
func (s *Server) Stalled() <-chan struct{} { return s.stalled }

func (s *Server) stall() { s.stallOnce.Do(func() { close(s.stalled) }) }

// Requests returns how many requests were read to the end of their headers.
func (s *Server) Requests() int { return int(s.requests.Load()) }

// Connections returns how many connections were accepted.
func (s *Server) Connections() int { return int(s.conns.Load()) }

// Trapped returns how many connections reached the place that redirects lead to. There should be none.
func (s *Server) Trapped() int { return int(s.sprung.Load()) }

// Seen returns the requests that were read, without their bodies.
func (s *Server) Seen() []*http.Request {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]*http.Request(nil), s.signed...)
}

// Close ends the server with every connection.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		close(s.quit)
		for _, l := range []net.Listener{s.listener, s.trap} {
			if l != nil {
				l.Close()
			}
		}
		s.release()
		s.running.Wait()
	})
}

// sleep waits, or returns false when the server ends first.
func (s *Server) sleep(d time.Duration) bool {
	select {
	case <-s.quit:
		return false
	case <-time.After(d):
		return true
	}
}
