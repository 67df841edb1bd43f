package pages

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/latch-linux/latch/pkg/server/store"
)

// Flags of authenticator data (WebAuthn Level 3, section 6.1).
const (
	flagPresent        = 1 << 0
	flagVerified       = 1 << 2
	flagBackupEligible = 1 << 3
)

// softKey is a passkey in software.
type softKey struct {
	id      []byte
	private *ecdsa.PrivateKey
}

// softPasskey gives a person a passkey that was made with these flags.
func (b *bed) softPasskey(user int64, made webauthn.CredentialFlags) softKey {
	b.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	b.must(err)
	point, err := private.PublicKey.Bytes()
	b.must(err)
	// A COSE key (RFC 9053): EC2, ES256, P-256, x, y.
	cose := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33]...)
	cose = append(append(cose, 0x22, 0x58, 32), point[33:]...)
	k := softKey{id: []byte("soft passkey"), private: private}
	kept, err := json.Marshal(webauthn.Credential{ID: k.id, PublicKey: cose, Flags: made})
	b.must(err)
	b.must(b.store.AddPasskey(b.ctx, store.Passkey{CredentialID: k.id, User: user, Name: "phone", Credential: string(kept)}, 0))
	return k
}

// show answers the challenge of a page as a browser does, with these flags, and returns the response.
func (k softKey) show(c *client, handle []byte, flags byte) *http.Response {
	b := c.b
	b.t.Helper()
	var options struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
			RPID      string `json:"rpId"`
		} `json:"publicKey"`
	}
	b.must(json.Unmarshal([]byte(text(b.t, c.do("POST", "/signin/passkey/options", url.Values{}))), &options))
	client, err := json.Marshal(map[string]any{"type": "webauthn.get", "challenge": options.PublicKey.Challenge,
		"origin": b.site.public.Scheme + "://" + b.site.public.Host})
	b.must(err)
	party := sha256.Sum256([]byte(options.PublicKey.RPID))
	data := binary.BigEndian.AppendUint32(append(party[:], flags), 0)
	hashed := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hashed[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	b.must(err)
	enc := base64.RawURLEncoding.EncodeToString
	body, err := json.Marshal(map[string]any{"id": enc(k.id), "rawId": enc(k.id), "type": "public-key", "response": map[string]string{
		"authenticatorData": enc(data), "clientDataJSON": enc(client), "signature": enc(signature), "userHandle": enc(handle)}})
	b.must(err)
	r := httptest.NewRequest("POST", testURL+"/signin/passkey", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	return c.roundTrip(r)
}

// TestPasskeysThatAreBackedUpLater: KeePassXC and iCloud set "backup eligible" on passkeys that were made without it.
func TestPasskeysThatAreBackedUpLater(t *testing.T) {
	t.Parallel()
	made := webauthn.CredentialFlags{UserPresent: true, UserVerified: true}
	eligible := made
	eligible.BackupEligible = true
	const plain = flagPresent | flagVerified
	for name, step := range map[string]struct {
		made  webauthn.CredentialFlags
		shown []byte
		want  []int
	}{
		"never":            {made, []byte{plain, plain}, []int{200, 200}},
		"later":            {made, []byte{plain, plain | flagBackupEligible, plain | flagBackupEligible}, []int{200, 200, 200}},
		"later, then back": {made, []byte{plain | flagBackupEligible, plain}, []int{200, 422}},
		"no more":          {eligible, []byte{plain}, []int{422}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			_, row := b.join("ana")
			key := b.softPasskey(row, step.made)
			for i, flags := range step.shown {
				if resp := key.show(b.client(), b.store.UserHandle(row), flags); resp.StatusCode != step.want[i] {
					t.Errorf("use %d is answered %s, want %d", i+1, resp.Status, step.want[i])
				}
			}
		})
	}
}

// TestASecondTapOnRemove: what is gone already is not found, and no fault of the server.
func TestASecondTapOnRemove(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	for path, form := range map[string]url.Values{
		"/account/passkeys/7/remove": {}, "/account/passkeys/7/name": {"name": {"phone"}}, "/account/sessions/7/end": {},
		"/notices/channels/7/remove": {},
	} {
		if resp := c.do("POST", path, form); resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusSeeOther {
			t.Errorf("POST %s: %s", path, resp.Status)
		}
	}
}
