package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// firstStyles come before the areas' style sheets, in this order.
var firstStyles = []string{"static/css/tokens.css", "static/css/base.css"}

// static holds the files that browsers keep: under an address with a hash over all of them, so that a new release is
// fetched at once and an old one never again. All style sheets are one file, app.css.
type static struct {
	hash  string
	files map[string]staticFile // by name below the hash, as js/app.js
}

type staticFile struct {
	kind    string
	plain   []byte
	gzipped []byte // nil where it is not smaller
}

func loadStatic() (*static, error) {
	s := &static{files: map[string]staticFile{}}
	var styles []string
	err := fs.WalkDir(staticFiles, "static", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if path.Ext(file) == ".css" {
			styles = append(styles, file)
			return nil
		}
		text, err := staticFiles.ReadFile(file)
		if err != nil {
			return err
		}
		return s.add(strings.TrimPrefix(file, "static/"), text)
	})
	if err != nil {
		return nil, err
	}
	sheet, err := joinStyles(styles)
	if err != nil {
		return nil, err
	}
	if err := s.add("app.css", sheet); err != nil {
		return nil, err
	}
	s.hash = s.sum()
	return s, nil
}

func joinStyles(files []string) ([]byte, error) {
	rest := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return slices.Contains(firstStyles, f) })
	var sheet bytes.Buffer
	for _, file := range slices.Concat(firstStyles, rest) {
		text, err := staticFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		sheet.Write(text)
	}
	return sheet.Bytes(), nil
}

func (s *static) add(name string, text []byte) error {
	f := staticFile{kind: mimeType(name), plain: text}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if b.Len() < len(text) {
		f.gzipped = b.Bytes()
	}
	s.files[name] = f
	return nil
}

// mimeType does not ask the system's tables: nosniff makes a wrong type a broken page.
func mimeType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".webmanifest":
		return "application/manifest+json"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func (s *static) sum() string {
	names := make([]string, 0, len(s.files))
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%s\x00%d\x00", name, len(s.files[name].plain))
		h.Write(s.files[name].plain)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// address is the path of a file; a name that is not there is an error of the template that asks.
func (s *static) address(name string) (string, error) {
	if _, ok := s.files[name]; !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return "/static/" + s.hash + "/" + name, nil
}

// ServeHTTP answers /static/HASH/NAME. Files of another release are gone.
func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := s.files[r.PathValue("name")]
	if !ok || r.PathValue("hash") != s.hash {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	f.write(w, r)
}

func (f staticFile) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if f.gzipped != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = f.gzipped
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // an error means that the browser has gone
	}
}

func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && q != "q=0.0"
		}
	}
	return false
}
