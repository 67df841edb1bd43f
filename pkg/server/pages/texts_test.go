package pages

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var placeholder = regexp.MustCompile(`\{\d+\}`)

// TestLanguagesSayTheSame: the same keys in every language, with the same placeholders, and no text that is empty.
func TestLanguagesSayTheSame(t *testing.T) {
	c, err := loadCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"en", "es"}; !slices.Equal(c.languages, want) {
		t.Fatalf("languages are %v", c.languages)
	}
	holes := func(text string) []string {
		list := placeholder.FindAllString(text, -1)
		slices.Sort(list)
		return slices.Compact(list)
	}
	for _, a := range c.languages {
		for key, text := range c.texts[a] {
			if strings.TrimSpace(text) != text || text == "" {
				t.Errorf("%s %s is %q", a, key, text)
			}
			for _, b := range c.languages {
				other, ok := c.texts[b][key]
				if !ok {
					t.Errorf("%s has no %s, %s has", b, key, a)
				} else if !slices.Equal(holes(text), holes(other)) {
					t.Errorf("%s: %v in %s, %v in %s", key, holes(text), a, holes(other), b)
				}
			}
		}
	}
}

// keyInTemplate finds what templates ask of the catalogue by a constant key.
var keyInTemplate = regexp.MustCompile(`\{\{[^}]*?\b(t|count) "([^"]+)"`)

// TestTemplatesAskForTextsThatAreThere reads every template's constant keys.
func TestTemplatesAskForTextsThatAreThere(t *testing.T) {
	c, err := loadCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	found := 0
	for _, file := range files {
		text, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range keyInTemplate.FindAllStringSubmatch(string(text), -1) {
			keys := []string{m[2]}
			if m[1] == "count" {
				keys = []string{m[2] + ".one", m[2] + ".other"}
			}
			for _, key := range keys {
				found++
				if !c.has(key) {
					t.Errorf("%s asks for %q", file, key)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d keys found", found)
	}
}

func TestArgumentsStandWhereTheTextSays(t *testing.T) {
	c := &catalogue{texts: map[string]map[string]string{"en": {"a.b": "{2} of {1}, {1}", "a.n.one": "{1} code of {2}", "a.n.other": "{1} codes of {2}"}}}
	for got, want := range map[string]string{
		c.text("en", "a.b", "{2}", 3):         "3 of {2}, {2}",
		c.count("en", "a.n", 1, "x"):          "1 code of x",
		c.count("en", "a.n", 0, "x"):          "0 codes of x",
		c.text("en", "a.unknown", "whatever"): "a.unknown",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
