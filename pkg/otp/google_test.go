package otp

import (
	"slices"
	"strings"
	"testing"
)

// googleTOTP is what `google-authenticator -t -d -r 3 -R 30 -w 17 -S 30` writes, with codes used and others left.
const googleTOTP = `JBSWY3DPEHPK3PXPJBSWY3DPEH
" RATE_LIMIT 3 30 1700000000
" WINDOW_SIZE 17
" DISALLOW_REUSE 56666666 56666668 56666667
" STEP_SIZE 60
" TOTP_AUTH
12345678
00000001
`

func TestParseGoogle(t *testing.T) {
	g, err := ParseGoogle([]byte(googleTOTP))
	if err != nil {
		t.Fatal(err)
	}
	if g.Parameters != (Parameters{TOTP, SHA1, 6, 60}) || g.Window != 8 || g.Next != 56666669 || !slices.Equal(g.Scratch, []string{"12345678", "00000001"}) ||
		g.Secret != "JBSWY3DPEHPK3PXPJBSWY3DPEH" || len(g.Dropped) != 1 {
		t.Errorf("%+v", g)
	}
	g, err = ParseGoogle([]byte("JBSWY3DPEHPK3PXPJBSWY3DPEH\r\n\" HOTP_COUNTER 42\r\n\" LAST0 host 1700000000\r\n"))
	if err != nil || g.Parameters != (Parameters{HOTP, SHA1, 6, 0}) || g.Next != 42 || g.Window != 2 || len(g.Dropped) != 0 {
		t.Errorf("%+v, %v", g, err)
	}
	g, err = ParseGoogle([]byte("JBSWY3DPEHPK3PXPJBSWY3DPEH\n\" TOTP_AUTH\n\" TIME_SKEW 3\n\" NEW thing\n"))
	if err != nil || g.Window != 1 || g.Period != 30 || len(g.Dropped) != 3 {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestParseGoogleRefuses(t *testing.T) {
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
	for name, text := range map[string]string{
		"empty": "", "no seed": "\" TOTP_AUTH\n", "neither": secret + "\n", "both": secret + "\n\" TOTP_AUTH\n\" HOTP_COUNTER 1\n",
		"short seed": "JBSWY3DP\n\" TOTP_AUTH\n", "counter": secret + "\n\" HOTP_COUNTER x\n", "large counter": secret + "\n\" HOTP_COUNTER 99999999999999999999\n",
		"negative counter": secret + "\n\" HOTP_COUNTER -1\n",
		"window 0":         secret + "\n\" TOTP_AUTH\n\" WINDOW_SIZE 0\n", "window 101": secret + "\n\" TOTP_AUTH\n\" WINDOW_SIZE 101\n",
		"window twice": secret + "\n\" TOTP_AUTH\n\" WINDOW_SIZE 3\n\" WINDOW_SIZE 4\n", "period 0": secret + "\n\" TOTP_AUTH\n\" STEP_SIZE 0\n",
		"used": secret + "\n\" TOTP_AUTH\n\" DISALLOW_REUSE x\n", "scratch": secret + "\n\" TOTP_AUTH\n1234567\n", "text": secret + "\n\" TOTP_AUTH\nhello\n",
		"no name": secret + "\n\"\n", "too many": secret + "\n\" TOTP_AUTH\n" + strings.Repeat("12345678\n", 21),
	} {
		if _, err := ParseGoogle([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		} else if strings.Contains(err.Error(), "JBSWY") {
			t.Errorf("%s: the error shows the seed: %v", name, err)
		}
	}
}

func FuzzParseGoogle(f *testing.F) {
	f.Add([]byte(googleTOTP))
	f.Add([]byte("JBSWY3DPEHPK3PXPJBSWY3DPEH\n\" HOTP_COUNTER 42\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := ParseGoogle(data)
		if err != nil {
			return
		}
		if g.Check() != nil || CheckSecret(g.Secret) != nil || g.Next < 0 || g.Window < 0 || g.Window > MaxWindow || len(g.Scratch) > maxScratch {
			t.Errorf("%q became %+v", data, g)
		}
		if _, err := g.Code(g.Secret, g.Next); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	})
}
