package pollnet

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// maxDatagram is more than a name server sends in a datagram to a client that has not asked for larger ones.
const maxDatagram = 4096

// question is one question for the name servers, of type A or AAAA.
type question struct {
	kind   dnsmessage.Type
	fd     int // of the server that is asked now, -1 for none
	packet []byte
	done   bool
	addrs  []netip.Addr
	err    error  // why the latest server did not answer
	server string // which that was
}

// lookup returns a host's addresses, at least one.
func (d *Dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if known := d.Names.local(host); len(known) > 0 {
		return known, nil
	}
	var failed error
	for _, name := range d.Names.resolver.candidates(host) {
		addrs, err := d.query(ctx, host, name)
		var dns *net.DNSError
		if err == nil || !errors.As(err, &dns) {
			return addrs, err
		}
		failed = err
	}
	return nil, failed
}

// query asks the name servers for both kinds of addresses of one full name.
func (d *Dialer) query(ctx context.Context, host, name string) ([]netip.Addr, error) {
	domain, err := dnsmessage.NewName(name)
	if err == nil {
		err = new(question).pack(domain)
	}
	if err != nil { // no name of DNS, such as one with a label of 64 bytes
		return nil, notFound(host, "")
	}
	questions := []*question{{kind: dnsmessage.TypeA, fd: -1}, {kind: dnsmessage.TypeAAAA, fd: -1}}
	servers := d.Names.resolver.servers
	first := 0
	if d.Names.resolver.rotate {
		first = mathrand.IntN(len(servers))
	}
	for range d.Names.resolver.attempts {
		for i := range servers {
			if err := d.ask(ctx, servers[(first+i)%len(servers)], domain, questions); err != nil {
				return nil, err
			}
			if addrs, err := result(host, questions); err == nil || notExist(err) {
				return addrs, err
			}
		}
	}
	return result(host, questions)
}

// unanswered is the error of a name that no server has said anything about.
func unanswered(host, server string, err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return err
	}
	return &net.DNSError{Err: err.Error(), Name: host, Server: server, IsTimeout: errors.Is(err, ErrSilent), IsTemporary: true, UnwrapErr: err}
}

func notExist(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// result weighs what came of the questions: one that was answered with addresses is enough.
func result(host string, questions []*question) (addrs []netip.Addr, err error) {
	for _, q := range questions {
		addrs = append(addrs, q.addrs...)
		if !q.done {
			err = unanswered(host, q.server, q.err)
		}
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	if err == nil {
		err = notFound(host, questions[0].server)
	}
	return nil, err
}

// ask puts the open questions to one server. An error ends the whole query.
func (d *Dialer) ask(ctx context.Context, server netip.AddrPort, name dnsmessage.Name, questions []*question) error {
	defer func() {
		for _, q := range questions {
			q.close()
		}
	}()
	until := time.Now().Add(d.Names.resolver.timeout)
	for _, q := range questions {
		if q.done {
			continue
		}
		q.server, q.err = server.String(), ErrSilent
		if d.Meter.Over() {
			return ErrUnsent
		}
		if err := q.send(server, name, d.Names.resolver.tcp); err != nil {
			d.note(err)
			q.err = err
			continue
		}
		if d.Names.resolver.tcp {
			if err := d.overTCP(ctx, server, q, until); err != nil {
				return err
			}
		}
	}
	return d.await(ctx, server, questions, until)
}

func (q *question) close() {
	if q.fd >= 0 {
		_ = unix.Close(q.fd)
		q.fd = -1
	}
}

// pack makes the query, with a number that nobody can guess.
func (q *question) pack(name dnsmessage.Name) (err error) {
	id := make([]byte, 2)
	_, _ = rand.Read(id) // which never fails
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: binary.BigEndian.Uint16(id), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: q.kind, Class: dnsmessage.ClassINET}},
	}
	q.packet, err = message.Pack()
	return err
}

// send sends the question in a datagram from a port of its own. Over TCP it only makes it.
func (q *question) send(server netip.AddrPort, name dnsmessage.Name, tcp bool) error {
	err := q.pack(name)
	if err != nil || tcp {
		return err
	}
	if q.fd, err = open(unix.SOCK_DGRAM, server); err == nil {
		if _, err = syscall.Write(q.fd, q.packet); err == nil {
			return nil
		}
		err = os.NewSyscallError("write", err)
	}
	q.close()
	return &net.OpError{Op: "dial", Net: "udp", Addr: net.UDPAddrFromAddrPort(server), Err: err}
}

