package otp

import (
	"strings"
	"testing"
)

// TestIgnored: what every app can needs no warning, and each thing that some cannot has one with their names.
func TestIgnored(t *testing.T) {
	if told := Standard().Ignored(); len(told) > 0 {
		t.Errorf("of the usual parameters: %q", told)
	}
	for name, c := range map[string]struct {
		p    Parameters
		want []string
	}{
		"digits":    {Parameters{TOTP, SHA1, 8, 30}, []string{"8 digits: Microsoft Authenticator"}},
		"period":    {Parameters{TOTP, SHA1, 6, 60}, []string{"a period of 60 s: Microsoft Authenticator and Google Authenticator"}},
		"algorithm": {Parameters{TOTP, SHA256, 6, 30}, []string{"SHA256: Microsoft Authenticator, Authy, Duo Mobile"}},
		"counter":   {Parameters{HOTP, SHA1, 6, 0}, []string{"codes that count: Microsoft Authenticator"}},
		"all":       {Parameters{TOTP, SHA512, 8, 15}, []string{"SHA512", "8 digits", "a period of 15 s"}},
	} {
		told := c.p.Ignored()
		if len(told) != len(c.want) {
			t.Errorf("%s: %q", name, told)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(told[i], want) {
				t.Errorf("%s: %q, want %q", name, told[i], want)
			}
		}
	}
}

func TestParseURI(t *testing.T) {
	for _, p := range []Parameters{Standard(), {TOTP, SHA512, 8, 60}, {HOTP, SHA256, 6, 0}} {
		want := Link{p, rfcSecret, "Example & co", "ana", 0}
		if p.Kind == HOTP {
			want.Counter = 7
		}
		if got, err := ParseURI(p.URI(rfcSecret, "Example & co", "ana", want.Counter)); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	for uri, want := range map[string]Link{
		"otpauth://totp/x?secret=" + rfcSecret:                                       {Standard(), rfcSecret, "", "x", 0},
		"otpauth://totp/Example%3A%20ana?secret=" + strings.ToLower(rfcSecret) + "=": {Standard(), rfcSecret, "Example", "ana", 0},
		"otpauth://TOTP?secret=" + InFours(rfcSecret) + "&issuer=a+b":                {Standard(), rfcSecret, "a b", "", 0},
	} {
		if got, err := ParseURI(strings.ReplaceAll(uri, " ", "%20")); err != nil || got != want {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
	for _, uri := range []string{"", "https://totp/x?secret=" + rfcSecret, "otpauth://totp/x", "otpauth://motp/x?secret=" + rfcSecret,
		"otpauth://totp/%zz?secret=" + rfcSecret, "otpauth://totp/x?digits=x&secret=" + rfcSecret, "otpauth://totp/x?secret=" + rfcSecret + "!",
		"otpauth://totp/x?digits=7&secret=" + rfcSecret, "otpauth://hotp/x?counter=-1&secret=" + rfcSecret, "otpauth://totp/x?algorithm=" + rfcSecret + "&secret=" + rfcSecret} {
		if _, err := ParseURI(uri); err == nil || strings.Contains(err.Error(), rfcSecret) {
			t.Errorf("%q: %v", uri, err)
		}
	}
}
