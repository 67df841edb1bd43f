package otpfile

import (
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/otp"
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

func TestGoogle(t *testing.T) {
	g, err := google([]byte(googleTOTP))
	if err != nil {
		t.Fatal(err)
	}
	if g.Parameters != (otp.Parameters{Kind: otp.TOTP, Algorithm: otp.SHA1, Digits: 6, Period: 60}) || g.Window != 8 || g.Next != 56666669 || !slices.Equal(g.Recovery, []string{"12345678", "00000001"}) ||
		g.Secret != "JBSWY3DPEHPK3PXPJBSWY3DPEH" || len(g.Notes) != 1 {
		t.Errorf("%+v", g)
	}
	// Where both stand the module counts.
	g, err = google([]byte("JBSWY3DPEHPK3PXPJBSWY3DPEH\r\n\" TOTP_AUTH\r\n\" HOTP_COUNTER 42\r\n\" LAST0 host 1700000000\r\n"))
	if err != nil || g.Parameters != (otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6}) || g.Next != 42 || g.Window != 2 || len(g.Notes) != 0 {
		t.Errorf("%+v, %v", g, err)
	}
	g, err = google([]byte(" jbsw y3dp-ehpk 3pxp jbsw y3dp eh\n\" TOTP_AUTH\n\" TIME_SKEW -3\n\" NEW_THING x\n"))
	if err != nil || g.Secret != "JBSWY3DPEHPK3PXPJBSWY3DPEH" || g.Window != 4 || g.Period != 30 || len(g.Notes) != 3 {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestGoogleRefuses(t *testing.T) {
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "line 1: the seed"},
		"no seed":          {"\" TOTP_AUTH\n", "line 1: the seed"},
		"short seed":       {"JBSWY3DP\n\" TOTP_AUTH\n", "line 1: the seed has 5 bytes"},
		"neither":          {secret + "\n", "neither TOTP_AUTH nor HOTP_COUNTER"},
		"counter":          {secret + "\n\n\" HOTP_COUNTER x\n", "line 3: HOTP_COUNTER is no number"},
		"no counter":       {secret + "\n\" HOTP_COUNTER\n", "line 2: HOTP_COUNTER is no number"},
		"large counter":    {secret + "\n\" HOTP_COUNTER 99999999999999999999\n", "line 2: HOTP_COUNTER is out of range"},
		"negative counter": {secret + "\n\" HOTP_COUNTER -1\n", "line 2: HOTP_COUNTER is no number"},
		"window 0":         {secret + "\n\" TOTP_AUTH\n\" WINDOW_SIZE 0\n", "line 3: WINDOW_SIZE is no number between 1 and 100"},
		"window 101":       {secret + "\n\" TOTP_AUTH\n\" WINDOW_SIZE 101\n", "line 3: WINDOW_SIZE"},
		"window twice":     {secret + "\n\" TOTP_AUTH\n\" WINDOW_SIZE 3\n\" WINDOW_SIZE 4\n", `line 4: "WINDOW_SIZE" stands in line 3 already`},
		"period 0":         {secret + "\n\" TOTP_AUTH\n\" STEP_SIZE 0\n", "line 3: STEP_SIZE"},
		"used":             {secret + "\n\" TOTP_AUTH\n\" DISALLOW_REUSE x\n", "line 3: DISALLOW_REUSE"},
		"skew":             {secret + "\n\" TOTP_AUTH\n\" TIME_SKEW much\n", "line 3: TIME_SKEW"},
		"scratch":          {secret + "\n\" TOTP_AUTH\n1234567\n", "line 3: neither an option nor an emergency code"},
		"text":             {secret + "\n\" TOTP_AUTH\n12345678\nhello\n", "line 4: neither an option nor an emergency code"},
		"no name":          {secret + "\n\"\n", "line 2: an option without a name"},
		"too many":         {secret + "\n\" TOTP_AUTH\n" + strings.Repeat("12345678\n", 21), "line 23: more than 20"},
	} {
		if _, err := google([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		} else if strings.Contains(err.Error(), "JBSWY") {
			t.Errorf("%s: the error shows the seed: %v", name, err)
		}
	}
}
