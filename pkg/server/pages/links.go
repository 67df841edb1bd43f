package pages

import (
	"errors"
	"net/http"

	"github.com/latch-linux/latch/pkg/server/store"
)

// LinkPath is where one-time links lead: the ticket follows. The page shows what the link is for and has a button; fetching it
// uses nothing up, since mail scanners and previews fetch everything.
const LinkPath = "/link/"

func (s *Site) linksRoutes() {
	s.everybody("GET "+LinkPath+"{ticket}", s.linkPage)
	s.everybody("POST "+LinkPath+"{ticket}", s.useLink)
}

// linkForm is what the page of an invitation or of a new password shows.
type linkForm struct {
	Name, Label, Problem string
	Invite               bool
	Admin                bool
	Limits               limits
}

// linked returns the person that a link is for.
func (s *Site) linked(x *exchange) (store.Link, store.User, linkForm, error) {
	l, err := s.store.Link(x.r.PathValue("ticket"))
	if err == nil && l.Purpose != store.LinkInvite && l.Purpose != store.LinkReset {
		err = store.ErrLinkSpent
	}
	if err != nil {
		return l, store.User{}, linkForm{}, err
	}
	u, err := s.store.UserByRow(l.User)
	return l, u, linkForm{Name: u.Name, Label: u.Label(), Invite: l.Purpose == store.LinkInvite, Admin: u.Role == store.RoleAdmin, Limits: s.limits()}, err
}

func (s *Site) linkPage(x *exchange) error {
	_, _, form, err := s.linked(x)
	if errors.Is(err, store.ErrLinkSpent) {
		return x.pageStatus(http.StatusGone, "link_spent", nil)
	}
	if err != nil {
		return err
	}
	return x.page("link", form)
}

// useLink keeps the password that the link's person chose and signs them in, unless a second factor is still there.
func (s *Site) useLink(x *exchange) error {
	l, u, form, err := s.linked(x)
	if errors.Is(err, store.ErrLinkSpent) {
		return x.pageStatus(http.StatusGone, "link_spent", nil)
	}
	if err != nil {
		return err
	}
	phc, problem, err := s.newPassword(x, u)
	if err != nil {
		return err
	}
	if problem != "" {
		form.Problem = problem
		return x.pageStatus(http.StatusUnprocessableEntity, "link", form)
	}
	ctx := store.WithActor(x.r.Context(), store.Actor{Via: store.ViaWeb, Name: u.Name, IP: address(x.r)})
	_, err = s.store.SetPasswordByLink(ctx, x.r.PathValue("ticket"), l.Purpose, phc)
	if errors.Is(err, store.ErrLinkSpent) {
		return x.pageStatus(http.StatusGone, "link_spent", nil)
	}
	if err != nil {
		return err
	}
	f, err := s.store.Factors(u.Row)
	if err != nil {
		return err
	}
	if f.Second() { // a link proves the mailbox, not the person
		if err := x.begin(store.Step{Purpose: stepSecond, User: u.Row, Data: []byte("/")}, secondLife); err != nil {
			return err
		}
		return x.redirect("/signin/step")
	}
	return x.startSession(u, store.SignIn{}, "/")
}
