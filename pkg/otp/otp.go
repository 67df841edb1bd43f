// Package otp makes and checks one-time passwords at a given instant. It holds no state: who calls
// it keeps the step that a code used up, so that one time means one time.
package otp

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"image/png"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

// The parameters that every authenticator app knows: 6 digits, 30 seconds, SHA1.
const (
	Digits = 6
	Period = 30 * time.Second
)

// window is how many steps a phone's clock may be behind or ahead.
const window = 1

// qrSize is the width and height of a QR code in pixels.
const qrSize = 256

// Key is a new seed with what an app needs to take it over.
type Key struct {
	Secret string // 20 random bytes in Base32 without padding
	URI    string // otpauth://totp/…
}

// NewTOTP draws a seed; issuer and account are shown by the app.
func NewTOTP(issuer, account string) (Key, error) {
	k, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: account})
	if err != nil {
		return Key{}, fmt.Errorf("make totp: %w", err)
	}
	return Key{Secret: k.Secret(), URI: TOTPURI(k.Secret(), issuer, account)}, nil
}

// TOTPURI returns the otpauth URI of a seed. It is written here and not by the otp module, which
// leaves an & in the issuer as it is; a space is %20 because apps show a + as such.
func TOTPURI(secret, issuer, account string) string {
	q := url.Values{
		"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"},
		"digits": {strconv.Itoa(Digits)}, "period": {strconv.Itoa(int(Period / time.Second))},
	}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account,
		RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20")}
	return u.String()
}

// Match finds the time step a code stands for: the one at the instant at, or one next to it, but
// only steps after last, the step used up before (0 for none). It takes the same time whichever step
// matches.
func Match(secret, code string, at time.Time, last int64) (step int64, ok bool) {
	now := at.Unix() / int64(Period/time.Second)
	for s := now - window; s <= now+window; s++ {
		want, err := Code(secret, s)
		if err != nil {
			return 0, false
		}
		if Equal(code, want) && s > last && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

// Code returns the code of a time step (seconds since 1970 divided by 30).
func Code(secret string, step int64) (string, error) {
	code, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return "", fmt.Errorf("totp secret: %w", err)
	}
	return code, nil
}

// Equal compares two codes in a time that tells nothing but whether their lengths differ.
func Equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// QR returns a URI as a QR code: a PNG in a data URI, which any browser opens.
func QR(uri string) (string, error) {
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return "", fmt.Errorf("qr code: %w", err)
	}
	img, err := key.Image(qrSize, qrSize)
	if err != nil {
		return "", fmt.Errorf("qr code: %w", err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return "", fmt.Errorf("qr code: %w", err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(out.Bytes()), nil
}
