package webpush

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

func decode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVector is the example of RFC 8291, section 5 and appendix A.
func TestVector(t *testing.T) {
	own, err := ecdh.P256().NewPrivateKey(decode(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := encrypt([]byte("When I grow up, I want to be a watermelon"),
		decode(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
		decode(t, "BTBZMqHH6r4Tts7J_aSIgg"), own, decode(t, "DGv6ra1nlYgDCS1FRnbzlw"), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := decode(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"+
		"yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	if !bytes.Equal(body, want) {
		t.Errorf("body is %x, want %x", body, want)
	}
}

func TestEncrypt(t *testing.T) {
	browser := decode(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
	auth := make([]byte, AuthSize)
	var last []byte
	for n, size := range map[int]int{0: Usual, 1: Usual, 100: Short, Short - overhead: Short, Long - overhead: Long} {
		body, err := Encrypt(make([]byte, n), browser, auth, size)
		if err != nil || len(body) != size {
			t.Errorf("%d bytes make a body of %d, %v; want %d", n, len(body), err, size)
		}
		if bytes.Equal(body[:headerSize], last) {
			t.Error("salt and key are those of the message before")
		}
		last = body[:headerSize]
	}
	if _, err := Encrypt(make([]byte, Usual-overhead+1), browser, auth, Usual); !errors.Is(err, ErrTooLong) {
		t.Errorf("one byte too many: %v", err)
	}
	off := bytes.Clone(browser)
	off[64] ^= 1
	for what, keys := range map[string][2][]byte{
		"a point off the curve": {off, auth}, "no key": {nil, auth}, "a short key": {browser[:64], auth}, "a short secret": {browser, auth[:15]},
	} {
		if _, err := Encrypt(nil, keys[0], keys[1], Usual); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestAuthorization(t *testing.T) {
	der, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(der)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	header, err := key.Authorization("https://push.example:8443/send/abc?x=1", "mailto:it@example.org", now)
	if err != nil {
		t.Fatal(err)
	}
	token, public, ok := strings.Cut(strings.TrimPrefix(header, "vapid t="), ", k=")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 || public != key.Public() {
		t.Fatalf("header is %q", header)
	}
	var claims struct {
		Aud, Sub string
		Exp      int64
	}
	if err := json.Unmarshal(decode(t, parts[1]), &claims); err != nil || claims.Aud != "https://push.example:8443" ||
		claims.Sub != "mailto:it@example.org" || claims.Exp != now.Add(tokenLife).Unix() {
		t.Errorf("claims are %+v, %v", claims, err)
	}
	verifier, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), decode(t, public))
	if err != nil {
		t.Fatal(err)
	}
	sum, signature := sha256.Sum256([]byte(parts[0]+"."+parts[1])), decode(t, parts[2])
	if !ecdsa.Verify(verifier, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the signature does not verify")
	}
	if _, err := ParseKey(der[:len(der)-1]); err == nil {
		t.Error("half a key was taken")
	}
}
