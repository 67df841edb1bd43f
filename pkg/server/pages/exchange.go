package pages

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/server/store"
)

// handler answers one request. An error becomes a page that says what happened, so a handler writes nothing before it
// knows that all went well.
type handler func(*exchange) error

// exchange is one request with what every page needs.
type exchange struct {
	site    *Site
	w       http.ResponseWriter
	r       *http.Request
	lang    string
	visitor *visitor // nil where nobody is signed in
	squeeze bool     // the page may be compressed: it shows no secret, whose text its size could betray
}

// view is what a template sees. D is what the handler gave it.
type view struct {
	D          any
	Page       string // the template's name, for the mark in the navigation
	Lang       string
	Langs      []string
	Here       string // path and query of this page, for the way back after a choice
	Visitor    *visitor
	Flash      *flash
	SelfSigned bool
}

func (s *Site) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{site: s, w: w, r: r, lang: s.texts.choose(r)}
}

// everybody serves a route to whoever asks; the visitor is known where somebody is signed in. pattern is one of
// http.ServeMux's, with its method.
func (s *Site) everybody(pattern string, h handler) { s.handle(pattern, maxForm, h, nil) }

// person serves a route to people who are signed in; others are asked to sign in first.
func (s *Site) person(pattern string, h handler) { s.handle(pattern, maxForm, h, (*visitor).isPerson) }

// auditor serves a route to auditors and admins: what shows and changes nothing.
func (s *Site) auditor(pattern string, h handler) {
	s.handle(pattern, maxForm, h, (*visitor).isAuditor)
}

// admin serves a route to admins.
func (s *Site) admin(pattern string, h handler) { s.handle(pattern, maxForm, h, (*visitor).isAdmin) }

// handle registers a route: bodies up to limit bytes, visitors whom may lets in (nil: everybody).
func (s *Site) handle(pattern string, limit int64, h handler, may func(*visitor) bool) {
	s.patterns = append(s.patterns, pattern)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		x := s.newExchange(w, r)
		if err := x.serve(h, may); err != nil {
			x.fail(err)
		}
	})
}

func (x *exchange) serve(h handler, may func(*visitor) bool) error {
	var err error
	if x.visitor, err = x.site.identify(x.r); err != nil {
		return err
	}
	if may != nil && x.visitor == nil {
		return x.askToSignIn()
	}
	if may != nil && !may(x.visitor) {
		return statusError(http.StatusForbidden)
	}
	x.useLanguage()
	if x.inPanel() {
		return x.servePanel(h)
	}
	return h(x)
}

// askToSignIn remembers where the person wanted to go, unless it was a change: that is asked for again.
func (x *exchange) askToSignIn() error {
	if x.r.URL.Query().Has("fragment") || x.r.Header.Get("Accept") == "text/event-stream" {
		return statusError(http.StatusUnauthorized)
	}
	to := "/signin"
	if here := x.r.URL.RequestURI(); x.r.Method == http.MethodGet && here != "/" {
		to += "?next=" + url.QueryEscape(here)
	}
	return x.redirect(to)
}

// page renders the page templates/NAME.html in the layout. Asked with ?fragment=1, it renders the page's "live" part
// alone: what a live page fetches when it is told that something changed.
func (x *exchange) page(name string, data any) error { return x.pageStatus(http.StatusOK, name, data) }

func (x *exchange) pageStatus(status int, name string, data any) error {
	part := "page"
	if x.r.URL.Query().Has("fragment") {
		part = "live"
	}
	v := x.view(data)
	v.Page = name
	if part == "page" {
		v.Flash = x.takeFlash()
	}
	var body bytes.Buffer
	if err := x.site.pages.write(&body, x.lang, name, part, v); err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", x.lang)
	if x.squeeze && acceptsGzip(x.r) {
		if err := squeeze(&body); err != nil {
			return err
		}
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	x.w.WriteHeader(status)
	x.w.Write(body.Bytes()) // an error means that the browser has gone
	return nil
}

// squeeze compresses a page.
func squeeze(body *bytes.Buffer) error {
	var small bytes.Buffer
	z, err := gzip.NewWriterLevel(&small, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(body.Bytes()); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	*body = small
	return nil
}

func (x *exchange) view(data any) view {
	q := x.r.URL.Query()
	q.Del("fragment")
	here := (&url.URL{Path: x.r.URL.Path, RawQuery: q.Encode()}).RequestURI()
	return view{D: data, Lang: x.lang, Langs: x.site.texts.languages, Here: here, Visitor: x.visitor, SelfSigned: x.site.selfSigned}
}

// text is a text of the catalogue in the visitor's language; args stand for its {1}, {2} …
func (x *exchange) text(key string, args ...any) string {
	return x.site.texts.text(x.lang, key, args...)
}

// count is like text for a number of things, which is its {1}: KEY.one for one, KEY.other for any other number.
func (x *exchange) count(key string, n int, args ...any) string {
	return x.site.texts.count(x.lang, key, n, args...)
}

// redirect ends a POST: the browser fetches the path with GET, and a reload changes nothing.
func (x *exchange) redirect(path string) error {
	http.Redirect(x.w, x.r, path, http.StatusSeeOther)
	return nil
}

// localPath is where a form or a link wants to go back to, if that is a path of this site; else otherwise.
func localPath(path, otherwise string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\\r\n\t") {
		return otherwise
	}
	return path
}

// statusError is an answer that is a status and the page that explains it.
type statusError int

func (e statusError) Error() string { return http.StatusText(int(e)) }

// absences are the store's errors that mean the address is of nothing that is there.
var absences = []error{store.ErrNoApplication, store.ErrNoOperation, store.ErrNoInstance, store.ErrNoUser, store.ErrNotPaired,
	store.ErrNoSecret, store.ErrNoControl, store.ErrNoAPIUser, store.ErrNoTOTP, store.ErrNoChannel, store.ErrNoNotice,
	store.ErrNoPasskey, store.ErrNoSession, store.ErrNoPicture, store.ErrNoRequest}

// fail answers with the page of an error; one that nobody expected is logged and not shown.
func (x *exchange) fail(err error) {
	status := http.StatusInternalServerError
	var known statusError
	var large *http.MaxBytesError
	var many *store.TooManyError
	switch {
	case errors.As(err, &known):
		status = int(known)
	case errors.Is(err, store.ErrUserDisabled), errors.Is(err, store.ErrPhoneLost), errors.Is(err, store.ErrOldPassword):
		status = http.StatusForbidden
	case errors.As(err, &large):
		status = http.StatusRequestEntityTooLarge
	case errors.As(err, &many):
		status = http.StatusTooManyRequests
		x.w.Header().Set("Retry-After", strconv.Itoa(int(many.After.Seconds())+1))
	default:
		for _, absent := range absences {
			if errors.Is(err, absent) {
				status = http.StatusNotFound
			}
		}
	}
	if status >= 500 {
		x.site.log.Error("page", "method", x.r.Method, "path", x.r.Pattern, "error", err)
	}
	if err := x.pageStatus(status, "error", errorPage{status}); errors.As(err, &known) { // it has no such part
		http.Error(x.w, http.StatusText(status), status)
	} else if err != nil {
		x.site.log.Error("page", "path", x.r.Pattern, "error", fmt.Errorf("error page: %w", err))
		http.Error(x.w, http.StatusText(status), status)
	}
}

// errorPage says what a status means: the catalogue has a title and a text for those that are expected.
type errorPage struct{ Status int }

// Key is the catalogue's key for the status.
func (e errorPage) Key() string {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusBadRequest:
		return "shell.error." + strconv.Itoa(e.Status)
	}
	return "shell.error.500"
}
