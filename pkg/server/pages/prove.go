package pages

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// How long a shown factor counts.
const (
	provenSpan = 10 * time.Minute // for what changes how one signs in
	panelSpan  = 12 * time.Hour   // for the admin's panel
)

func (s *Site) proveRoutes() {
	s.person("GET /prove", s.provePage)
	s.person("POST /prove", s.prove)
}

// context is the request's, with the visitor as whoever acts.
func (x *exchange) context() context.Context {
	if x.visitor == nil {
		return x.r.Context()
	}
	return store.WithActor(x.r.Context(), store.Actor{Via: store.ViaWeb, Name: x.visitor.User.Name, IP: address(x.r)})
}

// shown tells whether a factor was shown in this session within a span, the second one where one is enrolled by now.
func (x *exchange) shown(span time.Duration) (bool, error) {
	f, err := x.site.store.Factors(x.visitor.User.Row)
	return x.site.store.Proven(x.visitor.Session, span) && (x.visitor.Session.Strong || !f.Second()), err
}

// proven tells whether the visitor showed a factor a moment ago: what adds a factor or a device asks for one again.
func (x *exchange) proven() bool {
	ok, err := x.shown(provenSpan)
	return ok && err == nil
}

// askToProve sends the visitor to show a factor, and on to next from there.
func (x *exchange) askToProve(next string) error { return x.redirect(withNext("/prove", next)) }

// afresh wraps a handler that needs a factor shown a moment ago; back is the page to go on from.
func afresh(back string, h handler) handler {
	return func(x *exchange) error {
		if !x.proven() {
			return x.askToProve(back)
		}
		return h(x)
	}
}

// panelOpen tells whether the visitor may see the admin's panel now.
func (x *exchange) panelOpen() (bool, error) { return x.shown(panelSpan) }

// proveForm is what the page shows that asks for a factor again.
type proveForm struct {
	signinForm
	Code bool // a code is needed besides the password
}

func (x *exchange) proveForm(next string) (proveForm, error) {
	f, err := x.site.store.Factors(x.visitor.User.Row)
	form := proveForm{Code: f.Second()}
	form.Name, form.Next = x.visitor.User.Name, localPath(next, "/account")
	form.Passkeys = x.site.passkeys != nil && f.Passkeys > 0
	return form, err
}

func (s *Site) provePage(x *exchange) error {
	form, err := x.proveForm(x.r.URL.Query().Get("next"))
	if err != nil {
		return err
	}
	return x.page("prove", form)
}

// prove takes what signing in takes: the password, and a code where a second factor is enrolled.
func (s *Site) prove(x *exchange) error {
	form, err := x.proveForm(x.r.PostFormValue("next"))
	if err != nil {
		return err
	}
	wrong := "signin.wrong_password"
	u, _, err := s.checkPassword(x, x.visitor.User.Name, x.r.PostFormValue("password"))
	if err == nil && form.Code {
		wrong = "signin.wrong_code"
		err = s.checkCode(x, store.GuessStep, u, x.r.PostFormValue("code"))
	}
	if err != nil {
		status, err := form.problem(err, wrong)
		if err != nil {
			return err
		}
		return x.pageStatus(status, "prove", form)
	}
	if err := s.store.Prove(x.r.Context(), x.visitor.Session.Row, form.Code); err != nil {
		return err
	}
	return x.redirect(form.Next)
}

// inPanel tells whether a request is for the admin's panel: all of /admin, whatever route it has.
func (x *exchange) inPanel() bool {
	return x.visitor != nil && (x.r.URL.Path == "/admin" || strings.HasPrefix(x.r.URL.Path, "/admin/"))
}

// servePanel asks for a factor first, where the panel is not open.
func (x *exchange) servePanel(h handler) error {
	open, err := x.panelOpen()
	if err != nil {
		return err
	}
	if open {
		return h(x)
	}
	if x.r.URL.Query().Has("fragment") {
		return statusError(http.StatusUnauthorized)
	}
	next := "/admin"
	if x.r.Method == http.MethodGet {
		next = x.r.URL.RequestURI()
	}
	return x.askToProve(next)
}