// await reads the answers. Once there are IPv4 addresses, those of IPv6 have one step more (RFC 8305, section 3).
func (d *Dialer) await(ctx context.Context, server netip.AddrPort, questions []*question, until time.Time) error {
	for {
		var fds []unix.PollFd
		var asked []*question
		for _, q := range questions {
			if q.fd >= 0 {
				fds, asked = append(fds, unix.PollFd{Fd: int32(q.fd), Events: unix.POLLIN}), append(asked, q)
			}
		}
		if len(fds) == 0 {
			return nil
		}
		if soon := time.Now().Add(step); len(questions[0].addrs) > 0 && soon.Before(until) {
			until = soon
		}
		switch err := d.Meter.wait(fds, until, always, ctx.Err); {
		case err == errElapsed:
			return nil
		case err == ErrSilent && len(questions[0].addrs) > 0:
			return nil // the time is over, but it is not the name server that gave no answer
		case err != nil:
			return err
		}
		for i, q := range asked {
			if fds[i].Revents == 0 {
				continue
			}
			if err := d.receive(ctx, server, q, until); err != nil {
				return err
			}
		}
	}
}

// receive reads one datagram. What does not answer the question may come from anybody, and is ignored.
func (d *Dialer) receive(ctx context.Context, server netip.AddrPort, q *question, until time.Time) error {
	buffer := make([]byte, maxDatagram)
	n, err := syscall.Read(q.fd, buffer)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
		return nil
	case err != nil:
		q.err = &net.OpError{Op: "read", Net: "udp", Addr: net.UDPAddrFromAddrPort(server), Err: os.NewSyscallError("read", err)}
		d.note(q.err)
		q.close()
		return nil
	}
	truncated, answered := q.read(buffer[:n])
	if !answered {
		return nil
	}
	q.close()
	if truncated {
		return d.overTCP(ctx, server, q, until)
	}
	return nil
}

// Errors of name servers.
var (
	errServer   = errors.New("the name server failed")
	errNoAnswer = errors.New("the name server's answer is damaged")
)

// read takes an answer apart. answered is false for what is no answer to the question.
func (q *question) read(packet []byte) (truncated, answered bool) {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil || !header.Response || header.ID != binary.BigEndian.Uint16(q.packet) {
		return false, false
	}
	var sent dnsmessage.Parser
	if _, err := sent.Start(q.packet); err != nil {
		return false, false
	}
	ours, err := sent.Question()
	theirs, failed := p.Question()
	if err != nil || failed != nil || theirs.Type != ours.Type || theirs.Class != ours.Class ||
		!strings.EqualFold(theirs.Name.String(), ours.Name.String()) {
		return false, false
	}
	switch {
	case header.Truncated:
		return true, true
	case header.RCode == dnsmessage.RCodeNameError:
		q.done = true
		return false, true
	case header.RCode != dnsmessage.RCodeSuccess:
		q.err = errServer
		return false, true
	}
	if q.addrs, err = addresses(&p, q.kind); err != nil {
		q.addrs, q.err = nil, errNoAnswer
		return false, true
	}
	q.done = true
	return false, true
}

// addresses reads the addresses among the answers, whose aliases (CNAME) the name server has followed.
func addresses(p *dnsmessage.Parser, kind dnsmessage.Type) (addrs []netip.Addr, err error) {
	if err := p.SkipAllQuestions(); err != nil {
		return nil, err
	}
	for {
		h, err := p.AnswerHeader()
		switch {
		case err == dnsmessage.ErrSectionDone:
			return addrs, nil
		case err != nil:
			return nil, err
		}
		switch {
		case h.Class == dnsmessage.ClassINET && h.Type == kind && kind == dnsmessage.TypeA:
			r, err := p.AResource()
			if err != nil {
				return nil, err
			}
			addrs = append(addrs, netip.AddrFrom4(r.A))
		case h.Class == dnsmessage.ClassINET && h.Type == kind && kind == dnsmessage.TypeAAAA:
			r, err := p.AAAAResource()
			if err != nil {
				return nil, err
			}
			addrs = append(addrs, netip.AddrFrom16(r.AAAA).Unmap())
		default:
			if err := p.SkipAnswer(); err != nil {
				return nil, err
			}
		}
	}
}

// overTCP asks again over a connection, for an answer that fits into no datagram.
func (d *Dialer) overTCP(ctx context.Context, server netip.AddrPort, q *question, until time.Time) error {
	part := &Dialer{Meter: d.Meter.within(until)}
	answer, err := part.exchange(ctx, server, q.packet)
	d.noted = append(d.noted, part.noted...)
	switch {
	case err == nil:
		q.err = errNoAnswer // unless it is one
		q.read(answer)
	case ctx.Err() != nil, d.Meter.Over():
		return err
	default: // also where the time of this server alone is over
		q.err = err
	}
	return nil
}

// exchange sends a message and reads one, each with its length in front (RFC 1035, section 4.2.2).
func (d *Dialer) exchange(ctx context.Context, server netip.AddrPort, packet []byte) ([]byte, error) {
	c, err := d.connect(ctx, []netip.AddrPort{server})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
		return nil, err
	}
	length := make([]byte, 2)
	if _, err := io.ReadFull(c, length); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(length))
	_, err = io.ReadFull(c, answer)
	return answer, err
}
