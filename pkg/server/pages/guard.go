package pages

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
)

// maxForm bounds what a browser may send. A route that takes a file says so itself (see routeOptions).
const maxForm = 64 << 10

// contentPolicy lets a page load what this site serves and nothing else; nothing inline runs, and no other page frames it.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// hstsAge is how long browsers insist on HTTPS, in seconds: a year.
const hstsAge = 365 * 24 * 3600

// ServeHTTP answers one request: every one passes the same checks before a page sees it.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.log.Error("page", "path", r.URL.Path, "error", fmt.Sprintf("panic: %v\n%s", p, debug.Stack()))
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}
	}()
	s.setHeaders(w.Header())
	if !s.rightHost(r) {
		s.wrongHost(w, r)
		return
	}
	if err := s.cross.Check(r); err != nil {
		s.newExchange(w, r).fail(statusError(http.StatusForbidden))
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Site) setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	if !s.selfSigned {
		h.Set("Strict-Transport-Security", fmt.Sprintf("max-age=%d", hstsAge))
	}
}

// rightHost refuses names that are not ours: a cookie, a passkey or a link made under another would be lost or stolen.
func (s *Site) rightHost(r *http.Request) bool {
	return s.public != nil && strings.EqualFold(withPort(r.Host), withPort(s.public.Host))
}

func withPort(host string) string { return strings.TrimSuffix(host, ":443") }

// wrongHost names the address that works, in a page that needs nothing of this site.
func (s *Site) wrongHost(w http.ResponseWriter, r *http.Request) {
	x := s.newExchange(w, r)
	w.WriteHeader(http.StatusMisdirectedRequest)
	data := struct{ Address string }{}
	if s.public != nil {
		data.Address = s.link("/")
	}
	if err := s.pages.write(w, x.lang, "address", "page", x.view(data)); err != nil {
		s.log.Warn("page", "path", r.URL.Path, "error", err)
	}
}
