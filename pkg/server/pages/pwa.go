package pages

import (
	"bytes"
	"fmt"
	"net/http"
)

func (s *Site) pwaRoutes() {
	s.mux.HandleFunc("GET /sw.js", s.worker)
	s.everybody("GET /offline", s.offlinePage)
}

// workerParts are the files that the service worker is made of. It is one file at the root, as its scope has to be.
var workerParts = []string{"js/worker.js", "js/push-worker.js"}

// worker answers with the service worker. It differs in every release by what it keeps, so that browsers take the new one.
func (s *Site) worker(w http.ResponseWriter, r *http.Request) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "const release = %q;\nconst shell = %q;\n", s.static.hash, "/static/"+s.static.hash+"/app.css")
	for _, name := range workerParts {
		text.Write(s.static.files[name].plain)
	}
	h := w.Header()
	h.Set("Content-Type", mimeType(".js"))
	h.Set("Cache-Control", "no-cache")
	w.Write(text.Bytes()) // an error means that the browser has gone
}

// offlinePage is what the service worker shows when the server cannot be reached. It is nobody's page: it shows no state, and
// takes no notice that waits for another.
func (s *Site) offlinePage(x *exchange) error {
	x.visitor = nil
	x.r.Header.Del("Cookie")
	return x.page("offline", nil)
}
