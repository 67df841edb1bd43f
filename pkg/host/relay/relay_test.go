package relay_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"

	"github.com/latch-linux/latch/pkg/host/relay"
)

// hello is a greeting with every field set.
func hello() relay.Greeting {
	return relay.Greeting{
		Phase: relay.Auth, Service: "sshd", User: "ALICE", NSS: relay.Found, UID: 1000, Canonical: "alice",
		Rhost: "203.0.113.7", TTY: "ssh", Ruser: "bob", HostUID: 1, HostEUID: 2, Flags: 0x8000,
		SSHConnection: "203.0.113.7 40000 198.51.100.1 22", SSHAuthInfo: "publickey ssh-ed25519 AAAA\n",
		Args: []string{"operation=ssh", "otp=yes"},
	}
}

func marshal(t testing.TB, g relay.Greeting) []byte {
	t.Helper()
	p, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestHelloRoundTrip(t *testing.T) {
	unknown, failed := hello(), hello()
	unknown.NSS, unknown.UID, unknown.Canonical = relay.Unknown, 0, ""
	failed.NSS, failed.UID, failed.Canonical, failed.Errno = relay.Failed, 0, "", 24
	for _, want := range []relay.Greeting{hello(), unknown, failed} {
		if got, err := relay.ParseHello(marshal(t, want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v came back as %+v, error %v", want, got, err)
		}
	}
}

// field appends a HELLO field by hand.
func field(p []byte, tag byte, value string) []byte {
	p = binary.BigEndian.AppendUint16(append(p, tag), uint16(len(value)))
	return append(p, value...)
}

func TestHelloRefused(t *testing.T) {
	good := marshal(t, hello())
	for name, p := range map[string][]byte{
		"empty":            {},
		"other version":    append([]byte{2}, good[1:]...),
		"only a version":   {1},
		"truncated":        good[:len(good)-1],
		"short field":      append(bytes.Clone(good), 14, 0),
		"field twice":      field(good, 2, "su"),
		"unknown tag":      field(good, 15, ""),
		"tag 0":            field(good, 0, ""),
		"two answers":      field(good, 5, ""),
		"no phase":         field(field(field(field(field([]byte{1}, 2, "su"), 3, "ana"), 5, ""), 10, "12345678"), 11, "1234"),
		"phase 3":          append([]byte{1, 1, 0, 1, 3}, good[5:]...),
		"found, no name":   field(field(field(field(field(field([]byte{1}, 1, "\x01"), 2, "su"), 3, "ana"), 4, "1234"), 10, "12345678"), 11, "1234"),
		"no answer of NSS": field(field(field(field(field([]byte{1}, 1, "\x01"), 2, "su"), 3, "ana"), 10, "12345678"), 11, "1234"),
		"short ids":        field(field(field(field(field(field([]byte{1}, 1, "\x01"), 2, "su"), 3, "ana"), 5, ""), 10, "1234567"), 11, "1234"),
	} {
		if g, err := relay.ParseHello(p); !errors.Is(err, relay.ErrProtocol) {
			t.Errorf("%s: %+v, error %v", name, g, err)
		}
	}
}

func TestReadFrame(t *testing.T) {
	for name, c := range map[string]struct {
		bytes []byte
		want  error
	}{
		"nothing":     {nil, io.EOF},
		"half a head": {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"length 0":    {[]byte{0, 0, 0, 0}, relay.ErrProtocol},
		"too long":    {[]byte{0, 1, 0, 1, 1}, relay.ErrProtocol},
		"huge":        {[]byte{255, 255, 255, 255, 1}, relay.ErrProtocol},
		"cut":         {[]byte{0, 0, 0, 3, 1, 1}, io.ErrUnexpectedEOF},
		"head alone":  {[]byte{0, 0, 0, 3}, io.ErrUnexpectedEOF},
		"good":        {[]byte{0, 0, 0, 2, 2, 1}, nil},
	} {
		if _, err := relay.ReadFrame(bytes.NewReader(c.bytes)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// module is the other end of a conversation.
type module struct {
	net.Conn
	t     *testing.T
	ended chan error
}

func conversation(t *testing.T) (*relay.Conn, module) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	m := module{far, t, make(chan error, 1)}
	return relay.NewConn(near, func(err error) { m.ended <- err }), m
}

func (m module) send(kind relay.Type, payload string) {
	m.t.Helper()
	if err := relay.WriteFrame(m, kind, []byte(payload)); err != nil {
		m.t.Error(err)
	}
}

func (m module) expect(kind relay.Type, payload string) {
	m.t.Helper()
	f, err := relay.ReadFrame(m)
	if err != nil || f.Type != kind || string(f.Payload) != payload {
		m.t.Errorf("frame 0x%02x %q, error %v; want 0x%02x %q", byte(f.Type), f.Payload, err, byte(kind), payload)
	}
}

func TestConversation(t *testing.T) {
	c, m := conversation(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.send(relay.Hello, string(marshal(t, hello())))
		m.expect(relay.Hold, "\x09")
		m.expect(relay.Group, "ops")
		m.send(relay.Member, "\x01")
		m.expect(relay.Prompt, "\x01code: ")
		m.send(relay.Answer, "\x00abc")
		m.expect(relay.Prompt, "\x00code: ")
		m.send(relay.Answer, "\x01")
		m.expect(relay.Verdict, "\x01")
	}()
	if g, err := c.Hello(); err != nil || g.Canonical != "alice" {
		t.Fatalf("%+v, error %v", g, err)
	}
	if err := c.Hold(9); err != nil {
		t.Error(err)
	}
	if member, err := c.Member("ops"); !member || err != nil {
		t.Errorf("member %v, error %v", member, err)
	}
	if reply, asked, err := c.Ask("code: ", true); reply != "abc" || !asked || err != nil {
		t.Errorf("%q, asked %v, error %v", reply, asked, err)
	}
	if reply, asked, err := c.Ask("code: ", false); reply != "" || asked || err != nil {
		t.Errorf("%q, asked %v, error %v", reply, asked, err)
	}
	if err := c.Hold(9); !errors.Is(err, relay.ErrProtocol) {
		t.Errorf("a second HOLD: %v", err)
	}
	if err := c.Verdict(relay.Success); err != nil {
		t.Error(err)
	}
	<-done
}

func TestWrongAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		kind    relay.Type
		payload string
	}{
		"another frame": {relay.Member, "\x01"},
		"no kind":       {relay.Answer, ""},
		"kind 2":        {relay.Answer, "\x02"},
		"1 and a reply": {relay.Answer, "\x01abc"},
	} {
		conn, m := conversation(t)
		go func() {
			_, _ = relay.ReadFrame(m)
			m.send(c.kind, c.payload)
		}()
		if reply, asked, err := conn.Ask("code: ", false); !errors.Is(err, relay.ErrProtocol) || asked {
			t.Errorf("%s: %q, asked %v, error %v", name, reply, asked, err)
		}
	}
}

// TestFrameThatIsNotDue: nobody waits for a frame, and one that comes ends the conversation.
func TestFrameThatIsNotDue(t *testing.T) {
	for _, kind := range []relay.Type{relay.Hello, relay.Answer, relay.Member, relay.Verdict, 0, 0x7f} {
		c, m := conversation(t)
		go func() {
			m.send(relay.Hello, string(marshal(t, hello())))
			m.send(kind, "\x01")
		}()
		if _, err := c.Hello(); err != nil {
			t.Fatal(err)
		}
		if err := <-m.ended; !errors.Is(err, relay.ErrProtocol) {
			t.Errorf("frame 0x%02x: ended with %v", byte(kind), err)
		}
	}
}

// TestEndIsNoticedInMidQuestion: nobody is asking anything when the host goes away.
func TestEndIsNoticedInMidQuestion(t *testing.T) {
	_, m := conversation(t)
	m.Close()
	if err := <-m.ended; !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 2, 1})
	f.Add([]byte{0, 0, 0, 1, 1, 0, 0, 0, 1, 2})
	f.Add([]byte{0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := relay.ReadFrame(bytes.NewReader(data))
		if err != nil {
			return
		}
		var back bytes.Buffer
		if err := relay.WriteFrame(&back, frame.Type, frame.Payload); err != nil || !bytes.HasPrefix(data, back.Bytes()) {
			t.Errorf("%x was read as %+v, which is written as %x, error %v", data, frame, back.Bytes(), err)
		}
	})
}

func FuzzParseHello(f *testing.F) {
	f.Add(marshal(f, hello()))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := relay.ParseHello(data)
		if err != nil {
			return
		}
		again, err := relay.ParseHello(marshal(t, g))
		if err != nil || !reflect.DeepEqual(again, g) {
			t.Errorf("%+v is written and read as %+v, error %v", g, again, err)
		}
	})
}
