package latchtest

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

var faults = func() map[string]fault {
	all := map[string]fault{}
	for _, group := range []map[string]fault{
		statusFaults(), contentFaults(), tokenFaults(), errorFaults(), wireFaults(), tlsFaults(), placeFaults(),
	} {
		maps.Copy(all, group)
	}
	return all
}()

// Names returns the names of all faults, sorted.
func Names() []string { return slices.Sorted(maps.Keys(faults)) }

// headOf is the beginning of a good answer of so many bytes.
func headOf(length int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
}

// oneChunk is a good answer up to its trailer.
var oneChunk = chunked + fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(on), on)

const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// text is a fault whose whole answer is this text, after which the server hangs up.
func text(answer string) fault {
	return fault{answer: func(_ *Server, c net.Conn, _ int) { send(c, answer) }}
}

// stalled sends a text and then nothing, without hanging up.
func stalled(answer string) fault {
	return fault{answer: func(s *Server, c net.Conn, _ int) { send(c, answer); s.stall(); <-s.quit }}
}

// wireFaults are answers that break HTTP or never end.
func wireFaults() map[string]fault {
	large := node(`"status":"on","x":"` + strings.Repeat("x", 70<<10) + `"`)
	return map[string]fault{
		"wire: never answers":         stalled(""),
		"wire: closes after request":  text(""),
		"wire: resets after request":  {answer: func(_ *Server, c net.Conn, _ int) { reset(c.(*tls.Conn).NetConn()) }},
		"wire: garbage":               text("\x00\xff\x01garbage\r\n\r\n" + on),
		"wire: no HTTP":               text(on),
		"wire: SSH banner":            text("SSH-2.0-OpenSSH_9.9\r\n"),
		"wire: status line cut short": text("HTTP/1.1 20"),
		"wire: headers cut short":     text("HTTP/1.1 200 OK\r\nContent-Le"),
		"wire: stalls in headers":     stalled("HTTP/1.1 200 OK\r\nContent-Le"),
		"wire: slow headers":          {answer: func(s *Server, c net.Conn, _ int) { drip(s, c, headOf(len(on))) }},
		"wire: endless headers":       {answer: endlessHeaders},
		"wire: endless header line":   {answer: func(s *Server, c net.Conn, _ int) { flood(s, c, "HTTP/1.1 200 OK\r\nX: ", "xxxxxxxxxxxxxxxx") }},
		"wire: two lengths":           text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + headOf(len(on))[17:] + on),
		"wire: body cut short":        text(headOf(len(on)) + on[:20]),
		"wire: body cut, still JSON":  text(headOf(len(on)+9) + on),
		"wire: stalls in body":        stalled(headOf(len(on)) + on[:20]),
		"wire: stalls behind JSON":    stalled(headOf(len(on)+9) + on),
		"wire: slow body":             {answer: func(s *Server, c net.Conn, _ int) { send(c, headOf(len(on))); drip(s, c, on) }},
		"wire: body too large":        body(large),
		"wire: body of 64 KiB":        body(on + strings.Repeat(" ", 64<<10-len(on))),
		"wire: body of a byte more":   body(on + strings.Repeat(" ", 64<<10-len(on)+1)),
		"wire: body far too large":    {answer: farTooLarge},
		"wire: endless body":          {answer: func(s *Server, c net.Conn, _ int) { flood(s, c, "HTTP/1.1 200 OK\r\n\r\n"+on, "                ") }},
		"wire: endless chunks":        {answer: func(s *Server, c net.Conn, _ int) { flood(s, c, chunked, "1\r\nx\r\n") }},
		"wire: chunk garbage":         text(chunked + "zz\r\n" + on),
		"wire: last chunk missing":    text(chunked + fmt.Sprintf("%x\r\n%s\r\n", len(on), on)),
		"wire: trailer":               text(oneChunk + "X: y\r\n\r\n"),
		"wire: stalls in trailer":     stalled(oneChunk + "X"),
		"wire: endless trailer":       {answer: func(s *Server, c net.Conn, _ int) { flood(s, c, oneChunk, "X-Trailer: xxxxx\r\n") }},
		"wire: HTTP/1.0 cut short":    text("HTTP/1.0 200 OK\r\n\r\n" + on[:len(on)-1]),
		"wire: HTTP/2":                text("\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
		"wire: compressed":            {answer: compressed},
		"wire: unknown encoding":      {answer: func(_ *Server, c net.Conn, _ int) { answer(c, "\x1b\x02\x00", "Content-Encoding: br") }},
		"wire: HTTP/1.0":              text("HTTP/1.0 200 OK\r\n\r\n" + on),
		"wire: HTTP/1.0 closed":       text("HTTP/1.0 200 OK\r\n\r\n" + off),
		"wire: HTTP/9":                text("HTTP/9.0 200 OK\r\n\r\n" + on),
		"wire: switches protocols":    text("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + on),
	}
}

// reset makes the kernel send RST instead of a close.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// drip sends a byte every so often, each of which keeps the connection alive, and never the last one.
func drip(s *Server, c net.Conn, text string) {
	for i := range len(text) - 1 {
		if _, err := c.Write([]byte{text[i]}); err != nil || !s.sleep(300*time.Millisecond) {
			return
		}
		if i == 2 {
			s.stall()
		}
	}
	<-s.quit
}

// flood repeats a text until the client leaves.
func flood(s *Server, c net.Conn, head, text string) {
	send(c, head)
	block := []byte(strings.Repeat(text, 4<<10))
	for s.sleep(0) {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}

// farTooLarge says its length and keeps to it.
func farTooLarge(_ *Server, c net.Conn, _ int) {
	blanks := strings.Repeat(" ", 64<<10)
	send(c, headOf(len(on)+128*len(blanks)))
	for range 128 {
		if _, err := c.Write([]byte(blanks)); err != nil {
			return
		}
	}
	send(c, on)
}

func endlessHeaders(s *Server, c net.Conn, _ int) {
	flood(s, c, "HTTP/1.1 200 OK\r\n", "X-Header: xxxxxx\r\n")
}

// compressed sends what no request of ours allows.
func compressed(_ *Server, c net.Conn, _ int) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(on))
	_ = z.Close()
	answer(c, b.String(), "Content-Encoding: gzip")
}

