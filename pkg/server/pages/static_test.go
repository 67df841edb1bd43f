package pages

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestStaticFilesAreKeptForEverAndFoundByHash(t *testing.T) {
	c := newBed(t).client()
	c.header.Set("Accept-Encoding", "br, gzip")
	for name, f := range c.b.site.static.files {
		resp := c.do("GET", c.b.asset(name), nil)
		if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") || resp.Header.Get("Content-Type") != f.kind || f.kind == "" {
			t.Errorf("%s: %s, %v", name, resp.Status, resp.Header)
		}
		body := io.Reader(resp.Body)
		if resp.Header.Get("Content-Encoding") == "gzip" {
			var err error
			body, err = gzip.NewReader(resp.Body)
			c.b.must(err)
		}
		got, err := io.ReadAll(body)
		c.b.must(err)
		if !bytes.Equal(got, f.plain) {
			t.Errorf("%s came back changed", name)
		}
	}
	if resp := c.do("GET", "/static/0123456789abcdef/app.css", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("another release's file: %s", resp.Status)
	}
	c.header.Set("Accept-Encoding", "gzip;q=0")
	if resp := c.do("GET", c.b.asset("app.css"), nil); resp.Header.Get("Content-Encoding") != "" {
		t.Error("compressed for a browser that does not want it")
	}
}

// TestStylesStartWithTheTokens: an area's sheet may use and override what the shell's define.
func TestStylesStartWithTheTokens(t *testing.T) {
	s, err := loadStatic()
	if err != nil {
		t.Fatal(err)
	}
	sheet := string(s.files["app.css"].plain)
	if tokens, base := strings.Index(sheet, "--ground:"), strings.Index(sheet, ".skip"); tokens < 0 || base < tokens {
		t.Errorf("tokens at %d, base at %d", tokens, base)
	}
}
