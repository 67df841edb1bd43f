package pages

import "testing"

// TestEveryPageIsWhole makes every page in every language: the server makes them when they are first asked for.
func TestEveryPageIsWhole(t *testing.T) {
	p := newBed(t).site.pages
	if len(p.names) < 20 || len(p.bases) < 2 {
		t.Fatalf("%d pages in %d languages", len(p.names), len(p.bases))
	}
	for lang := range p.bases {
		for _, name := range p.names {
			set, err := p.set(lang, name)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, part := range []string{"title", "content", "page"} {
				if set.Lookup(part) == nil {
					t.Errorf("templates/%s.html defines no %q", name, part)
				}
			}
		}
	}
}
