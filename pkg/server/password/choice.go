package password

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a password: characters at least, bytes at most (a pass phrase fits many times).
const (
	MinLength = 10
	MaxBytes  = 1024
)

// Why a password is not taken.
var (
	ErrShort  = errors.New("password has too few characters")
	ErrLong   = errors.New("password is too long")
	ErrCommon = errors.New("password is among the first that anybody would try")
)

// common are beginnings and patterns that long passwords are made of by people who want to be done with it; NIST SP 800-63B
// asks that such are refused, and for no rules about digits and signs.
var common = []string{"password", "passwort", "contraseña", "contrasena", "qwerty", "qwertz", "azerty", "letmein", "welcome", "bienvenid",
	"iloveyou", "administrator", "abc123", "changeme", "trustno1", "superman", "dragon", "football", "baseball", "sunshine", "princess", "monkey",
	"secret", "secreto", "teamo", "barcelona", "realmadrid", "latch"}

// Check judges a new password; names are words that a stranger would try first: the person's and the server's.
func Check(password string, names ...string) error {
	if utf8.RuneCountInString(password) < MinLength {
		return ErrShort
	}
	if len(password) > MaxBytes {
		return ErrLong
	}
	// What is left without the words that everybody knows has to be worth something by itself.
	rest := strings.ToLower(password)
	known := false
	for _, word := range slices.Concat(names, common) {
		if word = strings.ToLower(word); len(word) >= 3 && strings.Contains(rest, word) {
			rest, known = strings.ReplaceAll(rest, word, ""), true
		}
	}
	if known { // digits and signs behind a word are a year or an exclamation mark
		rest = strings.TrimRightFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) })
	}
	if steps(rest) < MinLength/2 {
		return ErrCommon
	}
	return nil
}

// steps counts the characters that neither repeat the one before nor follow it in the alphabet or in the digits.
func steps(text string) int {
	n, before := 0, rune(-2)
	for _, r := range text {
		if d := r - before; d != 0 && d != 1 && d != -1 {
			n++
		}
		before = r
	}
	return n
}
