package otp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"unicode"
)

// RecoveryCount is how many recovery codes a person gets at a time.
const RecoveryCount = 10

// recoveryAlphabet is Crockford's Base32: no I, L, O and U, which are mistaken for others or make words.
const recoveryAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// recoveryLength is the symbols of a recovery code: 50 random bits, too many to guess through any number of addresses.
const recoveryLength = 10

// NewRecovery draws RecoveryCount codes, as they are printed: XXXXX-XXXXX.
func NewRecovery() []string {
	codes := make([]string, RecoveryCount)
	for i := range codes {
		symbols := make([]byte, recoveryLength)
		rand.Read(symbols)
		for j := range symbols {
			symbols[j] = recoveryAlphabet[symbols[j]%32]
		}
		codes[i] = string(symbols[:5]) + "-" + string(symbols[5:])
	}
	return codes
}

// Typed returns a code without what apps show between its digits and pages add when it is copied: hyphens and white space of
// every kind, no-break spaces included.
func Typed(code string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, code)
}

// NormalRecovery returns what a person typed in the form that is hashed: capitals, no hyphens and blanks, 0 for O, 1 for I
// and L. ok is false for what cannot be a recovery code.
func NormalRecovery(typed string) (normal string, ok bool) {
	if len(typed) > 8*recoveryLength {
		return "", false
	}
	normal = strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(Typed(typed)))
	if len(normal) != recoveryLength {
		return "", false
	}
	for _, c := range []byte(normal) {
		if strings.IndexByte(recoveryAlphabet, c) < 0 {
			return "", false
		}
	}
	return normal, true
}

// RecoveryHash is what is stored of a recovery code: HMAC-SHA256 under the record's key.
func RecoveryHash(key []byte, normal string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(normal))
	return h.Sum(nil)
}

// FindRecovery returns the index of a code among hashes, or -1. It takes the same time whichever it is.
func FindRecovery(key []byte, hashes [][]byte, normal string) int {
	want, at := RecoveryHash(key, normal), -1
	for i, h := range hashes {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(h, want), i, at)
	}
	return at
}
