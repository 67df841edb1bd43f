package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/password"
	"github.com/latch-linux/latch/pkg/server/store"
)

// What a browser can be in the middle of while it signs in.
const (
	stepSecond   = store.StepSecond // the password was right; Data is where to go
	stepComeBack = "come back"      // a recovery code was right after a phone was lost
)

const (
	secondLife  = 10 * time.Minute // for the second step
	passwordMax = 10 * time.Second // that a sign-in waits for its turn to be hashed
)

func (s *Site) signinRoutes() {
	s.everybody("GET /signin", s.signinPage)
	s.everybody("POST /signin", s.signIn)
	s.everybody("GET /signin/step", s.secondPage)
	s.everybody("POST /signin/step", s.secondStep)
	s.everybody("GET /signin/back", s.comeBackPage)
	s.everybody("POST /signin/back", s.comeBack)
	s.everybody("POST /signout", s.signOut)
}

// signinForm is what the sign-in page shows. Problem is a key of the catalogue; Wait is in minutes.
type signinForm struct {
	Name, Next, Problem string
	Wait                int
	Passkeys            bool
}

func (s *Site) signinPage(x *exchange) error {
	next := localPath(x.r.URL.Query().Get("next"), "/")
	if x.visitor != nil {
		return x.redirect(next)
	}
	return x.page("signin", signinForm{Next: next, Passkeys: s.passkeys != nil})
}

// signIn answers the same, and after the same work, whether a name is known or not.
func (s *Site) signIn(x *exchange) error {
	form := signinForm{Name: x.r.PostFormValue("name"), Next: localPath(x.r.PostFormValue("next"), "/"), Passkeys: s.passkeys != nil}
	u, phc, err := s.checkPassword(x, form.Name, x.r.PostFormValue("password"))
	if err != nil {
		status, err := form.problem(err, "signin.wrong")
		if err != nil {
			return err
		}
		return x.pageStatus(status, "signin", form)
	}
	f, err := s.store.Factors(u.Row)
	if err != nil {
		return err
	}
	if !u.Lost && !f.Second() {
		return x.startSession(u, store.SignIn{Password: phc}, form.Next)
	}
	if err := x.begin(store.Step{Purpose: stepSecond, User: u.Row, Data: []byte(form.Next)}, secondLife); err != nil {
		return err
	}
	return x.redirect("/signin/step")
}

// errWrong says that what was typed is wrong, and not what of it.
var errWrong = errors.New("wrong name, password or code")

// problem puts an error of a guess into the form and returns the status of the answer; another error comes back.
func (f *signinForm) problem(err error, wrong string) (status int, unexpected error) {
	var many *store.TooManyError
	switch {
	case errors.Is(err, errWrong):
		f.Problem = wrong
		return http.StatusUnprocessableEntity, nil
	case errors.As(err, &many):
		f.Problem, f.Wait = "signin.pause", int(many.After/time.Minute)+1
		return http.StatusTooManyRequests, nil
	case errors.Is(err, password.ErrBusy):
		f.Problem = "signin.busy"
		return http.StatusServiceUnavailable, nil
	}
	return 0, err
}

// guess describes a try to sign in as name. The tries of a browser in which that person signed in before count apart, so that
// no stranger uses them up.
func (x *exchange) guess(what, name string, user int64) (store.Guess, error) {
	g := store.Guess{What: what, Account: name, Address: neighbourhood(x.r)}
	browser := x.ticket(browserCookie)
	known, err := x.site.store.BrowserKnown(user, browser)
	if known {
		g.Browser = browser
	}
	return g, err
}

// checkPassword returns whose name and password these are, with the stored hash, or errWrong, a *store.TooManyError or
// password.ErrBusy.
func (s *Site) checkPassword(x *exchange, name, typed string) (u store.User, phc string, err error) {
	u, err = s.store.User(name)
	if err != nil && !errors.Is(err, store.ErrNoUser) || u.Disabled {
		u = store.User{} // nobody: no row has a password
	}
	if err != nil && !errors.Is(err, store.ErrNoUser) {
		return u, "", err
	}
	g, err := x.guess(store.GuessPassword, name, u.Row)
	if err != nil {
		return u, "", err
	}
	if err := s.store.BeginGuess(x.r.Context(), g); err != nil {
		return u, "", err
	}
	if phc, err = s.store.Password(u.Row); err != nil {
		return u, "", err
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), passwordMax)
	defer cancel()
	ok, stale, err := s.hasher.Verify(ctx, phc, typed)
	if err != nil {
		return u, "", errors.Join(err, s.store.GuessedRight(x.r.Context(), g))
	}
	if !ok {
		return u, "", errWrong
	}
	if stale {
		if phc, err = s.rehash(ctx, u.Row, phc, typed); err != nil {
			return u, "", err
		}
	}
	return u, phc, s.store.GuessedRight(x.r.Context(), g)
}

