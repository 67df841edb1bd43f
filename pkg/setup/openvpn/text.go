// Package openvpn reads configurations of OpenVPN servers, makes one ask PAM through openvpn-plugin-auth-pam, and takes
// that back byte for byte. It works on text: whoever calls it reads and writes the files.
package openvpn

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Limits of OpenVPN's reader (options.h): longer lines it refuses, further words it drops.
const (
	maxLine  = 255 // bytes, the line end included
	maxWords = 16
)

// directive is one option of a configuration.
type directive struct {
	words []string // the option's name without dashes, and its parameters
	line  int      // from 0
}

func (d directive) name() string { return d.words[0] }

// file is a configuration with every byte of it.
type file struct {
	lines      [][]byte // with their line ends
	directives []directive
}

func split(text []byte) [][]byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	return lines[:len(lines)-1+min(1, len(lines[len(lines)-1]))]
}

// parse reads a configuration as OpenVPN's read_config_file does. What OpenVPN would refuse is an error.
func parse(text []byte) (file, error) {
	f := file{lines: split(text)}
	if bytes.IndexByte(text, 0) >= 0 {
		return f, errors.New("it is no text file")
	}
	closing, opened := "", 0
	for i, line := range f.lines {
		if len(line) > maxLine {
			return f, fmt.Errorf("line %d is longer than OpenVPN reads", i+1)
		}
		if closing != "" {
			if strings.HasPrefix(strings.TrimLeft(string(line), spaces), closing) {
				closing = ""
			}
			continue
		}
		if i == 0 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		words, err := splitWords(string(line))
		if err != nil {
			return f, fmt.Errorf("line %d: %w", i+1, err)
		}
		if len(words) == 0 {
			continue
		}
		if len(words[0]) >= 3 {
			words[0] = strings.TrimPrefix(words[0], "--")
		}
		if name := words[0]; len(words) == 1 && strings.HasPrefix(name, "<") && strings.HasSuffix(name, ">") {
			closing, opened = "</"+name[1:], i // what follows is the text of a file, such as a certificate
			continue
		}
		f.directives = append(f.directives, directive{words, i})
	}
	if closing != "" {
		return f, fmt.Errorf("line %d: %s is missing", opened+1, closing)
	}
	return f, nil
}

const spaces = " \t\n\v\f\r"

// How far splitWords is in a word.
type wordState int

const (
	between wordState = iota
	bare
	quoted
	singleQuoted
)

// splitWords splits a line as OpenVPN's parse_line does: backslashes escape outside of single quotes, and "#" or ";"
// where a word could begin ends the line.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	state, escaped := between, false
	for _, c := range []byte(line + "\x00") {
		if c == '\\' && !escaped && state != singleQuoted {
			escaped = true
			continue
		}
		if state == between && (c == '#' || c == ';') {
			break
		}
		next, take := state.step(c, escaped)
		if take && escaped && c != '\\' && c != '"' && !blank(c) {
			return nil, errors.New("a backslash that escapes nothing")
		}
		escaped = false
		if take && c != 0 {
			word.WriteByte(c)
		}
		if next == between && state != between {
			words = append(words, word.String())
			word.Reset()
		}
		if state = next; len(words) == maxWords {
			return words, nil
		}
	}
	if state != between {
		return nil, errors.New("a quotation mark without its counterpart")
	}
	return words, nil
}

// step returns the state after a character, and whether the character belongs to the word.
func (s wordState) step(c byte, escaped bool) (next wordState, take bool) {
	switch {
	case s == between && blank(c):
		return between, false
	case s == between && c == '"' && !escaped:
		return quoted, false
	case s == between && c == '\'' && !escaped:
		return singleQuoted, false
	case s == between:
		return bare, true
	case s == bare && blank(c) && !escaped, s == quoted && c == '"' && !escaped, s == singleQuoted && c == '\'':
		return between, false
	}
	return s, true
}

func blank(c byte) bool { return c == 0 || strings.IndexByte(spaces, c) >= 0 }

// quote writes a word so that splitWords reads it back.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, spaces+`\"'#;`) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

func join(words []string) string {
	written := make([]string, len(words))
	for i, word := range words {
		written[i] = quote(word)
	}
	return strings.Join(written, " ")
}
