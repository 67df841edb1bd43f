// Package otp makes and checks one-time passwords at a given instant. It holds no state: who calls
// it keeps the step that a code used up, so that one time means one time.
package otp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// The parameters that every authenticator app knows: 6 digits, 30 seconds, SHA1.
const (
	Digits = 6
	Period = 30 * time.Second
)

// MaxWindow is the largest window, in steps to either side or in counters ahead. A window of w accepts 2w+1 TOTP codes at
// a time, so that a guess is as many times likelier.
const MaxWindow = 50

// Kind is what a code is made of.
type Kind string

// Kinds.
const (
	TOTP Kind = "totp" // the time, RFC 6238
	HOTP Kind = "hotp" // a counter, RFC 4226
)

// Algorithm is the hash of the HMAC, as otpauth URIs name it.
type Algorithm string

// Algorithms.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// algorithms holds the length of each hash in bytes, which is that of a new seed (RFC 6238, section 5.1).
var algorithms = map[Algorithm]struct {
	pquerna otp.Algorithm
	size    int
}{SHA1: {otp.AlgorithmSHA1, 20}, SHA256: {otp.AlgorithmSHA256, 32}, SHA512: {otp.AlgorithmSHA512, 64}}

// Parameters are what a code depends on besides seed and step.
type Parameters struct {
	Kind      Kind      `json:"kind"`
	Algorithm Algorithm `json:"algorithm"`
	Digits    int       `json:"digits"`           // 6 or 8
	Period    int       `json:"period,omitempty"` // seconds, 1 … 300; of TOTP alone
}

// Standard returns the parameters that every app knows.
func Standard() Parameters {
	return Parameters{Kind: TOTP, Algorithm: SHA1, Digits: Digits, Period: int(Period / time.Second)}
}

// Check says what is wrong with the parameters.
func (p Parameters) Check() error {
	_, known := algorithms[p.Algorithm]
	switch {
	case p.Kind != TOTP && p.Kind != HOTP:
		return fmt.Errorf("unknown kind of code %.8q; it is totp or hotp", p.Kind)
	case !known:
		return fmt.Errorf("unknown algorithm %.8q; it is SHA1, SHA256 or SHA512", p.Algorithm)
	case p.Digits != 6 && p.Digits != 8:
		return fmt.Errorf("a code has 6 or 8 digits, not %d", p.Digits)
	case p.Kind == TOTP && (p.Period < 1 || p.Period > 300):
		return fmt.Errorf("a period has 1 to 300 seconds, not %d", p.Period)
	case p.Kind == HOTP && p.Period != 0:
		return errors.New("a counter has no period")
	}
	return nil
}

// NewSecret draws a seed as long as the algorithm's hash, in Base32 without padding.
func (p Parameters) NewSecret() string {
	seed := make([]byte, algorithms[p.Algorithm].size)
	rand.Read(seed) // never fails: crypto/rand ends the program rather than return
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed)
}

// CheckSecret says whether a seed is Base32 of 10 to 128 bytes; RFC 4226 wants 16 at least, and some services hand out 10. The error does
// not repeat the seed.
func CheckSecret(secret string) error {
	text := strings.TrimRight(secret, "=")
	// Padded, since without it the decoder takes lengths that no encoder makes.
	seed, err := base32.StdEncoding.DecodeString(text + strings.Repeat("=", -len(text)&7))
	switch {
	case err != nil:
		return errors.New("the seed is not Base32")
	case len(seed) < 10 || len(seed) > 128:
		return fmt.Errorf("the seed has %d bytes, not 10 to 128", len(seed))
	}
	return nil
}

// Step is the number of the time step at an instant; for HOTP, whose counter knows no time, it is 0.
func (p Parameters) Step(at time.Time) int64 {
	if p.Kind == HOTP || p.Period <= 0 {
		return 0
	}
	return at.Unix() / int64(p.Period)
}

// Code returns the code of a step or counter.
func (p Parameters) Code(secret string, n int64) (string, error) {
	if n < 0 {
		return "", errors.New("no code has a negative step")
	}
	code, err := hotp.GenerateCodeCustom(secret, uint64(n), hotp.ValidateOpts{Digits: otp.Digits(p.Digits), Algorithm: algorithms[p.Algorithm].pquerna})
	if err != nil {
		return "", fmt.Errorf("one-time password of a broken seed: %w", err)
	}
	return code, nil
}

// Found is what a code turned out to be.
type Found int8

// Findings. The zero value opens nothing.
const (
	Wrong Found = iota
	Used        // right once, but its step is not after the one used last
	Right
)

// Find looks for the step or counter that a code stands for. next is the lowest one that has not been used up. TOTP
// tries the step at the instant at and window steps before and after it; HOTP tries next and the window counters after it,
// and knows as used the window before next. The time that it takes depends on the window alone.
func (p Parameters) Find(secret, code string, at time.Time, next int64, window int) (n int64, found Found) {
	from, to := next-int64(window), next+int64(window)
	if p.Kind == TOTP {
		now := p.Step(at)
		from, to = now-int64(window), now+int64(window)
	}
	for i := from; i <= to; i++ {
		want, err := p.Code(secret, max(i, 0))
		if err != nil {
			return 0, Wrong
		}
		switch same := Equal(code, want) && i >= 0; {
		case same && i >= next && found != Right:
			n, found = i, Right
		case same && found == Wrong:
			n, found = i, Used
		}
	}
	return n, found
}

// resyncWindow is how far ahead of what was used last two codes in a row are looked for.
const resyncWindow = 1000

// Resync finds where a HOTP counter stands that ran ahead: at least next, with two codes in a row that stand there. It returns
// the second one's counter.
func (p Parameters) Resync(secret, first, second string, next int64) (int64, bool) {
	n, ok := int64(0), false
	before := false // whether first was right one counter ago
	for i := next; i <= next+resyncWindow; i++ {
		want, err := p.Code(secret, i)
		if err != nil {
			return 0, false
		}
		if before && Equal(second, want) && !ok {
			n, ok = i, true
		}
		before = Equal(first, want)
	}
	return n, ok
}

// InFours parts a seed as people read it out and type it.
func InFours(secret string) string {
	var b strings.Builder
	for i, c := range secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Key is a new seed with what an app needs to take it over.
type Key struct {
	Secret string // 20 random bytes in Base32 without padding
	URI    string // otpauth://totp/…
}

// NewTOTP draws a seed for the standard parameters; issuer and account are shown by the app.
func NewTOTP(issuer, account string) (Key, error) {
	if issuer == "" || account == "" {
		return Key{}, errors.New("make totp: issuer and account must not be empty")
	}
	secret := Standard().NewSecret()
	return Key{Secret: secret, URI: Standard().URI(secret, issuer, account, 0)}, nil
}

// Match finds the time step that a code of the standard parameters stands for: the one at the instant at, or one next to
// it, but only steps after last, the step used up before (0 for none).
func Match(secret, code string, at time.Time, last int64) (step int64, ok bool) {
	step, found := Standard().Find(secret, code, at, last+1, 1)
	if found != Right {
		return 0, false
	}
	return step, true
}

// Code returns the code of a time step (seconds since 1970 divided by 30) under the standard parameters.
func Code(secret string, step int64) (string, error) { return Standard().Code(secret, step) }

// Equal compares two codes in a time that tells nothing but whether their lengths differ.
func Equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
