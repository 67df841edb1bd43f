package pairings

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// separators stand between a user and a realm: REALM\user, REALM/user, REALM+user, user@REALM, user%REALM; and user/instance of
// Kerberos, user+detail of mail.
const separators = `\/+@%`

// maxSeparators bounds the parts of a name that are tried as the user.
const maxSeparators = 8

// Same returns which of the names, each there once, a directory would take a given one for: one that is spelled the same as fold has
// it, or, where there is none, one of the same user in another realm or without one. Two names that are equally close are an error:
// nobody can tell which is meant.
func Same(names []string, given string) (name string, ok bool, err error) {
	if slices.Contains(names, given) {
		return given, true, nil
	}
	folded := fold(given)
	if len(names) > 0 && countSeparators(folded) > maxSeparators {
		return "", false, fmt.Errorf("%q has more than %d realm separators", given, maxSeparators)
	}
	users := usersIn(folded)
	for _, same := range []func(string) bool{func(n string) bool { return n == folded }, users.share} {
		var found []string
		for _, n := range names {
			if same(fold(n)) {
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

// alike are letters that directories compare without their stroke or ligature, but that Unicode does not decompose.
var alike = map[rune]string{'ø': "o", 'Ø': "o", 'đ': "d", 'Đ': "d", 'ð': "d", 'Ð': "d", 'ħ': "h", 'Ħ': "h", 'ł': "l", 'Ł': "l", 'ŧ': "t",
	'Ŧ': "t", 'ı': "i", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe", 'þ': "th", 'Þ': "th"}

// Equal reports whether a directory may hold two names for the same, realm included.
func Equal(a, b string) bool { return fold(a) == fold(b) }

// fold makes names equal that a directory may hold for equal: slapd compares in Unicode's form NFKC and without case, Active
// Directory without accents as well; blanks and invisible characters count nowhere.
func fold(name string) string {
	if isASCII(name) {
		return strings.ToLower(strings.Map(visible, name))
	}
	fold := cases.Fold()
	for range 2 { // what folding makes of a letter may have an accent again
		name = fold.String(plain(norm.NFKD.String(name)))
	}
	return plain(norm.NFKD.String(name))
}

// plain drops accents and what nobody sees from a decomposed name.
func plain(name string) string {
	var b strings.Builder
	for _, r := range name {
		if base, ok := alike[r]; ok {
			b.WriteString(base)
		} else if !unicode.IsMark(r) && visible(r) >= 0 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// visible maps blanks, control and format characters, and letters that are drawn as nothing to -1, as strings.Map wants it.
func visible(r rune) rune {
	if unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zs, unicode.Other_Default_Ignorable_Code_Point) {
		return -1
	}
	return r
}

func isASCII(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII })
}

// users are the parts of a name that may be the user, the name as a whole among them. True is one on the side of a separator on which
// directories have the user; false is one on the other side of a / or +.
type users map[string]bool

func usersIn(folded string) users {
	u := users{}
	u.add(folded, true)
	return u
}

func (u users) add(name string, usual bool) {
	if before, known := u[name]; name == "" || known && (before || !usual) {
		return
	}
	u[name] = usual
	for i, r := range name {
		left, right := name[:i], name[i+len(string(r)):]
		switch r {
		case '@', '%':
			u.add(left, usual)
		case '\\':
			u.add(right, usual)
		case '/', '+':
			u.add(right, usual)
			u.add(left, false)
		}
	}
}

// share reports whether another name may be of the same user. EX/ana and EX/bob have no user in common: at least one of them must
// have it on the usual side.
func (u users) share(folded string) bool {
	if countSeparators(folded) > maxSeparators {
		return false
	}
	for name, usual := range usersIn(folded) {
		if here, known := u[name]; known && (here || usual) {
			return true
		}
	}
	return false
}

func countSeparators(name string) int {
	n := 0
	for _, r := range name {
		if strings.ContainsRune(separators, r) {
			n++
		}
	}
	return n
}
