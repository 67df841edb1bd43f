// Package webpush makes the messages of Web Push: the encryption that keeps a push service from reading them (RFC 8291 on top of
// RFC 8188) and the signature by which it knows the sender (VAPID, RFC 8292). It sends nothing itself.
//
// github.com/SherClockHolmes/webpush-go v1.4.0 is not used: it does its arithmetic with the deprecated functions of
// crypto/elliptic, writes private keys as bare numbers, and brings a JWT library for one fixed header. The standard library
// has every primitive, and RFC 8291's example is a test.
package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	KeySize  = 65                       // of a browser's public key: an uncompressed point of P-256
	AuthSize = 16                       // of its authentication secret
	overhead = headerSize + tagSize + 1 // of a body over its message

	// Lengths of bodies. All bodies of one length look the same to the push service. RFC 8030 lets it refuse more than 4096
	// bytes, and the bridge of Firefox for Android takes 3070.
	Short, Usual, Long = 1024, 2048, 3070

	recordSize = 4096
	saltSize   = 16
	headerSize = saltSize + 4 + 1 + KeySize
	tagSize    = 16
)

// ErrTooLong says that a message does not fit into a body of the wanted length.
var ErrTooLong = errors.New("push message is too long")

// Encrypt returns the body of a push message (Content-Encoding: aes128gcm) that only the browser with this public key and this
// authentication secret can read. Padding gives it the length size, in bytes: Short, Usual or Long.
func Encrypt(plain, browserKey, auth []byte, size int) ([]byte, error) {
	if len(plain) > size-overhead {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, len(plain), size-overhead)
	}
	own, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return encrypt(plain, browserKey, auth, own, salt, size-overhead-len(plain))
}

func encrypt(plain, browserKey, auth []byte, own *ecdh.PrivateKey, salt []byte, padding int) ([]byte, error) {
	if err := CheckKeys(browserKey, auth); err != nil {
		return nil, err
	}
	browser, err := ecdh.P256().NewPublicKey(browserKey)
	if err != nil {
		return nil, err
	}
	shared, err := own.ECDH(browser)
	if err != nil {
		return nil, err
	}
	public := own.PublicKey().Bytes()
	input, err := hkdf.Key(sha256.New, shared, auth, "WebPush: info\x00"+string(browserKey)+string(public), sha256.Size)
	if err != nil {
		return nil, err
	}
	gcm, nonce, err := record(input, salt)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, overhead+len(plain)+padding)
	body = append(body, salt...)
	body = binary.BigEndian.AppendUint32(body, recordSize)
	body = append(body, byte(len(public)))
	body = append(body, public...)
	// One record, the last: a 2 ends the text, zeros follow.
	text := append(append(append(make([]byte, 0, len(plain)+1+padding), plain...), 2), make([]byte, padding)...)
	return gcm.Seal(body, nonce, text, nil), nil
}

// record derives the key and the nonce of the one record that a message has.
func record(input, salt []byte) (cipher.AEAD, []byte, error) {
	key, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	gcm, err := cipher.NewGCM(block)
	return gcm, nonce, err
}

// CheckKeys refuses what no browser's subscription has.
func CheckKeys(browserKey, auth []byte) error {
	if len(auth) != AuthSize {
		return fmt.Errorf("push subscription: authentication secret has %d bytes, want %d", len(auth), AuthSize)
	}
	if _, err := ecdh.P256().NewPublicKey(browserKey); err != nil {
		return fmt.Errorf("push subscription: public key: %w", err)
	}
	return nil
}