func (s *Site) rehash(ctx context.Context, user int64, old, typed string) (phc string, err error) {
	if phc, err = s.hasher.Hash(ctx, typed); err != nil {
		return "", err
	}
	return phc, s.store.Rehash(ctx, user, old, phc)
}

// startSession signs the browser in and leads on. Whatever it was before ends.
func (x *exchange) startSession(u store.User, in store.SignIn, next string) error {
	if err := x.openSession(u, in); err != nil {
		return err
	}
	u, err := x.site.store.UserByRow(u.Row) // a reset may have come since u was read
	if err != nil {
		return err
	}
	if u.CodesDue && u.Welcomed {
		return x.redirect(recoveryPath)
	}
	return x.redirect(next)
}

func (x *exchange) openSession(u store.User, in store.SignIn) error {
	st := x.site.store
	if x.visitor != nil {
		if err := st.EndSession(x.r.Context(), x.visitor.User.Row, x.visitor.Session.Row); err != nil && !errors.Is(err, store.ErrNoSession) {
			return err
		}
	}
	ctx := store.WithActor(x.r.Context(), store.Actor{Via: store.ViaWeb, Name: u.Name, IP: address(x.r)})
	in.User, in.Address, in.UserAgent = u.Row, address(x.r), store.OneLine(x.r.UserAgent())
	known, err := st.BrowserKnown(u.Row, x.ticket(browserCookie))
	if err != nil {
		return err
	}
	in.Unknown = !known
	ticket, err := st.StartSession(ctx, in)
	if err != nil {
		return err
	}
	if zone := zoneOf(x.r); zone != nil && u.TimeZone == "" { // for notices, which no browser reads
		name := zone.String()
		if err := st.ChangeProfile(ctx, u.Row, store.ProfileChange{TimeZone: &name}); err != nil {
			return err
		}
	}
	browser, err := st.KnowBrowser(ctx, u.Row, x.ticket(browserCookie))
	if err != nil {
		return err
	}
	x.setTicket(sessionCookie, ticket, store.SessionLife)
	x.setTicket(browserCookie, browser, store.BrowserLife)
	return nil
}

func (s *Site) signOut(x *exchange) error {
	if x.visitor != nil {
		err := s.store.EndSession(x.r.Context(), x.visitor.User.Row, x.visitor.Session.Row)
		if err != nil && !errors.Is(err, store.ErrNoSession) {
			return err
		}
	}
	x.dropTicket(sessionCookie)
	// Not "storage": that would remove the service worker, and with it silently the notices to this phone. The worker keeps
	// nothing private.
	x.w.Header().Set("Clear-Site-Data", `"cache"`)
	x.flash("signin.out")
	return x.redirect("/signin")
}

// secondForm is what the page of the second step shows.
type secondForm struct {
	signinForm
	Lost          bool // only a recovery code gets in
	Authenticator bool
}

// atSecond returns the person whose password was right a moment ago.
func (x *exchange) atSecond() (store.User, secondForm, error) {
	p, err := x.step(stepSecond)
	if err != nil {
		return store.User{}, secondForm{}, err
	}
	u, err := x.site.store.UserByRow(p.User)
	if err != nil {
		return u, secondForm{}, err
	}
	f, err := x.site.store.Factors(u.Row)
	form := secondForm{Lost: u.Lost, Authenticator: f.Authenticator && !u.Lost}
	form.Name, form.Next = u.Name, string(p.Data)
	form.Passkeys = x.site.passkeys != nil && f.Passkeys > 0
	return u, form, err
}

func (s *Site) secondPage(x *exchange) error {
	_, form, err := x.atSecond()
	if errors.Is(err, store.ErrStepOver) {
		return x.redirect("/signin")
	}
	if err != nil {
		return err
	}
	return x.page("signin_step", form)
}

