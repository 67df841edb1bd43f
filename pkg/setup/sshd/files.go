package sshd

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	configDir  = "/etc/ssh"
	configFile = configDir + "/sshd_config"
	vendorFile = "/usr/etc/ssh/sshd_config" // of openSUSE, where there is no other
	dropInDir  = configDir + "/sshd_config.d"
)

// maxDepth is how deep sshd follows Include.
const maxDepth = 16

// Files is where sshd's configuration lies: below Root in tests, "" on a real machine.
type Files struct{ Root string }

// Block is a Match block.
type Block struct {
	Where string // file and condition
	set   map[string]string
	outer *Block // the block that includes this one's file
}

// get returns what a block sets. The first value of a keyword counts; a block that matches lies in one that does.
func (b *Block) get(keyword string) (value string, found bool) {
	for ; b != nil; b = b.outer {
		if value, found = b.set[keyword]; found {
			return value, true
		}
	}
	return "", false
}

// keep notes the first value of a keyword.
func (b *Block) keep(keyword string, values []string) {
	if _, known := b.set[keyword]; known {
		return
	}
	b.set[keyword] = strings.ToLower(strings.Join(values, " "))
}

// Blocks reads every Match block of sshd's configuration, in included files too. A file that cannot be read is an error.
func (f Files) Blocks() ([]*Block, error) {
	r := reader{files: f}
	err := r.read(configFile, nil, 0)
	if _, gone := os.Lstat(f.Root + configFile); errors.Is(gone, fs.ErrNotExist) {
		if err = r.read(vendorFile, nil, 0); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	return r.blocks, err
}

type reader struct {
	files  Files
	blocks []*Block
}

// read reads a file that is included within a block, nil for none. A block of its own ends with the file.
func (r *reader) read(name string, within *Block, depth int) error {
	if depth >= maxDepth {
		return fmt.Errorf("%s: Include is nested too deep", name)
	}
	text, err := os.ReadFile(r.files.Root + name)
	if err != nil {
		return err
	}
	now := within
	for _, line := range strings.Split(string(text), "\n") {
		keyword, values := words(line)
		switch keyword {
		case "":
			continue
		case "include":
			if err := r.include(values, now, depth); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		case "match":
			now = &Block{Where: name + ": Match " + strings.Join(values, " "), set: map[string]string{}, outer: within}
			if within != nil {
				now.set = maps.Clone(within.set) // what was said before the inclusion comes first
			}
			r.blocks = append(r.blocks, now)
			continue
		case "challengeresponseauthentication", "skeyauthentication": // its names of old
			keyword = interactive
		}
		if now != nil {
			now.keep(keyword, values)
		}
	}
	return nil
}

func (r *reader) include(patterns []string, within *Block, depth int) error {
	for _, pattern := range patterns {
		names, err := r.files.glob(pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := r.read(name, within, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// glob lists the files of a pattern of Include, as glob(7) has it: sorted, hidden ones only where the pattern names the dot.
func (f Files) glob(pattern string) ([]string, error) {
	pattern = wholePattern(pattern)
	found, err := filepath.Glob(f.Root + strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", pattern, err)
	}
	var names []string
	for _, name := range found {
		if name = strings.TrimPrefix(name, f.Root); !matchesHidden(pattern, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// matchesHidden reports whether a wildcard stands for the dot that hides a file.
func matchesHidden(pattern, name string) bool {
	wanted := strings.Split(pattern, "/")
	for i, part := range strings.Split(name, "/") {
		if strings.HasPrefix(part, ".") && i < len(wanted) && !strings.HasPrefix(wanted[i], ".") {
			return true
		}
	}
	return false
}

func wholePattern(pattern string) string {
	if path.IsAbs(pattern) {
		return pattern
	}
	return path.Join(configDir, pattern)
}

// words splits a line of sshd_config(5): the keyword in lower case, and its values without quotation marks. A line without
// a value has no keyword.
func words(line string) (keyword string, values []string) {
	line = strings.TrimSpace(line)
	if end := strings.IndexAny(line, " \t="); end > 0 {
		keyword, line = line[:end], strings.TrimLeft(line[end:], " \t")
		line = strings.TrimLeft(strings.TrimPrefix(line, "="), " \t")
	}
	for keyword != "" && line != "" && line[0] != '#' {
		var value string
		value, line = firstWord(line)
		values = append(values, value)
	}
	if len(values) == 0 || keyword[0] == '#' {
		return "", nil
	}
	return strings.ToLower(strings.Trim(keyword, `"`)), values
}

// firstWord takes a word, in which quotation marks hold blanks together and a backslash stands before one of them.
func firstWord(line string) (word, rest string) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line) && strings.IndexByte(`"'\ `, line[i+1]) >= 0:
			i++
			b.WriteByte(line[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), strings.TrimLeft(line[i:], " \t")
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
