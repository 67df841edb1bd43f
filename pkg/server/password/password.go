// Package password hashes what people sign in with and judges what they choose.
//
// A hash is argon2id in the PHC string format ($argon2id$v=19$m=…,t=…,p=…$salt$hash), so that its cost can rise later and old
// hashes go on to verify. Hashing is costly on purpose: a Hasher bounds how many run at once, so that a flood of sign-ins takes
// time and not the memory.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is what one hash takes.
type Cost struct {
	Memory uint32 // KiB
	Passes uint32 // over the memory
	Lanes  uint8
}

// Recommended is 19 MiB, two passes, one lane: the least that OWASP's password storage cheat sheet recommends for argon2id
// where memory is what a server has least of.
var Recommended = Cost{Memory: 19 << 10, Passes: 2, Lanes: 1}

// most bounds what a stored hash may ask for: whoever can write the database must not be able to take the memory.
var most = Cost{Memory: 256 << 10, Passes: 16, Lanes: 16}

const (
	saltBytes = 16
	hashBytes = 32
)

// ErrBusy says that too many others wait already, or that the caller gave up waiting.
var ErrBusy = errors.New("too many passwords are being checked, try again later")

// errFormat says that a stored hash is none of ours.
var errFormat = errors.New("stored password hash is not argon2id in PHC format")

// Hasher hashes at most so many passwords at once. It is safe for concurrent use.
type Hasher struct {
	cost    Cost
	turns   chan struct{}
	waiting chan struct{}
	dummy   string
}

// Limits of a Hasher: two hashes use 38 MiB at most, and whoever waits behind 200 others would have given up.
const (
	atOnce     = 2
	maxWaiting = 200
)

// NewHasher returns a Hasher whose new hashes cost c.
func NewHasher(c Cost) *Hasher {
	h := &Hasher{cost: c, turns: make(chan struct{}, atOnce), waiting: make(chan struct{}, maxWaiting)}
	h.dummy = format(c, make([]byte, saltBytes), make([]byte, hashBytes))
	return h
}

// turn waits for one of the places; the caller gives it back.
func (h *Hasher) turn(ctx context.Context) (done func(), err error) {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return nil, ErrBusy
	}
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// Hash returns the PHC string of a new password.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	return format(h.cost, salt, key(h.cost, password, salt)), nil
}

// Verify tells whether password is the one that phc was made of. With an empty phc, which stands for nobody, it takes as long
// and says no. stale asks for a new hash: phc's cost is not the Hasher's.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (ok, stale bool, err error) {
	nobody := phc == ""
	if nobody {
		phc = h.dummy
	}
	c, salt, want, err := parse(phc)
	if err != nil {
		return false, false, err
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	same := subtle.ConstantTimeCompare(key(c, password, salt), want) == 1
	return same && !nobody, c != h.cost, nil
}

func key(c Cost, password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, c.Passes, c.Memory, c.Lanes, hashBytes)
}

func format(c Cost, salt, hash []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Passes, c.Lanes,
		b64.EncodeToString(salt), b64.EncodeToString(hash))
}

func parse(phc string) (c Cost, salt, hash []byte, err error) {
	fields := strings.Split(phc, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errFormat
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Passes, &c.Lanes); err != nil {
		return c, nil, nil, errFormat
	}
	if c.Memory < 8*uint32(c.Lanes) || c.Passes < 1 || c.Lanes < 1 || c.Memory > most.Memory || c.Passes > most.Passes || c.Lanes > most.Lanes {
		return c, nil, nil, errFormat
	}
	if salt, err = base64.RawStdEncoding.Strict().DecodeString(fields[4]); err != nil || len(salt) < 8 {
		return c, nil, nil, errFormat
	}
	if hash, err = base64.RawStdEncoding.Strict().DecodeString(fields[5]); err != nil || len(hash) != hashBytes {
		return c, nil, nil, errFormat
	}
	if format(c, salt, hash) != phc { // the decoder passes over line breaks
		return c, nil, nil, errFormat
	}
	return c, salt, hash, nil
}
