// Package relay is the Go end of the frames between pam_latch.so and latch-auth: docs/relay.md. It trusts
// nothing that arrives: whatever the page does not allow is an error, and an error refuses the login.
package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Type is the kind of a frame.
type Type byte

// Types of frames.
const (
	Hello   Type = 0x01
	Answer  Type = 0x02
	Member  Type = 0x03
	Hold    Type = 0x81
	Group   Type = 0x82
	Prompt  Type = 0x83
	Info    Type = 0x84
	Error   Type = 0x85
	Verdict Type = 0x86
)

// Limits of docs/relay.md.
const (
	MaxFrame = 64 << 10 // bytes of type and payload
	MaxText  = 512      // bytes of a text or a name
	MaxHold  = 100      // seconds
	version  = 1
)

// Values of VERDICT. 0 is none.
const (
	Success byte = 1
	Ignore  byte = 2
	Refuse  byte = 3
)

// ErrProtocol is wrapped by every error about a frame's form.
var ErrProtocol = errors.New("relay protocol")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// Frame is one frame as it came.
type Frame struct {
	Type    Type
	Payload []byte
}

// ReadFrame reads one frame. A clean end of file between frames is io.EOF, one inside a frame is
// io.ErrUnexpectedEOF.
func ReadFrame(r io.Reader) (Frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > MaxFrame {
		return Frame{}, broken("a frame of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return Frame{Type(body[0]), body[1:]}, nil
}

// WriteFrame writes one frame in one call.
func WriteFrame(w io.Writer, t Type, payload []byte) error {
	if len(payload)+1 > MaxFrame {
		return broken("a payload of %d bytes", len(payload))
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 5+len(payload)), uint32(1+len(payload)))
	b = append(append(b, byte(t)), payload...)
	_, err := w.Write(b)
	return err
}
