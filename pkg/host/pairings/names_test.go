package pairings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// id is an account id that differs per seed.
func id(seed int) string { return fmt.Sprintf("%0*d", idLength, seed) }

func parsed(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("latch.accounts", []byte(text))
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return f
}

func TestWhatEditorsLeaveBehind(t *testing.T) {
	text := "# pairings\n\n#uid ana 1000\nana: " + id(1) + "\nbob: " + id(2) + "\n"
	for name, text := range map[string]string{
		"as written":       text,
		"CRLF":             strings.ReplaceAll(text, "\n", "\r\n"),
		"BOM":              bom + text,
		"no last line end": strings.TrimSuffix(text, "\n"),
		"tabs":             strings.ReplaceAll(text, ": ", "\t:\t"),
		"blanks":           strings.ReplaceAll(strings.ReplaceAll(text, "\n", "  \n  "), ": ", "  :   "),
		"no blank":         strings.ReplaceAll(text, ": ", ":"),
		"pairing twice":    text + "ana: " + id(1) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := parsed(t, text)
			if p, ok := f.Find("ana"); !ok || p != (Pairing{"ana", id(1), 1000}) {
				t.Errorf("ana is %+v, %v", p, ok)
			}
			if p, ok := f.Find("bob"); !ok || p != (Pairing{"bob", id(2), -1}) {
				t.Errorf("bob is %+v, %v", p, ok)
			}
			if all := f.All(); len(all) != 2 {
				t.Errorf("%d pairings: %+v", len(all), all)
			}
			for _, no := range []string{"bobby", "bo", "an", "Ana", "ana ", "", "#uid ana"} {
				if p, ok := f.Find(no); ok {
					t.Errorf("%q is served by %+v", no, p)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a.b", "ana@EXAMPLE.ORG", `REALM\ana`, "ana maria", "ñandú", "x#y", "ana\xff"} {
		if p, ok := parsed(t, name+": "+id(1)).Find(name); !ok || p.User != name {
			t.Errorf("%q was read as %+v, %v", name, p, ok)
		}
	}
}

func TestBrokenLines(t *testing.T) {
	for name, line := range map[string]string{
		"no colon":         "ana " + id(1),
		"no user":          ": " + id(1),
		"no id":            "ana:",
		"short id":         "ana: " + id(1)[1:],
		"long id":          "ana: " + id(1) + "0",
		"id with a mark":   "ana: " + id(1)[1:] + "-",
		"comment behind":   "ana: " + id(1) + " # mine",
		"two on a line":    "ana: " + id(1) + " bob: " + id(2)[1:],
		"colon in a name":  "a:b: " + id(1),
		"two colons":       "ana:: " + id(1),
		"control":          "a\x00na: " + id(1),
		"another id":       "zoe: " + id(3),
		"words":            "hello",
		"mark in the file": bom + "x",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("/etc/latch/latch.accounts", []byte("# c\nzoe: "+id(9)+"\n"+line+"\n"))
			var at *SyntaxError
			if !errors.As(err, &at) || at.Line != 3 || !strings.HasPrefix(err.Error(), "/etc/latch/latch.accounts:3: ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestUIDComments(t *testing.T) {
	pairing := "ana: " + id(1) + "\n"
	for name, tt := range map[string]struct {
		text string
		uid  int64
	}{
		"right above":        {"#uid ana 7\n" + pairing, 7},
		"blank line between": {"#uid ana 7\n\n# x\n" + pairing, 7},
		"nearest counts":     {"#uid ana 6\n#uid ana 7\n" + pairing, 7},
		"root":               {"#uid ana 0\n" + pairing, 0},
		"of another":         {"#uid bob 7\n" + pairing, -1},
		"below":              {pairing + "#uid ana 7\n", -1},
		"cut off":            {"#uid ana 7\nbob: " + id(2) + "\n" + pairing, -1},
		"no number":          {"#uid ana x\n" + pairing, -1},
		"negative":           {"#uid ana -7\n" + pairing, -1},
		"too large":          {"#uid ana 99999999999\n" + pairing, -1},
		"other word":         {"#uidana 7\n" + pairing, -1},
	} {
		if p, ok := parsed(t, tt.text).Find("ana"); !ok || p.UID != tt.uid {
			t.Errorf("%s: uid %d (%v), want %d", name, p.UID, ok, tt.uid)
		}
	}
}

func TestFindLoose(t *testing.T) {
	f := parsed(t, "alice: "+id(1)+"\nbob@EXAMPLE.ORG: "+id(2)+"\neve: "+id(3)+"\nEVE: "+id(4)+"\nzoe@a: "+id(5)+"\nzoe@b: "+id(6)+"\n")
	for given, want := range map[string]string{
		"alice": "alice", "ALICE ": "alice", "\tAlice": "alice", "alice@EXAMPLE.ORG": "alice", `EXAMPLE\Alice`: "alice", "al\u00adice": "alice",
		"bob": "bob@EXAMPLE.ORG", "Bob@example.org": "bob@EXAMPLE.ORG", `x\bob`: "bob@EXAMPLE.ORG",
		"EVE": "EVE", "eve": "eve", "zoe@A": "zoe@a",
		"alic": "", "alicex": "", "": "", "@": "", `\`: "", "@alice": "", "a lice": "alice",
	} {
		p, ok, err := f.FindLoose(given)
		if err != nil || ok != (want != "") || p.User != want {
			t.Errorf("%q: %+v, %v, %v, want %q", given, p, ok, err, want)
		}
	}
	for _, given := range []string{"Eve", "zoe", "zoe@c", "eve@x"} {
		if p, ok, err := f.FindLoose(given); err == nil || ok {
			t.Errorf("%q: %+v, %v, %v, want an error", given, p, ok, err)
		}
	}
}

// TestSpellings has every spelling of a paired name that some directory takes for the same user.
func TestSpellings(t *testing.T) {
	f := parsed(t, "ana: "+id(1)+"\nEX+bob: "+id(2)+"\nJosé Müller: "+id(3)+"\nstrauß: "+id(4)+"\nØystein: "+id(5)+"\nEX/carl: "+id(6)+"\nEX/dora: "+id(7)+"\n")
	for want, given := range map[string][]string{
		"ana": {"ａｎａ", "ＡＮＡ", "áná", "a\u0301na", "ⓐⓝⓐ", "𝓪𝓷𝓪", "ªna", " ana ", "a\u00a0na", "a\u3000na", "a\u200dna", "a\u2060na", "a\ufe0fna", "a\u115fna",
			"ana@ex.org", "ａｎａ＠ex.org", "ana%ex.org", `EX\ana`, "EX＼ana", "EX/ana", "EX+ana", "ana+vpn", "ana/admin@EX.ORG", "host/ana@EX.ORG", `EX\ana@ex.org`, "ana@ex.org@proxy"},
		"EX+bob":      {"ex+bob", "bob", "BOB@ex.org", `EX\bob`, "EX/bob", "ｂｏｂ"},
		"José Müller": {"jose muller", "JOSÉ MÜLLER", "jose\u0301 mu\u0308ller", "josemuller", "jose muller@ex.org"},
		"strauß":      {"STRAUSS", "strauss", "ſtrauß", "STRAUẞ"},
		"Øystein":     {"oystein", "øystein", "OYSTEIN@ex.org"},
		"EX/carl":     {"carl", "ex/carl", `EX\CARL`, "carl@ex.org"},
		"":            {"an", "anna", "ex.org", "EX+anne", "EX/emil", "vpn", "bob2", "а\u043dа"}, // the last one is Cyrillic
	} {
		for _, name := range given {
			if p, ok, err := f.FindLoose(name); err != nil || ok != (want != "") || p.User != want {
				t.Errorf("%q: %+v, %v, %v, want %q", name, p, ok, err, want)
			}
		}
	}
	both := parsed(t, "ana: "+id(1)+"\náná: "+id(2)+"\nana@ex.org: "+id(3)+"\n")
	for _, given := range []string{"ANA", "ａｎａ", "anà", "EX/ana", strings.Repeat("a/", 9) + "ana"} {
		if p, ok, err := both.FindLoose(given); err == nil || ok {
			t.Errorf("%q: %+v, want an error: it may be either", given, p)
		}
	}
	for _, given := range []string{"ana", "áná", "Ana@ex.org"} {
		if _, ok, err := both.FindLoose(given); !ok || err != nil {
			t.Errorf("%q: %v, %v", given, ok, err)
		}
	}
}

// FuzzFold: folding a folded name changes nothing, so that no spelling is equal to another one way only.
func FuzzFold(f *testing.F) {
	for _, name := range []string{"ana", "ＡＮＡ", "İstanbul", "ǰ\u0323", "ﬃ", "ΐ", "ᾳ", "ŉ", "\xff", "K", "ß\u0301", "한글", "ẛ̣"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if once := fold(name); fold(once) != once {
			t.Errorf("%q is folded to %+q and then to %+q", name, once, fold(once))
		}
	})
}

func TestValidID(t *testing.T) {
	if !ValidID(id(1)) || !ValidID(strings.Repeat("aZ", 32)) {
		t.Error("an account id is refused")
	}
	for _, bad := range []string{"", id(1)[1:], id(1) + "0", strings.Repeat("-", 64), strings.Repeat("ñ", 32), id(1)[1:] + "\n"} {
		if ValidID(bad) {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latch.accounts")
	if f, err := Load(path); err != nil || len(f.All()) != 0 {
		t.Errorf("a missing file: %v, %v", f, err)
	}
	if err := os.WriteFile(path, []byte("ana: "+id(1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Load(path); err != nil || len(f.All()) != 1 {
		t.Errorf("a good file: %v, %v", f, err)
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if f, err := Load(path); !errors.Is(err, securefile.ErrUntrusted) || f != nil {
		t.Errorf("a file that others can write: %v, %v", f, err)
	}
	if f, err := Load(filepath.Dir(path)); err == nil {
		t.Errorf("a directory: %v", f)
	}
}

// upstreamFinds is what upstream's C reader answers: the first line that is exactly as long as
// "user: id\n" and begins with "user:".
func upstreamFinds(text, user string) string {
	for line := range strings.Lines(text) {
		if len(line) == len(user)+idLength+3 && strings.HasPrefix(line, user+":") {
			return line[len(user)+2 : len(user)+2+idLength]
		}
	}
	return ""
}

// FuzzParse: what is added can be read by us and by upstream, and what is removed leaves the rest alone.
func FuzzParse(f *testing.F) {
	f.Add([]byte(""), "ana")
	f.Add([]byte("# c\r\n#uid bob 7\r\nbob: "+id(2)+"\r\n\r\n#uid eve 1\n"), "ana")
	f.Add([]byte(bom+"bob :\t"+id(2)), "bob")
	f.Add([]byte("0:"+id(0)+"  "), "0") // upstream takes 63 characters and a blank, which is no id
	f.Add([]byte("#uid x 1\n#uid x 2\nx: "+id(2)+"\nx:"+id(2)), "a.b")
	f.Fuzz(func(t *testing.T, data []byte, user string) {
		file, err := Parse("f", data)
		if err != nil {
			var at *SyntaxError
			if !errors.As(err, &at) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		before := file.All()
		for _, p := range before {
			if found := upstreamFinds(string(data), p.User); ValidID(found) && found != p.AccountID {
				t.Fatalf("upstream reads %q for %+v", found, p)
			}
		}
		added := Pairing{user, id(1), 1000}
		if _, paired := file.Find(user); paired || checkNew(added) != nil {
			return
		}
		file.add(added)
		text := string(file.bytes())
		again := parsed(t, text)
		if p, ok := again.Find(user); !ok || p != added || upstreamFinds(text, user) != added.AccountID {
			t.Fatalf("%+v was written as %q", added, text)
		}
		again.remove(user)
		after := parsed(t, string(again.bytes())).All()
		if fmt.Sprint(after) != fmt.Sprint(before) {
			t.Fatalf("%q: %v became %v", data, before, after)
		}
	})
}
