package web

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed templates
var templateFiles embed.FS

// shared are the files that every page has besides its own; an area's own are called AREA_parts.html.
var shared = []string{"templates/layout.html", "templates/parts.html", "templates/*_parts.html"}

// pages holds every page once per language, with its texts bound: templates/NAME.html is the page NAME. It defines
// "title" and "content", and "live" if a part of it changes while it is looked at.
type pages struct {
	sets map[string]*template.Template // by LANGUAGE/NAME
}

func loadPages(texts *catalogue, files *static) (*pages, error) {
	p := &pages{sets: map[string]*template.Template{}}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, lang := range texts.languages {
		base, err := template.New("").Funcs(functions(texts, files, lang)).ParseFS(templateFiles, shared...)
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			if isShared(file) {
				continue
			}
			set, err := base.Clone()
			if err != nil {
				return nil, err
			}
			if set, err = set.ParseFS(templateFiles, file); err != nil {
				return nil, err
			}
			p.sets[lang+"/"+strings.TrimSuffix(path.Base(file), ".html")] = set
		}
	}
	return p, nil
}

func isShared(file string) bool {
	return slices.ContainsFunc(shared, func(pattern string) bool {
		match, err := path.Match(pattern, file)
		return err == nil && match
	})
}

// functions are what templates may call:
//
//	t KEY ARGS…       a text of the catalogue
//	count KEY N ARGS… a text for a number of things
//	asset NAME        the address of a static file
//	args A B …        several values as one, for a shared part: index . 0 …
func functions(texts *catalogue, files *static, lang string) template.FuncMap {
	return template.FuncMap{
		"t":     func(key string, args ...any) string { return texts.text(lang, key, args...) },
		"count": func(key string, n int, args ...any) string { return texts.count(lang, key, n, args...) },
		"asset": files.address,
		"args":  func(values ...any) []any { return values },
		"lang":  func(code string) string { return texts.text(code, "shell.language") },
		"spread": func(key string, args []string) string {
			list := make([]any, len(args))
			for i, a := range args {
				list[i] = a
			}
			return texts.text(lang, key, list...)
		},
	}
}

// write renders one part of a page.
func (p *pages) write(w io.Writer, lang, name, part string, v view) error {
	set := p.sets[lang+"/"+name]
	if set == nil {
		return fmt.Errorf("no page %q in %q", name, lang)
	}
	if set.Lookup(part) == nil {
		return statusError(404)
	}
	return set.ExecuteTemplate(w, part, v)
}
