package otpfile

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/latch-linux/latch/pkg/otp"
)

// seedLike finds seeds in what people may see.
var seedLike = regexp.MustCompile(`[A-Z2-7]{16}|[0-9a-f]{20}`)

// harmless fails where an entry could not be used, or a message shows a seed.
func harmless(t *testing.T, data []byte, entries []Entry, err error) {
	t.Helper()
	messages := []string{fmt.Sprint(err)}
	for _, e := range entries {
		messages = append(append(messages, e.Place, fmt.Sprint(e.Err)), e.Notes...)
		switch {
		case e.Err != nil:
			if e.Secret != "" {
				t.Errorf("%q: a seed of no use is kept: %+v", data, e)
			}
			continue
		case e.Check() != nil || otp.CheckSecret(e.Secret) != nil || e.Next < 0 || e.Window < UsualWindow || e.Window > otp.MaxWindow:
			t.Errorf("%q became %+v", data, e)
		}
		if _, err := e.Code(e.Secret, e.Next); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	}
	for _, text := range messages {
		if seedLike.MatchString(text) {
			t.Errorf("%q: shown: %s", data, text)
		}
	}
}

// begin adds files to a target.
func begin(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		for _, data := range samples(f, pattern) {
			f.Add(data)
		}
	}
}

func FuzzRead(f *testing.F) {
	begin(f, "testdata/*")
	f.Fuzz(func(t *testing.T, data []byte) {
		_, entries, err := Read(data)
		harmless(t, data, entries, err)
	})
}

func FuzzGoogle(f *testing.F) {
	begin(f, "testdata/google*")
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := google(data); err == nil {
			harmless(t, data, []Entry{e}, nil)
		}
	})
}

func FuzzMigration(f *testing.F) {
	f.Add([]byte("\x0a\x16\x0a\x14aaaaaaaaaaaaaaaaaaaa\x18\x01"))
	f.Add([]byte{0x0a, 0x02, 0x38, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if entries, _, err := migration(payload); err == nil {
			harmless(t, payload, entries, nil)
		}
	})
}

func FuzzURIs(f *testing.F) {
	begin(f, "testdata/uri*.txt", "testdata/migration*.txt")
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := uris(string(data))
		harmless(t, data, entries, err)
	})
}

func FuzzJSON(f *testing.F) {
	begin(f, "testdata/*.json", "testdata/*.2fas")
	f.Fuzz(func(t *testing.T, data []byte) {
		_, entries, err := readJSON(data)
		harmless(t, data, entries, err)
	})
}

func FuzzUsersOATH(f *testing.F) {
	begin(f, "testdata/*.oath")
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := usersOATH(string(data))
		harmless(t, data, entries, err)
	})
}

func FuzzSeeds(f *testing.F) {
	begin(f, "testdata/seeds/*")
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, encoding := range []Encoding{Auto, Hex, Base32} {
			tokens, err := Seeds(data, encoding)
			messages := fmt.Sprint(err)
			for _, token := range tokens {
				messages += fmt.Sprint(" ", token.Err)
				if token.Err == nil && (otp.CheckSecret(token.Secret) != nil || token.Period < 0 || token.Period > 300) {
					t.Errorf("%q became %+v", data, token)
				}
			}
			if seedLike.MatchString(messages) {
				t.Errorf("%q: shown: %s", data, messages)
			}
		}
	})
}
