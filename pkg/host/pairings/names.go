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
