// Package seal keeps secrets unreadable in a database or a file whose key lies elsewhere.
//
// A sealed record is a 24-byte random nonce followed by XChaCha20-Poly1305 of the plain text. The
// associated data names the row that owns it, so that a record copied to another row does not open.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// ErrBroken says that a record was sealed with another key, belongs to another row or was changed.
var ErrBroken = errors.New("sealed record does not open with this key")

// Box seals and opens records with one key. It is safe for concurrent use.
type Box struct {
	aead cipher.AEAD
	mac  []byte
}

// NewKey draws a fresh key from the system's random source.
func NewKey() []byte {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails: crypto/rand ends the program rather than return
	return key
}

// New returns the box for a key of KeySize bytes. Sealing and digests use separate keys derived
// from it, so that neither says anything about the other.
func New(key []byte) (*Box, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("sealing key has %d bytes, want %d", len(key), KeySize)
	}
	sealing, err := hkdf.Key(sha256.New, key, nil, "latch seal v1", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive sealing key: %w", err)
	}
	mac, err := hkdf.Key(sha256.New, key, nil, "latch digest v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive digest key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(sealing)
	if err != nil {
		return nil, fmt.Errorf("prepare cipher: %w", err)
	}
	return &Box{aead: aead, mac: mac}, nil
}

// Seal encrypts plain, bound to ad, under a nonce of its own.
func (b *Box) Seal(plain, ad []byte) []byte {
	nonce := make([]byte, b.aead.NonceSize(), b.aead.NonceSize()+len(plain)+b.aead.Overhead())
	rand.Read(nonce)
	return b.aead.Seal(nonce, nonce, plain, ad)
}

// Open decrypts what Seal returned for the same ad, or fails with ErrBroken.
func (b *Box) Open(sealed, ad []byte) ([]byte, error) {
	if len(sealed) < b.aead.NonceSize() {
		return nil, ErrBroken
	}
	nonce, text := sealed[:b.aead.NonceSize()], sealed[b.aead.NonceSize():]
	plain, err := b.aead.Open(nil, nonce, text, ad)
	if err != nil {
		return nil, ErrBroken
	}
	return plain, nil
}

// Digest returns HMAC-SHA256 of data under a key of its own: what is stored of a short code that
// must be found again but not read.
func (b *Box) Digest(data []byte) []byte {
	h := hmac.New(sha256.New, b.mac)
	h.Write(data)
	return h.Sum(nil)
}
