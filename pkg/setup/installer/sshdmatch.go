package installer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sshdWords splits a line of sshd_config(5): the keyword in lower case, and its values as they stand.
func sshdWords(line string) (keyword string, values []string) {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(strings.Replace(line, "=", " ", 1))
	if len(words) < 2 {
		return "", nil
	}
	for i, word := range words {
		words[i] = strings.Trim(word, `"`)
	}
	return strings.ToLower(words[0]), words[1:]
}

// block is a Match block of sshd's configuration: what it sets, the first value of each keyword.
type block struct {
	where string // file and condition
	set   map[string]string
}

// sshdBlocks reads the Match blocks of sshd's own configuration and of its drop-ins.
func sshdBlocks() ([]*block, error) {
	files, err := filepath.Glob(filepath.Dir(sshdDropIn) + "/*.conf")
	if err != nil {
		return nil, err
	}
	var all []*block
	for _, file := range append(files, sshdConfig) {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just gone, or is a link to nowhere, which sshd passes over
		}
		if err != nil {
			return nil, err
		}
		var now *block
		for _, line := range strings.Split(string(text), "\n") {
			keyword, values := sshdWords(line)
			switch keyword {
			case "":
				continue
			case "match":
				now = &block{file + ": Match " + strings.Join(values, " "), map[string]string{}}
				all = append(all, now)
				continue
			case "challengeresponseauthentication": // its name of old
				keyword = "kbdinteractiveauthentication"
			}
			if now != nil && now.set[keyword] == "" {
				now.set[keyword] = strings.ToLower(strings.Join(values, " "))
			}
		}
	}
	return all, nil
}

// opened finds a Match block that keeps passwords out, which keyboard-interactive would take again once PAM is asked or
// that method is on. before are the settings outside of any block, interactive reports whether the method will be on there.
func opened(blocks []*block, before map[string]string, interactive bool) (where string, found bool) {
	somewhere := interactive
	for _, b := range blocks {
		somewhere = somewhere || b.set["kbdinteractiveauthentication"] == "yes"
	}
	either := func(b *block, keyword string) string {
		if value, ok := b.set[keyword]; ok {
			return value
		}
		return before[keyword]
	}
	for _, b := range blocks {
		own := b.set["kbdinteractiveauthentication"]
		closed := either(b, "passwordauthentication") != "yes" && !keyFirst(either(b, "authenticationmethods"))
		already := before["usepam"] == "yes" && either(b, "kbdinteractiveauthentication") == "yes"
		if closed && !already && (own == "yes" || own == "" && somewhere) {
			return b.where, true
		}
	}
	return "", false
}
