package password

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestVerify(t *testing.T) {
	ctx, h := t.Context(), NewHasher(Recommended)
	phc, err := h.Hash(ctx, "correct horse battery")
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%q, %v", phc, err)
	}
	other, err := h.Hash(ctx, "correct horse battery")
	if err != nil || other == phc {
		t.Errorf("the salt is not drawn anew: %v", err)
	}
	for _, c := range []struct {
		phc, typed string
		ok         bool
	}{
		{phc, "correct horse battery", true},
		{phc, "correct horse batter", false},
		{phc, "", false},
		{"", "", false},
		{"", "correct horse battery", false},
	} {
		if ok, stale, err := h.Verify(ctx, c.phc, c.typed); ok != c.ok || stale || err != nil {
			t.Errorf("%q against %q: %v, stale %v, %v", c.typed, c.phc, ok, stale, err)
		}
	}
}

// The reference program of argon2 (argon2 -id -t 1 -k 64 -p 1 -l 32 for "password" and "somesalt") answers so.
func TestVerifiesAnotherCost(t *testing.T) {
	const phc = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70"
	ok, stale, err := NewHasher(Recommended).Verify(t.Context(), phc, "password")
	if !ok || !stale || err != nil {
		t.Errorf("%v, stale %v, %v", ok, stale, err)
	}
}

func TestVerifyRefusesOtherFormats(t *testing.T) {
	h := NewHasher(Recommended)
	for _, phc := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70",
		"$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70",
		"$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70",
		"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70",
		"$argon2id$v=19$m=64,t=1,p=0$c29tZXNhbHQ$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70",
		"$argon2id$v=19$m=64,t=1,p=1 $c29tZXNhbHQ$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$",
		"$argon2id$v=19$m=64,t=1,p=1$$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70",
	} {
		if ok, _, err := h.Verify(t.Context(), phc, "password"); ok || err == nil {
			t.Errorf("%q: %v, %v", phc, ok, err)
		}
	}
}

func TestAFloodWaitsAndIsTurnedAway(t *testing.T) {
	h := NewHasher(Recommended)
	ctx, cancel := context.WithCancel(t.Context())
	for range atOnce {
		if _, err := h.turn(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var group sync.WaitGroup
	answers := make(chan error, maxWaiting+1)
	for range maxWaiting + 1 {
		group.Go(func() {
			_, err := h.Hash(ctx, "flood")
			answers <- err
		})
	}
	if err := <-answers; !errors.Is(err, ErrBusy) || errors.Is(err, context.Canceled) {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	group.Wait()
	for range maxWaiting {
		if err := <-answers; !errors.Is(err, ErrBusy) {
			t.Errorf("who gave up waiting: %v", err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		password string
		want     error
	}{
		{"correct horse", nil},
		{"Tr0ub4dor&3x", nil},
		{"una frase larga", nil},
		{"9f3kq02mzx", nil},
		{"ñandúñandú", nil},
		{"7391846205", nil},
		{"short", ErrShort},
		{"ñññññññññ", ErrShort},
		{strings.Repeat("ab c", 300), ErrLong},
		{"password123", ErrCommon},
		{"Password2026!", ErrCommon},
		{"contraseña1", ErrCommon},
		{"aaaaaaaaaaaa", ErrCommon},
		{"1234567890", ErrCommon},
		{"abcdefghijkl", ErrCommon},
		{"anagarcia2026", ErrCommon},
		{"qwertyqwerty", ErrCommon},
	} {
		if err := Check(c.password, "anagarcia", "latch.example.org"); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%q: %v, want %v", c.password, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$cpx6VEQbwTVZvcpxNIxOVUWZ5xnAipUmAe1cg2GMG70")
	f.Fuzz(func(t *testing.T, phc string) {
		c, salt, hash, err := parse(phc)
		if err == nil && format(c, salt, hash) != phc {
			t.Errorf("%q is not what it parses to", phc)
		}
	})
}
