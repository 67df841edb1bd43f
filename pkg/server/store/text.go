package store

import "strings"

// maxText bounds what OneLine keeps, in bytes.
const maxText = 256

// OneLine makes a text that somebody else chose fit to be kept and shown: it is cut to 256 bytes, and what cannot be seen in
// one line is replaced, marks that turn the direction of writing among it: a page must not show another name than the one that
// came.
func OneLine(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.Map(func(c rune) rune {
		if unseen(c) {
			return '\ufffd'
		}
		return c
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// unseen tells whether a character does something else to a page or a terminal than to be seen there.
func unseen(c rune) bool {
	return c < ' ' || c >= 0x7f && c < 0xa0 || c >= '\u2028' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069' ||
		c == '\u200e' || c == '\u200f' || c == '\u061c'
}
