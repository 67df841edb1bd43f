package pages

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

//go:embed templates
var templateFiles embed.FS

// shared are the files that every page has besides its own; an area's own are called AREA_parts.html.
var shared = []string{"templates/layout.html", "templates/parts.html", "templates/*_parts.html"}

// pages makes every page, once per language and with its texts bound, when it is first asked for: all of them at once take
// 10 MiB. templates/NAME.html is the page NAME. It defines "title" and "content", and "live" if a part of it changes while it
// is looked at.
type pages struct {
	bases map[string]*template.Template // what all pages of a language share; only cloned, never executed
	names []string
	made  sync.Map // LANGUAGE/NAME -> *template.Template
}

func loadPages(texts *catalogue, files *static) (*pages, error) {
	p := &pages{bases: map[string]*template.Template{}}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		if !isShared(file) {
			p.names = append(p.names, strings.TrimSuffix(path.Base(file), ".html"))
		}
	}
	for _, lang := range texts.languages {
		if p.bases[lang], err = template.New("").Funcs(functions(texts, files, lang)).ParseFS(templateFiles, shared...); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// set returns a page in a language.
func (p *pages) set(lang, name string) (*template.Template, error) {
	if made, ok := p.made.Load(lang + "/" + name); ok {
		return made.(*template.Template), nil
	}
	base := p.bases[lang]
	if base == nil || !slices.Contains(p.names, name) {
		return nil, fmt.Errorf("no page %q in %q", name, lang)
	}
	set, err := base.Clone()
	if err == nil {
		set, err = set.ParseFS(templateFiles, "templates/"+name+".html")
	}
	if err != nil {
		return nil, fmt.Errorf("page %q: %w", name, err)
	}
	made, _ := p.made.LoadOrStore(lang+"/"+name, set)
	return made.(*template.Template), nil
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
	set, err := p.set(lang, name)
	if err != nil {
		return err
	}
	if set.Lookup(part) == nil {
		return statusError(404)
	}
	return set.ExecuteTemplate(w, part, v)
}