func (s *Site) secondStep(x *exchange) error {
	u, form, err := x.atSecond()
	if errors.Is(err, store.ErrStepOver) {
		x.flashBad("signin.over")
		return x.redirect("/signin")
	}
	if err != nil {
		return err
	}
	if err := s.checkCode(x, store.GuessStep, u, x.r.PostFormValue("code")); err != nil {
		status, err := form.problem(err, "signin.wrong_code")
		if err != nil {
			return err
		}
		return x.pageStatus(status, "signin_step", form)
	}
	if _, err := x.endStep(stepSecond); err != nil {
		return err
	}
	if !u.Lost {
		return x.startSession(u, store.SignIn{Strong: true}, form.Next)
	}
	if err := x.begin(store.Step{Purpose: stepComeBack, User: u.Row}, secondLife); err != nil {
		return err
	}
	return x.redirect("/signin/back")
}

// checkCode takes a code of the person's authenticator or one of their recovery codes, each once; of who lost their phone a
// recovery code alone. Its errors are those of checkPassword.
func (s *Site) checkCode(x *exchange, what string, u store.User, typed string) error {
	g, err := x.guess(what, u.Name, u.Row)
	if err != nil {
		return err
	}
	ctx := store.WithActor(x.r.Context(), store.Actor{Via: store.ViaWeb, Name: u.Name, IP: address(x.r)})
	if err := s.store.BeginGuess(ctx, g); err != nil {
		return err
	}
	err = store.ErrWrongCode
	if normal, ok := otp.NormalRecovery(typed); ok {
		err = s.store.UseRecovery(ctx, u.Row, normal)
	} else if !u.Lost {
		err = s.store.UseAuthenticator(ctx, u.Row, s.matchCode(typed))
	}
	if errors.Is(err, store.ErrWrongCode) {
		return errWrong
	}
	if err != nil {
		return err
	}
	return s.store.GuessedRight(ctx, g)
}

// backForm is what the page of coming back shows: a new password.
type backForm struct {
	Name, Problem string
}

func (s *Site) comeBackPage(x *exchange) error {
	p, err := x.step(stepComeBack)
	if err != nil {
		return x.stepOver(err)
	}
	u, err := s.store.UserByRow(p.User)
	if err != nil {
		return err
	}
	return x.page("signin_back", backForm{Name: u.Name})
}

// comeBack ends "I lost this phone": a recovery code was right, and a new password replaces the one that the phone knew.
func (s *Site) comeBack(x *exchange) error {
	p, err := x.step(stepComeBack)
	if err != nil {
		return x.stepOver(err)
	}
	u, err := s.store.UserByRow(p.User)
	if err != nil {
		return err
	}
	phc, problem, err := s.newPassword(x, u)
	if err != nil {
		return err
	}
	if problem != "" {
		return x.pageStatus(http.StatusUnprocessableEntity, "signin_back", backForm{Name: u.Name, Problem: problem})
	}
	if _, err := x.endStep(stepComeBack); err != nil {
		return x.stepOver(err)
	}
	ctx := store.WithActor(x.r.Context(), store.Actor{Via: store.ViaWeb, Name: u.Name, IP: address(x.r)})
	if err := s.store.ComeBack(ctx, u.Row, phc); err != nil {
		return err
	}
	x.flash("signin.back_done")
	return x.startSession(u, store.SignIn{Strong: true}, "/account")
}

// stepOver leads who was too slow back to the beginning.
func (x *exchange) stepOver(err error) error {
	if !errors.Is(err, store.ErrStepOver) {
		return err
	}
	x.flashBad("signin.over")
	return x.redirect("/signin")
}

// newPassword reads the fields password and again of a form. problem is a key of the catalogue when they are no good.
func (s *Site) newPassword(x *exchange, u store.User) (phc, problem string, err error) {
	typed := x.r.PostFormValue("password")
	switch err := password.Check(typed, u.Name, u.DisplayName, s.public.Hostname()); {
	case errors.Is(err, password.ErrShort):
		return "", "signin.short", nil
	case errors.Is(err, password.ErrLong):
		return "", "signin.long", nil
	case errors.Is(err, password.ErrCommon):
		return "", "signin.common", nil
	case err != nil:
		return "", "", err
	}
	if typed != x.r.PostFormValue("again") {
		return "", "signin.differ", nil
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), passwordMax)
	defer cancel()
	if phc, err = s.hasher.Hash(ctx, typed); errors.Is(err, password.ErrBusy) {
		return "", "signin.busy", nil
	}
	return phc, "", err
}

// matchCode compares a typed code with a seed's at this moment.
func (s *Site) matchCode(typed string) func(secret string, last int64) (int64, bool) {
	code := otp.Typed(typed)
	return func(secret string, last int64) (int64, bool) { return otp.Match(secret, code, s.now(), last) }
}

// withNext is a path of this site that leads on to next afterwards.
func withNext(path, next string) string { return path + "?next=" + url.QueryEscape(next) }
