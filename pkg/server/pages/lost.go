package pages

import (
	"errors"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) lostRoutes() {
	s.everybody("GET /lost", s.lostPage)
	s.everybody("POST /lost", s.losePhone)
}

// lostForm is what the page "I lost this phone" shows. Known is the visitor's name: who is signed in needs no password to close.
type lostForm struct {
	signinForm
	Known bool
	Left  int // recovery codes of the visitor
}

func (s *Site) lostPage(x *exchange) error {
	form := lostForm{Known: x.visitor != nil}
	if form.Known {
		form.Name = x.visitor.User.Name
		f, err := s.store.Factors(x.visitor.User.Row)
		if err != nil {
			return err
		}
		form.Left = f.RecoveryLeft
	}
	return x.page("lost", form)
}

// losePhone closes everything and ends every session. It asks for less than signing in does, since the second factor may be the
// phone that is lost: the password, a recovery code, or a browser that is signed in.
func (s *Site) losePhone(x *exchange) error {
	form := lostForm{Known: x.visitor != nil}
	form.Name = x.r.PostFormValue("name")
	u, byCode, err := s.whoLost(x, form.Name)
	if err != nil {
		status, err := form.problem(err, "lost.wrong")
		if err != nil {
			return err
		}
		return x.pageStatus(status, "lost", form)
	}
	ctx := store.WithActor(x.r.Context(), store.Actor{Via: store.ViaWeb, Name: u.Name, IP: address(x.r)})
	if err := s.store.LosePhone(ctx, u.Row, x.attempt()); err != nil {
		return err
	}
	x.dropTicket(sessionCookie)
	x.dropTicket(browserCookie)
	x.flash("lost.done")
	if !byCode {
		return x.redirect("/signin")
	}
	// Whoever showed a recovery code is back already, and chooses a new password.
	if err := x.begin(store.Step{Purpose: stepComeBack, User: u.Row}, secondLife); err != nil {
		return err
	}
	return x.redirect("/signin/back")
}

// whoLost returns who lost their phone; byCode reports whether a recovery code was used up for it.
func (s *Site) whoLost(x *exchange, name string) (u store.User, byCode bool, err error) {
	if x.visitor != nil {
		return x.visitor.User, false, nil
	}
	typed := x.r.PostFormValue("proof")
	if _, ok := otp.NormalRecovery(typed); ok {
		u, err = s.byRecovery(x, name, typed)
		if !errors.Is(err, errWrong) {
			return u, true, err
		}
	} // some passwords look like a recovery code
	u, _, err = s.checkPassword(x, name, typed)
	return u, false, err
}

// byRecovery returns whose recovery code this is; its errors are those of checkPassword.
func (s *Site) byRecovery(x *exchange, name, typed string) (store.User, error) {
	u, err := s.store.User(name)
	if err != nil && !errors.Is(err, store.ErrNoUser) {
		return u, err
	}
	if err != nil || u.Disabled {
		u = store.User{Name: name} // nobody: no row has recovery codes
	}
	return u, s.checkCode(x, store.GuessRecovery, u, typed)
}
