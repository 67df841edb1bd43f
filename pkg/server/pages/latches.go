package pages

import (
	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) latchesRoutes() {
	s.person("GET /{$}", s.latchesPage)
	s.switchRoutes()
}

// latchView is a latch on the first screen, with what is below it.
type latchView struct {
	scheduled
	Above    string // the name of what it is under
	Lengths  []int  // in minutes, for which it can be opened
	Children []latchView
}

// MayChooseLock tells whether closing after use is left to the person. An instance has its operation's choice.
func (l latchView) MayChooseLock() bool {
	return l.Node.LockOnUse == store.OptIn && l.Node.Kind != store.KindInstance
}

// MayChooseToken tells whether the one-time token is left to the person.
func (l latchView) MayChooseToken() bool {
	return l.Node.TwoFactor == store.OptIn && l.Node.Kind != store.KindInstance
}

// lastAttempt is the newest time that a host asked about somebody.
type lastAttempt struct {
	Name    string // of the latch
	Where   string // the login, in words
	Refused bool
	At      moment
}

// latchesPage is the first screen: the padlocks, the last attempt, and "close everything". A newcomer comes by the first run.
func (s *Site) latchesPage(x *exchange) error {
	if !x.visitor.User.Welcomed && !x.r.URL.Query().Has("fragment") {
		return x.redirect("/welcome")
	}
	apps, err := x.latchTree()
	if err != nil {
		return err
	}
	data := struct {
		Latches []latchView
		Tokens  []token
		Last    *lastAttempt
	}{}
	for _, a := range apps {
		data.Latches = append(data.Latches, x.latchView("", "", a.Status))
	}
	if data.Tokens, err = x.tokens(); err != nil {
		return err
	}
	if data.Last, err = x.lastAttempt(); err != nil {
		return err
	}
	x.squeeze = len(data.Tokens) == 0
	return x.page("latches", data)
}

func (x *exchange) latchView(path, above string, n store.NodeState) latchView {
	v := latchView{scheduled: x.scheduled(path, n), Above: above, Lengths: openTimes}
	for _, child := range n.Children {
		v.Children = append(v.Children, x.latchView(v.Name+" / ", n.Name, child))
	}
	return v
}

func (x *exchange) lastAttempt() (*lastAttempt, error) {
	e, found, err := x.site.store.LastAttempt(x.visitor.User.Row)
	if err != nil || !found {
		return nil, err
	}
	where := notify.Where(words{x.site.texts}, x.lang, store.OriginOf(e.Context, e.IP))
	return &lastAttempt{Name: e.Name, Where: where, Refused: e.Value == "off", At: x.moment(e.T)}, nil
}
