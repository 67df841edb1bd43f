package relay

import (
	"bytes"
	"io"
	"sync/atomic"
)

// Conn is latch-auth's end of a conversation. A reader of its own notices the end of file and frames that are not due
// at any time, also while a question is out: onEnd is then called, once, and is expected to end the process.
type Conn struct {
	w      io.Writer
	due    atomic.Uint32 // the type of the one frame that the module may send now, or nothing
	frames chan Frame
	failed chan error
	held   bool
}

// nothing is due: no frame has this type.
const nothing = 1 << 8

// NewConn starts reading. onEnd runs in the reader's goroutine when the module is gone or breaks the protocol.
func NewConn(rw io.ReadWriter, onEnd func(error)) *Conn {
	c := &Conn{w: rw, frames: make(chan Frame, 1), failed: make(chan error, 1)}
	c.due.Store(uint32(Hello))
	go func() {
		for {
			f, err := c.read(rw)
			if err != nil {
				c.failed <- err
				onEnd(err)
				return
			}
			c.frames <- f
		}
	}()
	return c
}

// read reads a frame, which must be the one that is due.
func (c *Conn) read(r io.Reader) (Frame, error) {
	f, err := ReadFrame(r)
	if err == nil && !c.due.CompareAndSwap(uint32(f.Type), nothing) {
		err = broken("a frame of type 0x%02x that is not due", byte(f.Type))
	}
	return f, err
}

func (c *Conn) next() ([]byte, error) {
	select {
	case f := <-c.frames:
		return f.Payload, nil
	case err := <-c.failed:
		return nil, err
	}
}

// exchange sends a frame and waits for the one that answers it.
func (c *Conn) exchange(t Type, payload []byte, want Type) ([]byte, error) {
	c.due.Store(uint32(want))
	if err := WriteFrame(c.w, t, payload); err != nil {
		return nil, err
	}
	return c.next()
}

// Hello waits for the first frame.
func (c *Conn) Hello() (Greeting, error) {
	p, err := c.next()
	if err != nil {
		return Greeting{}, err
	}
	return ParseHello(p)
}

// Hold says how many seconds the module shall wait for the verdict. Once.
func (c *Conn) Hold(seconds int) error {
	if c.held {
		return broken("a second HOLD")
	}
	c.held = true
	return WriteFrame(c.w, Hold, []byte{byte(min(max(seconds, 1), MaxHold))})
}

// Member asks whether the user is in a group. A name that no frame can hold has no members.
func (c *Conn) Member(group string) (bool, error) {
	if group == "" || len(group) > MaxText || bytes.IndexByte([]byte(group), 0) >= 0 {
		return false, nil
	}
	p, err := c.exchange(Group, []byte(group), Member)
	if err != nil {
		return false, err
	}
	if len(p) != 1 || p[0] > 1 {
		return false, broken("MEMBER of another form")
	}
	return p[0] == 1, nil
}

// Ask asks the person. asked is false when the host cannot ask.
func (c *Conn) Ask(text string, echo bool) (reply string, asked bool, err error) {
	flag := byte(0)
	if echo {
		flag = 1
	}
	p, err := c.exchange(Prompt, append([]byte{flag}, clip(text)...), Answer)
	switch {
	case err != nil:
		return "", false, err
	case len(p) == 1 && p[0] == 1:
		return "", false, nil
	case len(p) < 1 || p[0] != 0:
		return "", false, broken("ANSWER of another form")
	}
	return string(p[1:]), true, nil
}

// Tell shows the person an error text.
func (c *Conn) Tell(text string) error { return WriteFrame(c.w, Error, clip(text)) }

// Verdict sends the last frame.
func (c *Conn) Verdict(v byte) error { return WriteFrame(c.w, Verdict, []byte{v}) }

// clip makes a text fit into a frame.
func clip(text string) []byte {
	b := bytes.ReplaceAll([]byte(text), []byte{0}, nil)
	return b[:min(len(b), MaxText)]
}
