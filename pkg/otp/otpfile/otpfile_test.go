package otpfile

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the right answers again")

func TestMain(m *testing.M) {
	time.Local = time.UTC // users.oath has local times
	os.Exit(m.Run())
}

// shown is what was read, in text.
func shown(format Format, entries []Entry, err error) string {
	if err != nil {
		return fmt.Sprintf("%s: %v\n", format, err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, format)
	for _, e := range entries {
		if e.Err != nil {
			fmt.Fprintf(&b, "%s: %q: %v\n", e.Place, e.Name(), e.Err)
			continue
		}
		fmt.Fprintf(&b, "%s: %q user=%q %s %s digits=%d period=%d window=%d next=%d recovery=%d seed=%s\n", e.Place, e.Name(), e.User,
			e.Kind, e.Algorithm, e.Digits, e.Period, e.Window, e.Next, len(e.Recovery), e.Secret)
		for _, note := range e.Notes {
			fmt.Fprintf(&b, "  %s\n", note)
		}
	}
	return b.String()
}

func shownTokens(tokens []Token, err error) string {
	if err != nil {
		return fmt.Sprintln(err)
	}
	var b strings.Builder
	for _, t := range tokens {
		if t.Err != nil {
			fmt.Fprintf(&b, "%s: %q: %v\n", t.Place, t.Serial, t.Err)
			continue
		}
		fmt.Fprintf(&b, "%s: %q period=%d seed=%s\n", t.Place, t.Serial, t.Period, t.Secret)
	}
	return b.String()
}

// samples returns the files that a pattern matches, by name.
func samples(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.IsDir() || strings.HasSuffix(name, ".want") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	if len(files) == 0 {
		t.Fatalf("no file is called %s", pattern)
	}
	return files
}

// answers compares what became of each file with the file of the same name and .want.
func answers(t *testing.T, pattern string, read func([]byte) string) {
	t.Helper()
	for name, data := range samples(t, pattern) {
		got := read(data)
		if *update {
			if err := os.WriteFile(name+".want", []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name + ".want")
		if err != nil || got != string(want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

// TestFiles reads synthetic files of every format. After a change run go test ./pkg/otp/otpfile -run 'Files|Seeds' -update and
// read what changed.
func TestFiles(t *testing.T) {
	answers(t, "testdata/*", func(data []byte) string { return shown(Read(data)) })
}

func TestSeeds(t *testing.T) {
	answers(t, "testdata/seeds/*", func(data []byte) string { return shownTokens(Seeds(data, Auto)) })
}

// TestEncodings: what can be read in two ways is read as it was said.
func TestEncodings(t *testing.T) {
	both := strings.Repeat("ABCDEF2345", 4)
	for encoding, want := range map[Encoding]string{Hex: "VPG66I2FVPG66I2FVPG66I2FVPG66I2F", Base32: both} {
		tokens, err := Seeds([]byte(both+"\n"), encoding)
		if err != nil || len(tokens) != 1 || tokens[0].Err != nil || tokens[0].Secret != want {
			t.Errorf("%s: %+v, %v", encoding, tokens, err)
		}
	}
	for encoding, text := range map[Encoding]string{Hex: "JBSWY3DPEHPK3PXP", Base32: strings.Repeat("01", 10)} {
		if tokens, err := Seeds([]byte(text), encoding); err != nil || tokens[0].Err == nil || strings.Contains(tokens[0].Err.Error(), text) {
			t.Errorf("%s: %+v, %v", encoding, tokens, err)
		}
	}
}

// TestUnknownNamesTheFormats: nobody has to guess what can be taken over.
func TestUnknownNamesTheFormats(t *testing.T) {
	for _, text := range []string{"", "hello\n", `{"accounts":[]}`, "serial,seed\n1,2\n", "\x89PNG\r\n"} {
		_, _, err := Read([]byte(text))
		for _, name := range []string{"otpauth://", "otpauth-migration://", "Aegis", "2FAS", "users.oath", ".google_authenticator"} {
			if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), name) {
				t.Errorf("%q: %v lacks %s", text, err, name)
			}
		}
	}
}
