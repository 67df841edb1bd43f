// Package webpushtest is the receiving end of Web Push for tests: a browser's keys, and what it does with a message.
package webpushtest

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
	"strings"
)

// Browser is a browser with a subscription.
type Browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

// New draws a browser's keys.
func New() (*Browser, error) {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	auth := make([]byte, 16)
	rand.Read(auth)
	return &Browser{key, auth}, nil
}

// Keys returns the public key (p256dh) and the authentication secret (auth) of the subscription.
func (b *Browser) Keys() (p256dh, auth []byte) { return b.key.PublicKey().Bytes(), b.auth }

// Read decrypts the body of a message, as RFC 8291 and RFC 8188 have the receiving side do it.
func (b *Browser) Read(body []byte) ([]byte, error) {
	const head = 16 + 4 + 1 + 65 // salt, record size, length of the key, key
	if len(body) < head || binary.BigEndian.Uint32(body[16:20]) != 4096 || body[20] != 65 {
		return nil, fmt.Errorf("the head is %x", body[:min(len(body), 21)])
	}
	salt, sender := body[:16], body[21:head]
	gcm, nonce, err := b.cipher(salt, sender)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, nonce, body[head:], nil)
	if err != nil {
		return nil, err
	}
	text, ok := strings.CutSuffix(strings.TrimRight(string(plain), "\x00"), "\x02")
	if !ok {
		return nil, errors.New("the last record has no delimiter")
	}
	return []byte(text), nil
}

func (b *Browser) cipher(salt, sender []byte) (cipher.AEAD, []byte, error) {
	public, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, nil, err
	}
	shared, err := b.key.ECDH(public)
	if err != nil {
		return nil, nil, err
	}
	own, auth := b.Keys()
	input, err := hkdf.Key(sha256.New, shared, auth, "WebPush: info\x00"+string(own)+string(sender), 32)
	if err != nil {
		return nil, nil, err
	}
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
