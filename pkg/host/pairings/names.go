// Package pairings keeps the pairings of this machine: which local user is which account of the Latch
// server. The file is upstream's, one "user: account id" line per pairing, and stays readable to
// upstream's tools; the user's uid stands in a comment above the line, which they ignore:
//
//	#uid ana 1000
//	ana: 64 letters and digits
//
// A uid comment counts for the next pairing line below it if that line is of the user it names.
// Elsewhere it is a comment like any other. The same pairing written twice is one pairing; two account
// ids for one user are an error, because readers would not agree which one counts.
package pairings

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// idLength is how many ASCII letters and digits make an account id (API section 3).
const idLength = 64

// maxSize is the most that is read of a pairing file, in bytes: over 100,000 pairings.
const maxSize = 16 << 20

// Pairing is one local user and the account that the Latch server knows the person by.
type Pairing struct {
	User      string
	AccountID string
	UID       int64 // of the user when paired; -1 where it was not recorded
}

// File is the content of one pairing file.
type File struct {
	lines []line
}

// SyntaxError is a line that is neither a pairing nor a comment. Its text is not repeated: it may hold an account id.
type SyntaxError struct {
	File    string
	Line    int // from 1
	Problem string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem) }

// ValidID says whether id has the form of an account id: 64 ASCII letters and digits.
func ValidID(id string) bool {
	if len(id) != idLength {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// Load reads the pairing file at path, which must be trusted as package securefile means it. It takes
// no lock: writers replace the file as a whole. A missing file holds no pairings; one that cannot be
// read, is not trusted or has a broken line is an error, never an empty File.
func Load(path string) (*File, error) {
	data, err := securefile.Read(path, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the pairings: %w", err)
	}
	return Parse(path, data)
}

// Find returns the pairing of the user with exactly this name.
func (f *File) Find(canonical string) (Pairing, bool) {
	for _, l := range f.lines {
		if l.paired && l.User == canonical {
			return l.Pairing, true
		}
	}
	return Pairing{}, false
}

// FindLoose returns the pairing of a user whom the host's name service does not know, so that no
// canonical name exists: that of the name that Same finds.
func (f *File) FindLoose(given string) (Pairing, bool, error) {
	var names []string
	for _, p := range f.All() {
		names = append(names, p.User)
	}
	name, ok, err := Same(names, given)
	if err != nil || !ok {
		return Pairing{}, false, err
	}
	p, ok := f.Find(name)
	return p, ok, nil
}

// Same returns which of the names, each there once, a directory would take a given one for: the same but for upper and lower
// case and blanks, or, where none is that close, the same but for the realm too (user@REALM, REALM\user). Two names that are
// equally close are an error: nobody can tell which is meant.
func Same(names []string, given string) (name string, ok bool, err error) {
	if slices.Contains(names, given) {
		return given, true, nil
	}
	for _, same := range []func(string) string{fold, func(name string) string { return withoutRealm(fold(name)) }} {
		var found []string
		for _, n := range names {
			if same(n) == same(given) {
				found = append(found, n)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], true, nil
		default:
			return "", false, fmt.Errorf("%q may be %q or %q, which are kept separately", given, found[0], found[1])
		}
	}
	return "", false, nil
}

// fold makes names equal that directories hold for equal: case, outer and repeated blanks, and the
// invisible format characters that LDAP's string preparation drops.
func fold(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, name)
	return strings.Join(strings.Fields(name), " ")
}

// withoutRealm cuts REALM\ and @REALM off; a name that would be empty then stays as it is.
func withoutRealm(name string) string {
	if i := strings.LastIndexByte(name, '\\'); i >= 0 && i < len(name)-1 {
		name = name[i+1:]
	}
	if i := strings.IndexByte(name, '@'); i > 0 {
		name = name[:i]
	}
	return strings.TrimSpace(name)
}

// All returns every pairing once, in the file's order.
func (f *File) All() []Pairing {
	var all []Pairing
	seen := map[string]bool{}
	for _, l := range f.lines {
		if l.paired && !seen[l.User] {
			seen[l.User] = true
			all = append(all, l.Pairing)
		}
	}
	return all
}
