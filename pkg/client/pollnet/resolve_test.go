package pollnet

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// answerer makes the datagrams that answer a query; over TCP the first one alone counts.
type answerer func(query dnsmessage.Message, tcp bool) [][]byte

// nameServer starts one on both protocols.
func nameServer(t *testing.T, answer answerer) netip.AddrPort {
	t.Helper()
	for {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil { // somebody has this port
			udp.Close()
			continue
		}
		t.Cleanup(func() { udp.Close(); tcp.Close() })
		go serveDatagrams(udp, answer)
		go serveConnections(tcp, answer)
		return netip.MustParseAddrPort(udp.LocalAddr().String())
	}
}

func serveDatagrams(udp net.PacketConn, answer answerer) {
	buffer := make([]byte, 4096)
	for {
		n, from, err := udp.ReadFrom(buffer)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buffer[:n]) != nil {
			continue
		}
		for _, packet := range answer(query, false) {
			_, _ = udp.WriteTo(packet, from)
		}
	}
}

func serveConnections(tcp net.Listener, answer answerer) {
	for {
		c, err := tcp.Accept()
		if err != nil {
			return
		}
		head := make([]byte, 2)
		_, err = io.ReadFull(c, head)
		body := make([]byte, binary.BigEndian.Uint16(head))
		if err == nil {
			_, err = io.ReadFull(c, body)
		}
		var query dnsmessage.Message
		if err == nil && query.Unpack(body) == nil {
			for _, packet := range answer(query, true) {
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
			}
		}
		c.Close()
	}
}

