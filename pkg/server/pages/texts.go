package pages

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed messages
var messageFiles embed.FS

// languageCookie holds what a person chose; without it the browser's Accept-Language decides.
const languageCookie = "__Host-lang"

// defaultLanguage is what a browser gets that asks for none of ours.
const defaultLanguage = "en"

// catalogue holds every text of the pages, by language and key. A key is AREA.NAME: messages/LANGUAGE/AREA.json
// holds NAME. In a text {1}, {2} … stand for arguments.
type catalogue struct {
	languages []string
	texts     map[string]map[string]string
}

func loadCatalogue() (*catalogue, error) {
	c := &catalogue{texts: map[string]map[string]string{}}
	files, err := fs.Glob(messageFiles, "messages/*/*.json")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		lang, area := path.Base(path.Dir(file)), strings.TrimSuffix(path.Base(file), ".json")
		text, err := messageFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var list map[string]string
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if c.texts[lang] == nil {
			c.texts[lang] = map[string]string{}
			c.languages = append(c.languages, lang)
		}
		for name, text := range list {
			c.texts[lang][area+"."+name] = text
		}
	}
	slices.Sort(c.languages)
	return c, nil
}

func (c *catalogue) has(key string) bool { return c.texts[defaultLanguage][key] != "" }

// text returns a text with its arguments in place. An unknown key shows itself; a test finds those.
func (c *catalogue) text(lang, key string, args ...any) string {
	text, ok := c.texts[lang][key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	pairs := make([]string, 0, 2*len(args))
	for i, a := range args {
		pairs = append(pairs, "{"+strconv.Itoa(i+1)+"}", fmt.Sprint(a))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// count picks KEY.one or KEY.other by n, which is {1}; further arguments follow it.
func (c *catalogue) count(lang, key string, n int, args ...any) string {
	if n == 1 {
		key += ".one"
	} else {
		key += ".other"
	}
	return c.text(lang, key, append([]any{n}, args...)...)
}

// choose finds the language of a request.
func (c *catalogue) choose(r *http.Request) string {
	if chosen, err := r.Cookie(languageCookie); err == nil && slices.Contains(c.languages, chosen.Value) {
		return chosen.Value
	}
	best, weight := defaultLanguage, 0.0
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		lang, _, _ := strings.Cut(strings.ToLower(tag), "-")
		q := 1.0
		if text, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		if q > weight && slices.Contains(c.languages, lang) {
			best, weight = lang, q
		}
	}
	return best
}
