package pages

import (
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// What a visitor can be in the middle of.
const (
	stepAuthenticator = "authenticator" // Data is the seed that waits for its first code
	stepRecovery      = "recovery"      // Data is the list of codes, until they are said to be kept
)

// recoveryPath is the page that shows new recovery codes.
const recoveryPath = "/account/recovery"

// enrolLife is how long a new authenticator or new recovery codes stay on show.
const enrolLife = time.Hour

func (s *Site) factorsRoutes() {
	s.person("POST /account/authenticator/new", afresh("/account", s.beginAuthenticator))
	s.person("GET /account/authenticator", afresh("/account", s.authenticatorPage))
	s.person("POST /account/authenticator", afresh("/account", s.setAuthenticator))
	s.person("POST /account/authenticator/remove", afresh("/account", s.removeAuthenticator))
	s.person("POST /account/recovery/new", afresh("/account", s.newRecovery))
	s.person("GET /account/recovery", s.recoveryPage)
	s.person("POST /account/recovery", s.keepRecovery)
}

type authenticatorView struct {
	QR      template.URL // a data URI that this server made
	Secret  string
	URI     template.URL
	Problem string
}

func (s *Site) beginAuthenticator(x *exchange) error {
	key, err := otp.NewTOTP("Latch "+s.public.Hostname(), x.visitor.User.Name)
	if err != nil {
		return err
	}
	if err := x.begin(store.Step{Purpose: stepAuthenticator, User: x.visitor.User.Row, Data: []byte(key.Secret)}, enrolLife); err != nil {
		return err
	}
	return x.redirect("/account/authenticator")
}

// mine is like step, for the visitor alone: a browser may have changed hands.
func (x *exchange) mine(purpose string) (store.Step, error) {
	p, err := x.step(purpose)
	if err == nil && p.User != x.visitor.User.Row {
		err = store.ErrStepOver
	}
	return p, err
}

func (s *Site) authenticatorPage(x *exchange) error { return s.showAuthenticator(x, http.StatusOK, "") }

func (s *Site) showAuthenticator(x *exchange, status int, problem string) error {
	p, err := x.mine(stepAuthenticator)
	if errors.Is(err, store.ErrStepOver) {
		return x.redirect("/account")
	}
	if err != nil {
		return err
	}
	secret := string(p.Data)
	uri := otp.Standard().URI(secret, "Latch "+s.public.Hostname(), x.visitor.User.Name, 0)
	picture, err := otp.QR(uri)
	if err != nil {
		return err
	}
	return x.pageStatus(status, "authenticator", authenticatorView{QR: template.URL(picture), Secret: grouped(secret), URI: template.URL(uri), Problem: problem})
}

// grouped writes a seed in groups of four, as people type it.
func grouped(secret string) string {
	out := make([]byte, 0, len(secret)*5/4)
	for i := range len(secret) {
		if i > 0 && i%4 == 0 {
			out = append(out, ' ')
		}
		out = append(out, secret[i])
	}
	return string(out)
}

// setAuthenticator takes the first code: an app that does not show it would lock its person out.
func (s *Site) setAuthenticator(x *exchange) error {
	p, err := x.mine(stepAuthenticator)
	if errors.Is(err, store.ErrStepOver) {
		x.flashBad("signin.over")
		return x.redirect("/account")
	}
	if err != nil {
		return err
	}
	step, ok := s.matchCode(x.r.PostFormValue("code"))(string(p.Data), 0)
	if !ok {
		return s.showAuthenticator(x, http.StatusUnprocessableEntity, "account.code_wrong")
	}
	if _, err := x.endStep(stepAuthenticator); err != nil {
		return err
	}
	user := x.visitor.User.Row
	if err := s.store.SetAuthenticator(x.context(), user, string(p.Data), step, x.visitor.Session.Row); err != nil {
		return err
	}
	if err := s.store.Prove(x.r.Context(), x.visitor.Session.Row, true); err != nil {
		return err
	}
	x.flash("account.authenticator_set")
	next, err := x.afterReset("/account")
	if err != nil {
		return err
	}
	return x.redirect(next)
}

// afterReset returns where a person goes on whose access may have been reset just now, by default to next. The browser is known
// again, and new recovery codes are handed out, because without them a lost phone would need the admin.
func (x *exchange) afterReset(next string) (string, error) {
	st, user := x.site.store, x.visitor.User.Row
	if _, err := st.KnowBrowser(x.context(), user, x.ticket(browserCookie)); err != nil {
		return "", err
	}
	f, err := st.Factors(user)
	if err != nil || f.RecoveryLeft > 0 {
		return next, err
	}
	return recoveryPath, x.site.makeRecovery(x)
}

func (s *Site) removeAuthenticator(x *exchange) error {
	if err := s.store.RemoveAuthenticator(x.context(), x.visitor.User.Row); err != nil {
		return err
	}
	x.flash("account.authenticator_removed")
	return x.redirect("/account")
}

// newRecovery makes new recovery codes; the earlier ones are void from here on. They stay on show until they are said to be kept.
func (s *Site) newRecovery(x *exchange) error {
	if err := s.makeRecovery(x); err != nil {
		return err
	}
	return x.redirect(recoveryPath)
}

func (s *Site) makeRecovery(x *exchange) error {
	codes := otp.NewRecovery()
	normal := make([]string, 0, len(codes))
	for _, c := range codes {
		n, ok := otp.NormalRecovery(c)
		if !ok {
			return errors.New("a new recovery code does not read as one")
		}
		normal = append(normal, n)
	}
	shown, err := json.Marshal(codes)
	if err != nil {
		return err
	}
	if err := s.store.SetRecovery(x.context(), x.visitor.User.Row, normal); err != nil {
		return err
	}
	return x.begin(store.Step{Purpose: stepRecovery, User: x.visitor.User.Row, Data: shown}, enrolLife)
}

// shownRecovery are the codes on show, none when they were kept or are too old.
func (x *exchange) shownRecovery() (codes []string, err error) {
	p, err := x.mine(stepRecovery)
	if errors.Is(err, store.ErrStepOver) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return codes, json.Unmarshal(p.Data, &codes)
}

func (s *Site) recoveryPage(x *exchange) error {
	codes, err := x.shownRecovery()
	if err != nil {
		return err
	}
	if codes == nil && x.visitor.User.CodesDue {
		if !x.proven() {
			return x.askToProve(recoveryPath)
		}
		return s.newRecovery(x)
	}
	if codes == nil {
		return x.redirect("/account")
	}
	return x.page("recovery", struct {
		Codes []string
		Host  string
		Name  string
	}{codes, s.public.Host, x.visitor.User.Name})
}

func (s *Site) keepRecovery(x *exchange) error {
	if _, err := x.endStep(stepRecovery); err != nil && !errors.Is(err, store.ErrStepOver) {
		return err
	}
	x.flash("account.recovery_kept")
	added, err := s.store.Added(x.visitor.User.Row)
	if err != nil {
		return err
	}
	if len(added) > 0 {
		return x.redirect("/account/added")
	}
	return x.redirect("/account")
}