// reply is a response with these addresses, those of the query's kind alone.
func reply(query dnsmessage.Message, ips ...string) dnsmessage.Message {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true}, Questions: query.Questions}
	for _, ip := range ips {
		head := dnsmessage.ResourceHeader{Name: query.Questions[0].Name, Class: dnsmessage.ClassINET}
		a := netip.MustParseAddr(ip)
		switch kind := query.Questions[0].Type; {
		case kind == dnsmessage.TypeA && a.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case kind == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m
}

func packed(m dnsmessage.Message) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func addressed(ips ...string) answerer {
	return func(q dnsmessage.Message, _ bool) [][]byte { return [][]byte{packed(reply(q, ips...))} }
}

func code(rcode dnsmessage.RCode) answerer {
	return func(q dnsmessage.Message, _ bool) [][]byte {
		m := reply(q)
		m.RCode = rcode
		return [][]byte{packed(m)}
	}
}

func dialer(servers ...netip.AddrPort) *Dialer {
	n := &Names{resolver: resolver{servers: servers, ndots: 1, attempts: 1, timeout: 1 << 40}}
	return &Dialer{Names: n, Meter: NewMeter(context.Background())}
}

func TestLookup(t *testing.T) {
	good := addressed("192.0.2.7", "2001:db8::7")
	truncated := func(then answerer) answerer {
		return func(q dnsmessage.Message, tcp bool) [][]byte {
			if tcp {
				return then(q, tcp)
			}
			m := reply(q)
			m.Truncated = true
			return [][]byte{packed(m)}
		}
	}
	for name, c := range map[string]struct {
		servers []answerer
		want    string // addresses, or what the error says
	}{
		"both kinds":            {[]answerer{good}, "192.0.2.7 2001:db8::7"},
		"IPv6 alone":            {[]answerer{addressed("2001:db8::7")}, "2001:db8::7"},
		"no address":            {[]answerer{addressed()}, "no such host"},
		"no name":               {[]answerer{code(dnsmessage.RCodeNameError), good}, "no such host"},
		"the first one fails":   {[]answerer{code(dnsmessage.RCodeServerFailure), good}, "192.0.2.7 2001:db8::7"},
		"the first one refuses": {[]answerer{code(dnsmessage.RCodeRefused), good}, "192.0.2.7 2001:db8::7"},
		"all fail":              {[]answerer{code(dnsmessage.RCodeServerFailure)}, "the name server failed"},
		"truncated":             {[]answerer{truncated(good)}, "192.0.2.7 2001:db8::7"},
		"truncated, hangs up":   {[]answerer{truncated(func(dnsmessage.Message, bool) [][]byte { return nil })}, "EOF"},
		"truncated over TCP": {[]answerer{truncated(func(q dnsmessage.Message, _ bool) [][]byte {
			m := reply(q)
			m.Truncated = true
			return [][]byte{packed(m)}
		})}, "is damaged"},
		"garbage, then good": {[]answerer{func(q dnsmessage.Message, tcp bool) [][]byte {
			return append([][]byte{[]byte("\xff garbage")}, good(q, tcp)...)
		}}, "192.0.2.7 2001:db8::7"},
		"of others, then good": {[]answerer{func(q dnsmessage.Message, tcp bool) [][]byte {
			id, asked, kind, query := q, q, q, q
			id.ID++
			asked.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("other.example."), Type: q.Questions[0].Type, Class: dnsmessage.ClassINET}}
			kind.Questions = []dnsmessage.Question{{Name: q.Questions[0].Name, Type: dnsmessage.TypeMX, Class: dnsmessage.ClassINET}}
			query.Response = false
			return append([][]byte{packed(reply(id, "192.0.2.66")), packed(reply(asked, "192.0.2.66")), packed(reply(kind)), packed(query)}, good(q, tcp)...)
		}}, "192.0.2.7 2001:db8::7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var servers []netip.AddrPort
			for _, answer := range c.servers {
				servers = append(servers, nameServer(t, answer))
			}
			found, err := dialer(servers...).lookup(t.Context(), "latch.example.org")
			var texts []string
			for _, a := range found {
				texts = append(texts, a.String())
			}
			slices.Sort(texts)
			got := strings.Join(texts, " ")
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestNoNameOfDNS: what can be no name is not found, whatever the name servers do.
func TestNoNameOfDNS(t *testing.T) {
	for _, name := range []string{strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 200), "a..example", ".example"} {
		if _, err := dialer().lookup(t.Context(), name); !notExist(err) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestSilentNameServer: at the deadline it is the name server that owes an answer.
func TestSilentNameServer(t *testing.T) {
	asked := make(chan struct{}, 2)
	server := nameServer(t, func(dnsmessage.Message, bool) [][]byte { asked <- struct{}{}; return nil })
	ctx, pass := deadline()
	go func() { <-asked; <-asked; pass() }()
	d := dialer(server)
	d.Meter = NewMeter(ctx)
	var dns *net.DNSError
	if _, err := d.Dial(t.Context(), "latch.example.org:443"); !errors.Is(err, ErrSilent) || !errors.As(err, &dns) || dns.Name != "latch.example.org" {
		t.Errorf("%v", err)
	}
	if d.Meter.Waited() == 0 {
		t.Error("no time was counted")
	}
}

// TestSearch: names below the search list come before or after the name itself, by its dots.
func TestSearch(t *testing.T) {
	server := nameServer(t, func(q dnsmessage.Message, tcp bool) [][]byte {
		if q.Questions[0].Name.String() == "latch.b.example." {
			return addressed("192.0.2.7")(q, tcp)
		}
		return code(dnsmessage.RCodeNameError)(q, tcp)
	})
	d := dialer(server)
	d.Names.resolver.search = []string{"a.example.", "b.example."}
	if found, err := d.lookup(t.Context(), "latch"); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

// FuzzAnswer: no datagram makes more of a question than addresses of the kind that was asked for.
func FuzzAnswer(f *testing.F) {
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 0x4142}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName("latch.example.org."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	f.Add(packed(reply(q, "192.0.2.7")))
	f.Add(packed(reply(q))[:20])
	f.Fuzz(func(t *testing.T, packet []byte) {
		asked := &question{kind: dnsmessage.TypeA, fd: -1, packet: packed(q)}
		truncated, answered := asked.read(packet)
		if (truncated || asked.done || len(asked.addrs) > 0) && !answered {
			t.Error("something came of what is no answer")
		}
		for _, a := range asked.addrs {
			if !a.Is4() {
				t.Errorf("%v", a)
			}
		}
	})
}
