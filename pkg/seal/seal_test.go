package seal

import (
	"bytes"
	"errors"
	"testing"
)

func box(t *testing.T) *Box {
	t.Helper()
	b, err := New(NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	b := box(t)
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("long"), 1000)} {
		got, err := b.Open(b.Seal(plain, []byte("row 7")), []byte("row 7"))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("got %q, %v, want %q", got, err, plain)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	b := box(t)
	sealed := b.Seal([]byte("secret"), []byte("row 7"))
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		box    *Box
		sealed []byte
		ad     string
	}{
		"another row":   {b, sealed, "row 8"},
		"another key":   {box(t), sealed, "row 7"},
		"a changed bit": {b, flipped, "row 7"},
		"a short piece": {b, sealed[:20], "row 7"},
		"nothing":       {b, nil, "row 7"},
	} {
		if got, err := c.box.Open(c.sealed, []byte(c.ad)); !errors.Is(err, ErrBroken) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestSealedRecordsDiffer(t *testing.T) {
	b := box(t)
	one, two := b.Seal([]byte("same"), nil), b.Seal([]byte("same"), nil)
	if bytes.Equal(one, two) {
		t.Error("two records of the same text are equal")
	}
	if bytes.Contains(one, []byte("same")) {
		t.Error("a sealed record shows its text")
	}
}

func TestDigest(t *testing.T) {
	b := box(t)
	if !bytes.Equal(b.Digest([]byte("code")), b.Digest([]byte("code"))) {
		t.Error("one text has two digests")
	}
	if bytes.Equal(b.Digest([]byte("code")), b.Digest([]byte("cod"))) || bytes.Equal(b.Digest([]byte("code")), box(t).Digest([]byte("code"))) {
		t.Error("two texts or two keys share a digest")
	}
}

func TestNewRefusesOtherLengths(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := New(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
}
