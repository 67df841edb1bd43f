package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// SetKeys returns the text of a latch.conf with the given keys set outside [operations]. Comments, order, other
// keys and the kind of line ending stay. A key that is missing goes behind its commented-out sample, or else
// above the first section.
func SetKeys(data []byte, set map[string]string) ([]byte, error) {
	for key := range set {
		if _, known := setters[key]; !known {
			return nil, fmt.Errorf("unknown key %q%s", key, suggestion(key))
		}
	}
	return edit(data, "", set)
}

// IsSet reports whether a latch.conf has a line for a key outside [operations].
func IsSet(data []byte, key string) bool {
	n, section := lineOf(data, key)
	return n > 0 && section == ""
}

// FindLine returns the number of the line of a file that sets a key or names an operation, 0 for none.
func FindLine(path, key string) (int, error) {
	data, err := securefile.Read(path, sizeLimit)
	n, _ := lineOf(data, key)
	return n, err
}

// lineOf returns the number and section of the line of a key. A key stands once in a file (see scan).
func lineOf(data []byte, key string) (n int, section string) {
	for line := range strings.Lines(strings.TrimPrefix(string(data), bom)) {
		n++
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		}
		if keyOf(line) == key {
			return n, section
		}
	}
	return 0, ""
}

// SetOperation returns the text with name = id in [operations], which is made if there is none.
func SetOperation(data []byte, name, id string) ([]byte, error) {
	if strings.ContainsAny(name, "=[]#;\"`\t\r\n") || strings.TrimSpace(name) != name || name == "" {
		return nil, fmt.Errorf("operation name %q cannot stand in a configuration file", name)
	}
	return edit(data, operations, map[string]string{name: id})
}

func edit(data []byte, section string, set map[string]string) ([]byte, error) {
	for key, value := range set {
		if strings.ContainsAny(key+value, "\r\n") || strings.TrimSpace(value) != value {
			return nil, fmt.Errorf("the value for %q cannot stand on one line", key)
		}
	}
	text, marked := strings.CutPrefix(string(data), bom)
	ending := "\n"
	if strings.Contains(text, "\r\n") {
		ending = "\r\n"
	}
	lines := strings.SplitAfter(text, "\n")
	for _, key := range slices.Sorted(maps.Keys(set)) {
		lines = place(lines, section, key, key+" = "+set[key]+ending, ending)
	}
	text = strings.Join(lines, "")
	if marked {
		text = bom + text
	}
	return []byte(text), nil
}

// place replaces the key's line, or finds the best place for a new one.
func place(lines []string, section, key, text, ending string) []string {
	current, sample, end := "", -1, -1
	for i, raw := range lines {
		line := strings.TrimSpace(raw)
		if strings.HasPrefix(line, "[") {
			current = strings.Trim(line, "[]")
		}
		if current != section {
			continue
		}
		end = i + 1
		if keyOf(line) == key {
			lines[i] = text
			return lines
		}
		if strings.HasPrefix(line, "#") && keyOf(strings.TrimLeft(line, "# ")) == key {
			sample = i + 1
		}
	}
	switch {
	case sample >= 0:
		end = sample
	case end < 0 && section == "":
		end = 0
	case end < 0:
		return append(terminated(lines, ending), "["+section+"]"+ending, text)
	default:
		// Behind the last line that says something, so that the blank line before a section stays.
		for end > 0 && strings.TrimSpace(lines[end-1]) == "" {
			end--
		}
	}
	return slices.Insert(terminated(lines[:end:end], ending), end, append([]string{text}, lines[end:]...)...)
}

// terminated gives the last line an ending if it has none.
func terminated(lines []string, ending string) []string {
	if n := len(lines); n > 0 && lines[n-1] != "" && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += ending
	}
	return lines
}

func keyOf(line string) string {
	if line == "" || strings.ContainsAny(line[:1], "#;[") {
		return ""
	}
	key, _, found := strings.Cut(line, "=")
	if !found {
		return ""
	}
	return strings.TrimSpace(key)
}

// suggestion names the key that was probably meant.
func suggestion(key string) string {
	if near := closest(key); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; operations belong into [operations]"
}

// closest returns the known key within two edits of key, or "".
func closest(key string) string {
	best, distance := "", 3
	for _, known := range Keys() {
		if d := editDistance(strings.ToLower(key), known); d < distance {
			best, distance = known, d
		}
	}
	return best
}

// editDistance is Levenshtein's: the least number of characters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
