package pages

import (
	"net/http"
	"strconv"
)

// addedView is the list of what was added to a person's access since they last looked through it.
type addedView struct {
	Items []addedItem
	Until int64 // milliseconds: what comes later is not on the list
}

type addedItem struct {
	Label   string
	Created moment
}

func (s *Site) addedPage(x *exchange) error {
	list, err := s.store.Added(x.visitor.User.Row)
	if err != nil {
		return err
	}
	v := addedView{Until: s.now().UnixMilli()}
	for _, a := range list {
		label := x.text("account.added_" + a.Kind)
		if a.Name != "" {
			label += ": " + a.Name
		}
		v.Items = append(v.Items, addedItem{label, x.moment(a.Created)})
	}
	return x.page("added", v)
}

// until reads up to when a person saw the list.
func (x *exchange) until() (int64, error) {
	until, err := strconv.ParseInt(x.r.PostFormValue("until"), 10, 64)
	if err != nil || until > x.site.now().UnixMilli() {
		return 0, statusError(http.StatusBadRequest)
	}
	return until, nil
}

// endAdded removes everything on the list: the owner may be the one who knows that a thief added it.
func (s *Site) endAdded(x *exchange) error {
	until, err := x.until()
	if err != nil {
		return err
	}
	if err := s.store.EndAdded(x.context(), x.visitor.User.Row, x.visitor.Session.Row, until); err != nil {
		return err
	}
	x.flash("account.added_ended")
	return x.redirect("/account")
}

func (s *Site) keepAdded(x *exchange) error {
	until, err := x.until()
	if err != nil {
		return err
	}
	if err := s.store.KeepAdded(x.context(), x.visitor.User.Row, until); err != nil {
		return err
	}
	x.flash("account.added_kept")
	return x.redirect("/account")
}
