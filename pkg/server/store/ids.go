package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/latch-linux/latch/pkg/api"
)

// Lengths of what is drawn from api.Alphabet.
const (
	idLen        = 20 // application, operation, instance, TOTP, control, API user
	secretLen    = 40
	accountIDLen = 64
	codeLen      = 6
	tokenLen     = 6
)

// random returns n characters of api.Alphabet, each equally likely.
func random(n int) string {
	const fair = 256 - 256%len(api.Alphabet) // bytes from here on would favour the first letters
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		rand.Read(buf[:])
		for _, b := range buf {
			if int(b) < fair && len(out) < n {
				out = append(out, api.Alphabet[int(b)%len(api.Alphabet)])
			}
		}
	}
	return string(out)
}

// pairingKey is the row id of an account: 63 bits of a hash. Readers compare the whole account id;
// makers draw another one if the row is taken.
func pairingKey(accountID string) int64 {
	sum := sha256.Sum256([]byte(accountID))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}
