package webpush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// tokenLife is how long a signature is good for; RFC 8292 allows a day, and clocks differ.
const tokenLife = 12 * time.Hour

// Key is what push services know a sender by. A browser's subscription belongs to one key: with another it is worthless.
type Key struct {
	private *ecdsa.PrivateKey
	public  []byte
}

// NewKey draws a key, as ParseKey reads it.
func NewKey() ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalECPrivateKey(private)
}

// ParseKey reads what NewKey has made.
func ParseKey(der []byte) (Key, error) {
	private, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return Key{}, fmt.Errorf("push key: %w", err)
	}
	public, err := private.PublicKey.ECDH()
	if err != nil {
		return Key{}, fmt.Errorf("push key: %w", err)
	}
	return Key{private, public.Bytes()}, nil
}

// Public is the public key as pages give it to the browser (applicationServerKey): URL-safe Base64 without padding.
func (k Key) Public() string { return base64.RawURLEncoding.EncodeToString(k.public) }

// Authorization returns the Authorization header for a message to endpoint at now. contact is a mailto: or https: address that
// the push service's operators may write to.
func (k Key) Authorization(endpoint, contact string, now time.Time) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"aud": u.Scheme + "://" + u.Host, "exp": now.Add(tokenLife).Unix(), "sub": contact,
	})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + enc.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return "vapid t=" + text + "." + enc.EncodeToString(signature) + ", k=" + k.Public(), nil
}