// placeFaults are faults of the way to the server.
func placeFaults() map[string]fault {
	return map[string]fault{
		"connect: refused": {place: (*Server).refuse},
		"connect: unheard": {place: (*Server).fill},
		"connect: closes":  {raw: func(*Server, net.Conn) {}},
		"connect: resets":  {raw: func(_ *Server, c net.Conn) { reset(c) }},
		"connect: silent":  {raw: func(s *Server, _ net.Conn) { s.stall(); <-s.quit }},
	}
}

// refuse keeps a port that nobody listens on and nobody else can get meanwhile.
func (s *Server) refuse() (string, error) { return s.bind() }

// fill listens with a queue that is full: the kernel then drops what comes, as a firewall does.
func (s *Server) fill() (string, error) {
	address, err := s.bind()
	if err != nil {
		return "", err
	}
	if err := syscall.Listen(s.unheard, 0); err != nil {
		return "", err
	}
	for range 4 {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address, nil
		}
		s.running.Go(func() { <-s.quit; c.Close() })
	}
	return "", fmt.Errorf("the queue of %s does not fill", address)
}

func (s *Server) bind() (string, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	s.unheard = fd
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port), nil
}

func (s *Server) release() {
	if s.unheard >= 0 {
		syscall.Close(s.unheard)
		s.unheard = -1
	}
}

// tlsFaults are certificates and protocols that must not be trusted.
func tlsFaults() map[string]fault {
	day := 24 * time.Hour
	return map[string]fault{
		"tls: expired":         spoiled(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-2*day), time.Now().Add(-day) }),
		"tls: not yet valid":   spoiled(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(day), time.Now().Add(2*day) }),
		"tls: wrong address":   spoiled(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }),
		"tls: only a name":     spoiled(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"localhost", "127.0.0.1"} }),
		"tls: no name":         spoiled(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames, c.Subject.CommonName = nil, nil, "127.0.0.1" }),
		"tls: for clients":     spoiled(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
		"tls: self-signed":     spoiled(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }),
		"tls: unknown CA":      {tls: strangers("another authority")},
		"tls: CA of that name": {tls: strangers("fake authority")},
		"tls: chain":           below(nil),
		"tls: chain cut short": {tls: cutShort},
		"tls: issuer expired":  below(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-2*day), time.Now().Add(-day) }),
		"tls: issuer no CA":    below(func(c *x509.Certificate) { c.IsCA = false }),
		"tls: other addresses": below(func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical = true
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}}
		}),
		"tls: 1.1 at most": {tls: oldTLS},
		"tls: not TLS":     {raw: func(_ *Server, c net.Conn) { answer(c, on) }},
		"tls: garbage":     {raw: func(_ *Server, c net.Conn) { send(c, strings.Repeat("\x16\x03\x03garbage", 100)) }},
		"tls: alert":       {raw: alert},
	}
}

func spoiled(change func(*x509.Certificate)) fault {
	return fault{tls: func(ca *authority) (*tls.Config, error) {
		cert, err := ca.leaf(change)
		return &tls.Config{Certificates: []tls.Certificate{cert}}, err
	}}
}

// below signs by an intermediate authority, which change may spoil, and shows it.
func below(change func(*x509.Certificate)) fault {
	return fault{tls: func(ca *authority) (*tls.Config, error) {
		middle, err := issue("fake intermediate authority", ca, change)
		if err != nil {
			return nil, err
		}
		cert, err := middle.leaf(nil)
		cert.Certificate = append(cert.Certificate, middle.cert.Raw)
		return &tls.Config{Certificates: []tls.Certificate{cert}}, err
	}}
}

// cutShort keeps the intermediate authority to itself.
func cutShort(ca *authority) (*tls.Config, error) {
	middle, err := issue("fake intermediate authority", ca, nil)
	if err != nil {
		return nil, err
	}
	return good(middle)
}

// strangers signs by an authority that is not in CA.
func strangers(name string) func(*authority) (*tls.Config, error) {
	return func(*authority) (*tls.Config, error) {
		other, err := newAuthority(name)
		if err != nil {
			return nil, err
		}
		return good(other)
	}
}

func oldTLS(ca *authority) (*tls.Config, error) {
	config, err := good(ca)
	if err == nil {
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}
	return config, err
}

// alert refuses the handshake as a server with other tastes does: fatal, handshake_failure (RFC 8446, section 6).
func alert(_ *Server, c net.Conn) {
	hello := make([]byte, 4<<10)
	_, _ = c.Read(hello)
	send(c, "\x15\x03\x03\x00\x02\x02\x28")
}
