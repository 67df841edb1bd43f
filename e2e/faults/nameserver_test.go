package faults

import (
	"encoding/binary"
	"io"
	"net"
	"strings"

	"github.com/latch-linux/latch/pkg/client/latchtest"
)

// nameServer is the machine's only name server. What it does depends on the name that it is asked for.
const nameServer = "127.0.0.53"

// Response codes (RFC 1035, section 4.1.1).
const (
	formErr  = 1
	servFail = 2
	nxDomain = 3
	refused  = 5
)

// truncated says: ask again over TCP.
const truncated = 0x0200

// reply makes an answer of a query; nil is silence, an empty one hangs up.
type reply func(query []byte, tcp bool) []byte

// names are what hosts below fakeserver.Domain come to, see hostOf.
var names = map[string]reply{
	"good":                         addresses("127.0.0.1"),
	"one address is dead":          addresses(deaf, "127.0.0.1"),
	"nobody listens":               addresses(deaf),
	"no route":                     addresses(nowhere),
	"one address is prohibited":    addresses(deaf, prohibited),
	"also over IPv6":               addresses("127.0.0.1", elsewhere6),
	"nobody listens, also IPv6":    addresses(deaf, elsewhere6),
	"only IPv6":                    addresses(elsewhere6),
	"a firewall swallows":          addresses(walled),
	"silence":                      func([]byte, bool) []byte { return nil },
	"FORMERR":                      code(formErr),
	"SERVFAIL":                     code(servFail),
	"NXDOMAIN":                     code(nxDomain),
	"REFUSED":                      code(refused),
	"no address":                   addresses(),
	"alias of itself":              alias,
	"garbage":                      func([]byte, bool) []byte { return []byte("\xff\x00garbage") },
	"cut short":                    func(query []byte, _ bool) []byte { return answerTo(query, 0)[:14] },
	"another id":                   anotherID,
	"answer to another question":   func([]byte, bool) []byte { return addresses("127.0.0.1")(anotherQuestion, false) },
	"truncated, good over TCP":     overTCP(addresses("127.0.0.1")),
	"truncated, silent over TCP":   overTCP(func([]byte, bool) []byte { return nil }),
	"truncated, hangs up over TCP": overTCP(func([]byte, bool) []byte { return []byte{} }),
}

var anotherQuestion = append(make([]byte, 12), "\x05other\x05latch\x04test\x00\x00\x01\x00\x01"...)

// hostOf is the host that stands for a line of names.
func hostOf(name string) string {
	return strings.NewReplacer(", ", "-", " ", "-").Replace(strings.ToLower(name)) + "." + latchtest.Domain
}

// question returns the question's bytes and its name. A query is a header of 12 bytes, labels, a type and a class.
func question(query []byte) (raw []byte, name string) {
	var labels []string
	at := 12
	for at < len(query) && query[at] != 0 {
		end := min(at+1+int(query[at]), len(query))
		labels = append(labels, string(query[at+1:end]))
		at = end
	}
	return query[12:min(at+5, len(query))], strings.ToLower(strings.Join(labels, "."))
}

// answerTo is a response with these flags and records.
func answerTo(query []byte, flags uint16, records ...[]byte) []byte {
	raw, _ := question(query)
	b := append([]byte(nil), query[:2]...)
	b = binary.BigEndian.AppendUint16(b, 0x8180|flags) // a response, recursion desired and available
	b = append(b, 0, 1, 0, byte(len(records)), 0, 0, 0, 0)
	b = append(b, raw...)
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

// record is a resource record of the name that was asked for, of class IN, good for a minute.
func record(kind byte, data []byte) []byte {
	return append([]byte{0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, byte(len(data))}, data...)
}

func code(rcode uint16) reply {
	return func(query []byte, _ bool) []byte { return answerTo(query, rcode) }
}

// Types of records (RFC 1035, section 3.2.2; RFC 3596, section 2.1).
const (
	typeA    = 1
	typeAAAA = 28
)

// addresses answers questions of type A and AAAA.
func addresses(ips ...string) reply {
	return func(query []byte, _ bool) []byte {
		var records [][]byte
		raw, _ := question(query)
		for _, ip := range ips {
			kind, address := byte(typeA), net.ParseIP(ip).To4()
			if address == nil {
				kind, address = typeAAAA, net.ParseIP(ip)
			}
			if raw[len(raw)-3] == kind {
				records = append(records, record(kind, address))
			}
		}
		return answerTo(query, 0, records...)
	}
}

func alias(query []byte, _ bool) []byte { return answerTo(query, 0, record(5, []byte{0xc0, 12})) }

func anotherID(query []byte, _ bool) []byte {
	b := addresses("127.0.0.1")(query, false)
	b[0]++
	return b
}

func overTCP(then reply) reply {
	return func(query []byte, tcp bool) []byte {
		if !tcp {
			return answerTo(query, truncated)
		}
		return then(query, tcp)
	}
}

func replyTo(query []byte, tcp bool) []byte {
	_, host := question(query)
	for name, r := range names {
		if hostOf(name) == host {
			return r(query, tcp)
		}
	}
	return answerTo(query, nxDomain)
}

// startNameServer serves until the machine ends.
func startNameServer() error {
	udp, err := net.ListenPacket("udp", nameServer+":53")
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", nameServer+":53")
	if err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 4<<10)
		for {
			n, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			if n <= 12 {
				continue
			}
			if b := replyTo(buffer[:n], false); b != nil {
				_, _ = udp.WriteTo(b, from)
			}
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go serveTCP(c)
		}
	}()
	return nil
}

// serveTCP answers one query, which has its length in front.
func serveTCP(c net.Conn) {
	defer c.Close()
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(head))
	if _, err := io.ReadFull(c, query); err != nil || len(query) <= 12 {
		return
	}
	b := replyTo(query, true)
	if b == nil {
		_, _ = io.Copy(io.Discard, c)
	}
	if len(b) > 0 {
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	}
}
