package otp

import (
	"encoding/base64"
	"image/png"
	"net/url"
	"strings"
	"testing"
	"time"
)

// rfcSecret is RFC 6238's test seed "12345678901234567890" in Base32.
const rfcSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func TestCodeMatchesRFC6238(t *testing.T) {
	for unix, want := range map[int64]string{ // appendix B, last six digits
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		got, err := Code(rfcSecret, unix/30)
		if err != nil || got != want {
			t.Errorf("code at %d is %q (%v), want %q", unix, got, err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	at := time.Unix(1111111109, 0)
	now := at.Unix() / 30
	code := func(step int64) string {
		c, err := Code(rfcSecret, step)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]struct {
		code string
		last int64
		step int64
		ok   bool
	}{
		"current step":         {code(now), 0, now, true},
		"one step behind":      {code(now - 1), 0, now - 1, true},
		"one step ahead":       {code(now + 1), 0, now + 1, true},
		"two steps behind":     {code(now - 2), 0, 0, false},
		"two steps ahead":      {code(now + 2), 0, 0, false},
		"used before":          {code(now), now, 0, false},
		"older than last used": {code(now - 1), now, 0, false},
		"newer than last used": {code(now + 1), now, now + 1, true},
		"empty":                {"", 0, 0, false},
		"longer":               {code(now) + "0", 0, 0, false},
		"shorter":              {code(now)[:5], 0, 0, false},
	} {
		step, ok := Match(rfcSecret, c.code, at, c.last)
		if step != c.step || ok != c.ok {
			t.Errorf("%s: got step %d, %v, want %d, %v", name, step, ok, c.step, c.ok)
		}
	}
	if _, ok := Match("not base32!", "000000", at, 0); ok {
		t.Error("a broken seed matched a code")
	}
}

func TestNewTOTP(t *testing.T) {
	k, err := NewTOTP("Latch & co", "ana@example.org")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(k.URI)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Latch & co:ana@example.org" {
		t.Errorf("uri is %q (%v)", k.URI, err)
	}
	if q := u.Query(); q.Get("secret") != k.Secret || q.Get("issuer") != "Latch & co" || len(k.Secret) != 32 {
		t.Errorf("uri %q does not hold the seed and issuer", k.URI)
	}
	if strings.Contains(k.URI, "+") {
		t.Errorf("uri %q has a + for a space", k.URI)
	}
	if other, _ := NewTOTP("a", "b"); other.Secret == k.Secret {
		t.Error("two seeds are the same")
	}
	if _, err := NewTOTP("", "b"); err == nil {
		t.Error("an empty issuer was taken")
	}
}

func TestQRIsAPNG(t *testing.T) {
	k, err := NewTOTP("Latch", "ana")
	if err != nil {
		t.Fatal(err)
	}
	uri, err := QR(k.URI)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(uri, "data:image/png;base64,")
	if !ok {
		t.Fatalf("data uri starts with %.30q", uri)
	}
	img, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	if err != nil || img.Bounds().Dx() != qrSize {
		t.Errorf("not a png of the right size: %v", err)
	}
	if _, err := QR("otpauth://totp/%zz"); err == nil {
		t.Error("a broken uri made a qr code")
	}
}
