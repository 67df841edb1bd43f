package pairings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// bom is what some editors put before the first line. It is dropped when the file is written again:
// upstream's reader would take it for a part of the first user's name.
const bom = "\ufeff"

// line is one line of the file as it stands there, its end included, and what it says.
type line struct {
	raw     string
	paired  bool // the line is a pairing
	Pairing      // of a pairing line; of a uid comment, with an empty AccountID
	isUID   bool
}

// Parse reads the text of a pairing file; name stands in errors. Line ends of Windows, a missing last
// one, blanks around names and ids, and a byte order mark are what editors leave behind and read right.
// Every other line that is neither empty nor a comment is a *SyntaxError.
func Parse(name string, data []byte) (*File, error) {
	f := &File{}
	ids := map[string]string{}
	n := 0
	for raw := range strings.Lines(strings.TrimPrefix(string(data), bom)) {
		n++
		l, problem := parseLine(raw)
		if id, seen := ids[l.User]; l.paired && seen && id != l.AccountID {
			problem = fmt.Sprintf("%q is paired above with another account id", l.User)
		}
		if problem != "" {
			return nil, &SyntaxError{File: name, Line: n, Problem: problem}
		}
		if l.paired {
			ids[l.User] = l.AccountID
			l.UID = f.uidAbove(len(f.lines), l.User)
		}
		f.lines = append(f.lines, l)
	}
	return f, nil
}

// parseLine reads one line; problem is empty when it is well formed.
func parseLine(raw string) (l line, problem string) {
	l = line{raw: raw}
	text := strings.TrimSpace(raw)
	if text == "" || text[0] == '#' {
		l.User, l.UID, l.isUID = parseUID(text)
		return l, ""
	}
	user, id, found := strings.Cut(text, ":")
	if !found {
		return l, `is no "user: account id" line`
	}
	l.User, l.AccountID = strings.TrimSpace(user), strings.TrimSpace(id)
	switch {
	case l.User == "":
		return l, "names no user"
	case strings.Contains(id, ":"):
		// No user's name holds one, and upstream's reader would find the id in another place than we do.
		return l, "has a second colon"
	case strings.ContainsFunc(l.User, unicode.IsControl):
		return l, "has a control character in the user's name"
	case !ValidID(l.AccountID):
		return l, fmt.Sprintf("the account id of %q is not 64 letters and digits", l.User)
	}
	l.paired = true
	return l, ""
}

// parseUID reads "#uid NAME UID". The name may hold blanks, the uid is the last word.
func parseUID(comment string) (user string, uid int64, ok bool) {
	rest, found := strings.CutPrefix(comment, "#uid")
	if !found || rest == "" || (rest[0] != ' ' && rest[0] != '\t') {
		return "", -1, false
	}
	i := strings.LastIndexAny(rest, " \t")
	n, err := strconv.ParseUint(rest[i+1:], 10, 32)
	user = strings.TrimSpace(rest[:i])
	if err != nil || user == "" {
		return "", -1, false
	}
	return user, int64(n), true
}

// uidAbove is the uid that the comments between line n and the pairing above it record for user, or -1.
func (f *File) uidAbove(n int, user string) int64 {
	for i := n - 1; i >= 0 && !f.lines[i].paired; i-- {
		if f.lines[i].isUID && f.lines[i].User == user {
			return f.lines[i].UID
		}
	}
	return -1
}

// bytes is the text of the file.
func (f *File) bytes() []byte {
	var b strings.Builder
	for _, l := range f.lines {
		b.WriteString(l.raw)
	}
	return []byte(b.String())
}

// add puts p at the end, or records its uid anew where the user has this very pairing already.
func (f *File) add(p Pairing) {
	if old, ok := f.Find(p.User); ok {
		if p.UID >= 0 && p.UID != old.UID {
			f.recordUID(p)
		}
		return
	}
	f.dropStale()
	if n := len(f.lines); n > 0 && !strings.HasSuffix(f.lines[n-1].raw, "\n") {
		f.lines[n-1].raw += "\n"
	}
	if p.UID >= 0 {
		f.lines = append(f.lines, uidLine(p))
	}
	f.lines = append(f.lines, line{raw: p.User + ": " + p.AccountID + "\n", paired: true, Pairing: p})
}

func uidLine(p Pairing) line {
	return line{raw: fmt.Sprintf("#uid %s %d\n", p.User, p.UID), isUID: true, Pairing: Pairing{User: p.User, UID: p.UID}}
}

// recordUID replaces the uid comments of a user who is in the file.
func (f *File) recordUID(p Pairing) {
	var kept []line
	for i, l := range f.lines {
		switch {
		case l.isUID && f.bound(i):
			if l.User == p.User {
				continue
			}
		case l.paired && l.User == p.User:
			l.UID = p.UID
			kept = append(kept, uidLine(p))
		}
		kept = append(kept, l)
	}
	f.lines = kept
}

// remove takes every line of user out, the uid comments that count for them included.
func (f *File) remove(user string) {
	f.dropStale()
	f.lines = slices.DeleteFunc(f.lines, func(l line) bool { return l.User == user && (l.paired || l.isUID) })
}

// dropStale takes out the uid comments that count for nobody, such as upstream's tools leave behind when
// they unpair. A line that comes or goes could otherwise make one count for a user who never had that uid.
func (f *File) dropStale() {
	var kept []line
	for i, l := range f.lines {
		if !l.isUID || f.bound(i) {
			kept = append(kept, l)
		}
	}
	f.lines = kept
}

// bound says whether the uid comment at i counts for a pairing below it.
func (f *File) bound(i int) bool {
	for _, l := range f.lines[i+1:] {
		if l.paired {
			return l.User == f.lines[i].User
		}
	}
	return false
}
