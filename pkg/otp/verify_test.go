package otp

import (
	"encoding/base32"
	"strings"
	"testing"
	"time"
)

// seed returns RFC 6238's test seed of n bytes, the digits repeated, in Base32.
func seed(n int) string {
	text := strings.Repeat("1234567890", 7)[:n]
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(text))
}

func code(t *testing.T, p Parameters, secret string, n int64) string {
	t.Helper()
	c, err := p.Code(secret, n)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRFC6238 is appendix B of RFC 6238.
func TestRFC6238(t *testing.T) {
	table := map[Algorithm]map[int64]string{
		SHA1:   {59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"},
		SHA256: {59: "46119246", 1111111109: "68084774", 1111111111: "67062674", 1234567890: "91819424", 2000000000: "90698825", 20000000000: "77737706"},
		SHA512: {59: "90693936", 1111111109: "25091201", 1111111111: "99943326", 1234567890: "93441116", 2000000000: "38618901", 20000000000: "47863826"},
	}
	for algorithm, codes := range table {
		p := Parameters{Kind: TOTP, Algorithm: algorithm, Digits: 8, Period: 30}
		secret := seed(algorithms[algorithm].size)
		for unix, want := range codes {
			at := time.Unix(unix, 0)
			if got := code(t, p, secret, p.Step(at)); got != want {
				t.Errorf("%s at %d: %s, want %s", algorithm, unix, got, want)
			}
			if n, found := p.Find(secret, want, at, 0, 0); found != Right || n != unix/30 {
				t.Errorf("%s at %d: found %v at %d", algorithm, unix, found, n)
			}
		}
	}
}

// TestRFC4226 is appendix D of RFC 4226.
func TestRFC4226(t *testing.T) {
	p := Parameters{Kind: HOTP, Algorithm: SHA1, Digits: 6}
	for n, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := code(t, p, rfcSecret, int64(n)); got != want {
			t.Errorf("counter %d: %s, want %s", n, got, want)
		}
	}
}

func TestFindTOTP(t *testing.T) {
	p := Parameters{Kind: TOTP, Algorithm: SHA256, Digits: 8, Period: 60}
	at := time.Unix(60*1000+59, 0)
	for _, c := range []struct {
		step, next int64
		window     int
		want       Found
	}{
		{1000, 0, 0, Right}, {1001, 0, 0, Wrong}, {999, 0, 0, Wrong},
		{1001, 0, 1, Right}, {999, 0, 1, Right}, {998, 0, 1, Wrong}, {1002, 0, 1, Wrong},
		{1000, 1000, 1, Right}, {1000, 1001, 1, Used}, {999, 1001, 1, Used}, {1001, 1001, 1, Right}, {1001, 1002, 1, Used},
		{998, 1001, 2, Used}, {998, 1001, 50, Used}, {950, 0, 50, Right},
	} {
		n, found := p.Find(seed(32), code(t, p, seed(32), c.step), at, c.next, c.window)
		if found != c.want || found != Wrong && n != c.step {
			t.Errorf("%+v: %v at %d", c, found, n)
		}
	}
	for _, typed := range []string{"", "1", "123456", "123456789", "00000000", strings.Repeat("1", 100000)} {
		if _, found := p.Find(seed(32), typed, at, 0, 1); found != Wrong {
			t.Errorf("%.20q: %v", typed, found)
		}
	}
	// Before 1970 plus the window there are no steps.
	if _, found := p.Find(seed(32), code(t, p, seed(32), 0), time.Unix(-121, 0), 0, 1); found != Wrong {
		t.Error("a step before the first was found")
	}
}

func TestFindHOTP(t *testing.T) {
	p := Parameters{Kind: HOTP, Algorithm: SHA1, Digits: 6}
	for _, c := range []struct {
		counter, next int64
		want          Found
	}{
		{0, 0, Right}, {10, 0, Right}, {11, 0, Wrong}, {5, 5, Right}, {15, 5, Right}, {16, 5, Wrong}, {4, 5, Used}, {0, 5, Used}, {0, 11, Wrong},
	} {
		n, found := p.Find(rfcSecret, code(t, p, rfcSecret, c.counter), time.Unix(0, 0), c.next, 10)
		if found != c.want || found != Wrong && n != c.counter {
			t.Errorf("%+v: %v at %d", c, found, n)
		}
	}
}

func TestResync(t *testing.T) {
	p := Parameters{Kind: HOTP, Algorithm: SHA1, Digits: 6}
	at := func(n int64) string { return code(t, p, rfcSecret, n) }
	for _, c := range []struct {
		first, second, next, want int64
		ok                        bool
	}{
		{500, 501, 3, 501, true}, {3, 4, 3, 4, true}, {1002, 1003, 3, 1003, true},
		{1003, 1004, 3, 0, false}, {2, 3, 3, 0, false}, {500, 502, 3, 0, false}, {501, 500, 3, 0, false}, {500, 500, 3, 0, false},
	} {
		if n, ok := p.Resync(rfcSecret, at(c.first), at(c.second), c.next); n != c.want || ok != c.ok {
			t.Errorf("%+v: %d, %v", c, n, ok)
		}
	}
}

func TestCheck(t *testing.T) {
	good := []Parameters{Standard(), {TOTP, SHA512, 8, 300}, {HOTP, SHA256, 6, 0}}
	for _, p := range good {
		if err := p.Check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []Parameters{{}, {"motp", SHA1, 6, 30}, {TOTP, "MD5", 6, 30}, {TOTP, SHA1, 7, 30}, {TOTP, SHA1, 6, 0}, {TOTP, SHA1, 6, 301}, {HOTP, SHA1, 6, 30}} {
		if p.Check() == nil {
			t.Errorf("%+v was taken", p)
		}
	}
	for _, p := range good {
		if err := CheckSecret(p.NewSecret()); err != nil {
			t.Error(err)
		}
	}
	for _, secret := range []string{"", "GEZDGNBVGY3TQOI", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "GEZDGNBVGY3TQOJ1GEZDGNBVGY3TQOJQ", strings.Repeat("A", 400)} {
		if CheckSecret(secret) == nil {
			t.Errorf("%.40q was taken", secret)
		}
	}
}

func TestURI(t *testing.T) {
	p := Parameters{Kind: HOTP, Algorithm: SHA512, Digits: 8}
	want := "otpauth://hotp/My%20host:ana?algorithm=SHA512&counter=7&digits=8&issuer=My%20host&secret=ABC"
	if got := p.URI("ABC", "My host", "ana", 7); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestQRText(t *testing.T) {
	text, err := QRText(Standard().URI(rfcSecret, "Latch", "ana", 0))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	width := -1
	for _, line := range lines {
		modules := len([]rune(strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[97;40m"), "\x1b[0m")))
		if width >= 0 && modules != width {
			t.Errorf("lines of %d and %d modules", width, modules)
		}
		width = modules
	}
	if width > 80 || (width+1)/2 != len(lines) {
		t.Errorf("%d modules in %d lines", width, len(lines))
	}
	if _, err := QRText("otpauth://totp/x:" + strings.Repeat("y", 5000) + "?secret=ABC"); err == nil {
		t.Error("a URI longer than any QR code was taken")
	}
}

func TestRecovery(t *testing.T) {
	codes := NewRecovery()
	key := []byte("a key")
	var hashes [][]byte
	seen := map[string]bool{}
	for _, c := range codes {
		normal, ok := NormalRecovery(c)
		if !ok || seen[normal] {
			t.Fatalf("codes %q", codes)
		}
		seen[normal] = true
		hashes = append(hashes, RecoveryHash(key, normal))
	}
	if len(codes) != RecoveryCount {
		t.Errorf("%d codes", len(codes))
	}
	for i, c := range codes {
		normal, _ := NormalRecovery(strings.ToLower(" " + c + " "))
		if got := FindRecovery(key, hashes, normal); got != i {
			t.Errorf("code %d found at %d", i, got)
		}
		if FindRecovery([]byte("another"), hashes, normal) != -1 {
			t.Error("found under another key")
		}
	}
	if normal, ok := NormalRecovery("oil23-abcde"); !ok || normal != "01123ABCDE" {
		t.Errorf("what is mistaken for digits became %q", normal)
	}
	for _, typed := range []string{"", "123456", "12345678", "ABCDE-FGHJ", "ABCDE-FGHJKM", "UUUUU-UUUUU", "ABCDE\x00FGHJ", strings.Repeat(" ", 100) + "ABCDEFGHJK"} {
		if _, ok := NormalRecovery(typed); ok {
			t.Errorf("%q passes for a recovery code", typed)
		}
	}
}

func FuzzNormalRecovery(f *testing.F) {
	f.Add("abcde-fghjk")
	f.Add("İıſK12345\xff")
	f.Fuzz(func(t *testing.T, typed string) {
		normal, ok := NormalRecovery(typed)
		if ok && (len(normal) != recoveryLength || strings.Trim(normal, recoveryAlphabet) != "") {
			t.Errorf("%q became %q", typed, normal)
		}
		if again, ok2 := NormalRecovery(normal); ok && (!ok2 || again != normal) {
			t.Errorf("%q is not stable: %q", normal, again)
		}
	})
}

func TestTyped(t *testing.T) {
	for typed, want := range map[string]string{"123 456": "123456", "123\u00a0456": "123456", "12\u202f34-56\n": "123456", " A\tb ": "Ab"} {
		if got := Typed(typed); got != want {
			t.Errorf("%q is %q, want %q", typed, got, want)
		}
	}
	if normal, ok := NormalRecovery("ABCDE\u00a0FGHJK"); !ok || normal != "ABCDEFGHJK" {
		t.Errorf("a recovery code with a no-break space is %q, %v", normal, ok)
	}
}
