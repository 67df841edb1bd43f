package browser

import (
	"io"
	"net"
	"sync"
)

// forwarder is the network between the browser and a server: it carries bytes from a port of its own to the server's,
// until cut drops every connection and refuses new ones.
type forwarder struct {
	address *net.TCPAddr // where it listens, the same after each restore
	target  string

	mu       sync.Mutex
	listener net.Listener // nil while the network is gone
	open     map[net.Conn]bool
}

// startForwarder starts a forwarder to target on a free port of loopback.
func startForwarder(target string) (*forwarder, error) {
	f := &forwarder{address: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, target: target}
	return f, f.restore()
}

// port is where the forwarder listens.
func (f *forwarder) port() int { return f.address.Port }

// restore gives the network back.
func (f *forwarder) restore() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	listener, err := net.ListenTCP("tcp", f.address)
	if err != nil {
		return err
	}
	f.listener, f.address, f.open = listener, listener.Addr().(*net.TCPAddr), map[net.Conn]bool{}
	go f.accept(listener)
	return nil
}

// cut takes the network away.
func (f *forwarder) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listener == nil {
		return
	}
	f.listener.Close()
	f.listener = nil
	for c := range f.open {
		c.Close()
	}
}

func (f *forwarder) accept(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go f.carry(listener, c)
	}
}

// carry connects a client to the server, until one of them ends the connection or the network is cut.
func (f *forwarder) carry(listener net.Listener, client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", f.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !f.register(listener, client, server) {
		return
	}
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			io.Copy(pair[0], pair[1]) // an error is an end too
			ended <- struct{}{}
		}()
	}
	<-ended
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, client)
	delete(f.open, server)
}

// register notes two connections for cut, and reports whether the network that they came by is still there.
func (f *forwarder) register(listener net.Listener, connections ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listener != listener {
		return false
	}
	for _, c := range connections {
		f.open[c] = true
	}
	return true
}
