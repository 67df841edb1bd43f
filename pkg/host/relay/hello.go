package relay

import (
	"encoding/binary"
	"math"
)

// Phase is the PAM call that asks.
type Phase byte

// Phases.
const (
	Auth    Phase = 1
	Account Phase = 2
)

func (p Phase) String() string {
	if p == Auth {
		return "auth"
	}
	return "account"
}

// NSS is what the host's name service said of the user.
type NSS byte

// What NSS can say. The zero value is an error.
const (
	Failed NSS = iota
	Found
	Unknown
)

// Greeting is HELLO: the facts of one PAM call. Strings are raw bytes from wherever the host got them.
type Greeting struct {
	Phase         Phase
	Service, User string
	NSS           NSS
	UID           uint32 // with Found
	Canonical     string // with Found: pw_name
	Errno         uint32 // with Failed
	Rhost         string
	TTY, Ruser    string
	HostUID       uint32 // real uid of the host
	HostEUID      uint32
	Flags         uint32
	SSHConnection string
	SSHAuthInfo   string
	Args          []string
}

// Field tags.
const (
	tagPhase = iota + 1
	tagService
	tagUser
	tagFound
	tagUnknown
	tagFailed
	tagRhost
	tagTTY
	tagRuser
	tagIDs
	tagFlags
	tagSSHConnection
	tagSSHAuthInfo
	tagArgument
)

// ParseHello reads HELLO's payload.
func ParseHello(p []byte) (Greeting, error) {
	var g Greeting
	if len(p) < 1 || p[0] != version {
		return g, broken("HELLO of another version")
	}
	seen := map[byte]bool{}
	for p = p[1:]; len(p) > 0; {
		if len(p) < 3 {
			return Greeting{}, broken("a short field")
		}
		tag, n := p[0], int(binary.BigEndian.Uint16(p[1:3]))
		if len(p)-3 < n {
			return Greeting{}, broken("field %d is short", tag)
		}
		if seen[tag] && tag != tagArgument {
			return Greeting{}, broken("field %d twice", tag)
		}
		seen[tag] = true
		if err := g.field(tag, p[3:3+n]); err != nil {
			return Greeting{}, err
		}
		p = p[3+n:]
	}
	return g, complete(seen)
}

func complete(seen map[byte]bool) error {
	for _, tag := range []byte{tagPhase, tagService, tagUser, tagIDs, tagFlags} {
		if !seen[tag] {
			return broken("field %d is missing", tag)
		}
	}
	said := 0
	for _, tag := range []byte{tagFound, tagUnknown, tagFailed} {
		if seen[tag] {
			said++
		}
	}
	if said != 1 {
		return broken("%d answers of NSS", said)
	}
	return nil
}

func (g *Greeting) field(tag byte, v []byte) error {
	texts := map[byte]*string{tagService: &g.Service, tagUser: &g.User, tagRhost: &g.Rhost, tagTTY: &g.TTY, tagRuser: &g.Ruser,
		tagSSHConnection: &g.SSHConnection, tagSSHAuthInfo: &g.SSHAuthInfo}
	if to, ok := texts[tag]; ok {
		*to = string(v)
		return nil
	}
	ok := false
	switch tag {
	case tagPhase:
		if ok = len(v) == 1 && (Phase(v[0]) == Auth || Phase(v[0]) == Account); ok {
			g.Phase = Phase(v[0])
		}
	case tagFound:
		if ok = len(v) > 4; ok {
			g.NSS, g.UID, g.Canonical = Found, binary.BigEndian.Uint32(v), string(v[4:])
		}
	case tagUnknown:
		g.NSS, ok = Unknown, len(v) == 0
	case tagFailed:
		if ok = len(v) == 4; ok {
			g.Errno = binary.BigEndian.Uint32(v)
		}
	case tagIDs:
		if ok = len(v) == 8; ok {
			g.HostUID, g.HostEUID = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
		}
	case tagFlags:
		if ok = len(v) == 4; ok {
			g.Flags = binary.BigEndian.Uint32(v)
		}
	case tagArgument:
		g.Args, ok = append(g.Args, string(v)), true
	}
	if !ok {
		return broken("field %d of %d bytes", tag, len(v))
	}
	return nil
}

// Marshal returns HELLO's payload, for whatever stands in for the module.
func (g Greeting) Marshal() ([]byte, error) {
	p := []byte{version}
	add := func(tag byte, v []byte) {
		p = binary.BigEndian.AppendUint16(append(p, tag), uint16(min(len(v), math.MaxUint16)))
		p = append(p, v...)
	}
	add(tagPhase, []byte{byte(g.Phase)})
	add(tagService, []byte(g.Service))
	add(tagUser, []byte(g.User))
	switch g.NSS {
	case Found:
		add(tagFound, append(binary.BigEndian.AppendUint32(nil, g.UID), g.Canonical...))
	case Unknown:
		add(tagUnknown, nil)
	default:
		add(tagFailed, binary.BigEndian.AppendUint32(nil, g.Errno))
	}
	add(tagIDs, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, g.HostUID), g.HostEUID))
	add(tagFlags, binary.BigEndian.AppendUint32(nil, g.Flags))
	for tag, text := range map[byte]string{tagRhost: g.Rhost, tagTTY: g.TTY, tagRuser: g.Ruser, tagSSHConnection: g.SSHConnection, tagSSHAuthInfo: g.SSHAuthInfo} {
		if text != "" {
			add(tag, []byte(text))
		}
	}
	for _, arg := range g.Args {
		add(tagArgument, []byte(arg))
	}
	if len(p)+1 > MaxFrame {
		return nil, broken("HELLO of %d bytes", len(p))
	}
	return p, nil
}
