package pages

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) switchRoutes() {
	s.person("POST /latch", s.switchLatch)
	s.person("POST /latch/close", s.closeAll)
	s.person("POST /latch/undo", s.undoSwitch)
	s.person("POST /latch/choose", s.chooseForLatch)
}

// openTimes are the lengths that opening offers, in minutes and in this order; "always" comes after them.
var openTimes = []int{10, 1, 60}

// switchLatch opens or closes one latch: app, operation and instance say which, open is "yes" or "no", and minutes for how long,
// empty for always.
func (s *Site) switchLatch(x *exchange) error {
	if err := x.r.ParseForm(); err != nil {
		return statusError(http.StatusBadRequest)
	}
	ref := latchIn(x.r.PostForm)
	sw := store.Switch{User: x.visitor.User.Row, App: ref.App, Target: ref.Target, Open: x.r.PostForm.Get("open") == "yes", Attempt: x.attempt()}
	if minutes := x.r.PostForm.Get("minutes"); minutes != "" {
		n, err := strconv.Atoi(minutes)
		if err != nil || n < 1 || n > int(store.MaxOpenTime/time.Minute) {
			return statusError(http.StatusBadRequest)
		}
		sw.For = time.Duration(n) * time.Minute
	}
	if sw.App == "" {
		return statusError(http.StatusBadRequest)
	}
	key := "latches.closed"
	switch {
	case sw.For > 0:
		key = "latches.opened_for"
	case sw.Open:
		key = "latches.opened"
	}
	return x.turn(sw, key)
}

// closeAll closes everything at once.
func (s *Site) closeAll(x *exchange) error {
	return x.turn(store.Switch{User: x.visitor.User.Row, Attempt: x.attempt()}, "latches.closed_all")
}

// turn does it, and offers to take it back.
func (x *exchange) turn(sw store.Switch, key string) error {
	d, err := x.site.store.Switch(x.r.Context(), sw)
	if errors.Is(err, store.ErrUserDisabled) || errors.Is(err, store.ErrPhoneLost) {
		x.flashBad("latches.mayNotOpen")
		return x.redirect("/")
	}
	if err != nil {
		return err
	}
	name, err := x.switched(sw, d)
	if err != nil {
		return err
	}
	f := flash{Key: key, Args: []string{name}}
	if d.Until != 0 {
		f.Args = append(f.Args, x.moment(d.Until).Text)
	}
	if d.ID != 0 {
		f.Undo, f.Name, f.Value = "/latch/undo", "switch", strconv.FormatInt(d.ID, 10)
	}
	x.setFlash(f)
	return x.redirect("/")
}

// switched names what was switched as the first screen does: "servers / ssh", or all the applications.
func (x *exchange) switched(sw store.Switch, d store.Switched) (string, error) {
	if sw.App == "" {
		return strings.Join(d.Apps, ", "), nil
	}
	apps, err := x.latchTree()
	if err != nil {
		return "", err
	}
	for _, a := range apps {
		if a.Status.App == sw.App {
			return pathTo(a.Status, sw.Target), nil
		}
	}
	return strings.Join(d.Apps, ", "), nil
}

// pathTo joins the names from a node down to the one that is meant.
func pathTo(n store.NodeState, to store.Target) string {
	for _, child := range n.Children {
		if child.Target == to {
			return n.Name + " / " + child.Name
		}
		if below := pathTo(child, to); below != child.Name {
			return n.Name + " / " + below
		}
	}
	return n.Name
}

// undoSwitch takes the switch back that the form names.
func (s *Site) undoSwitch(x *exchange) error {
	id, err := strconv.ParseInt(x.r.PostFormValue("switch"), 10, 64)
	if err != nil {
		return statusError(http.StatusBadRequest)
	}
	err = s.store.Undo(x.r.Context(), x.visitor.User.Row, id, x.attempt())
	switch {
	case errors.Is(err, store.ErrNoSwitch), errors.Is(err, store.ErrChangedThen):
		x.flashBad("latches.not_undone")
	case err != nil:
		return err
	default:
		x.flash("latches.undone")
	}
	return x.redirect("/")
}

// chooseForLatch keeps what the application leaves to the person: lock ("yes": close after use) and two_factor ("yes": ask for a
// one-time token); what is not in the form stays.
func (s *Site) chooseForLatch(x *exchange) error {
	if err := x.r.ParseForm(); err != nil {
		return statusError(http.StatusBadRequest)
	}
	ref := latchIn(x.r.PostForm)
	choice := func(name string) *bool {
		if !x.r.PostForm.Has(name) {
			return nil
		}
		yes := x.r.PostForm.Get(name) == "yes"
		return &yes
	}
	err := s.store.Choose(x.r.Context(), x.visitor.User.Row, ref.App, ref.Target, choice("two_factor"), choice("lock"))
	if err != nil {
		return err
	}
	x.flash("latches.chosen")
	return x.redirect("/")
}
