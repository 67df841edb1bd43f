package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/latch-linux/latch/pkg/server/schedule"
	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) scheduleRoutes() {
	s.person("GET /schedule", s.schedulePage)
	s.person("POST /schedule", s.saveSchedule)
	s.person("POST /schedule/remove", s.removeSchedule)
	s.person("POST /schedule/hold", s.holdSchedule)
}

// latchRef says which latch a request is about, in a query or a form.
type latchRef struct {
	App    string
	Target store.Target
}

func latchIn(v url.Values) latchRef {
	return latchRef{v.Get("app"), store.Target{OperationID: v.Get("operation"), InstanceID: v.Get("instance")}}
}

// SchedulePage is the address of the latch's schedule, as latchIn reads it. It is whole, because a template would escape
// a query of its own as one value.
func (l latchRef) SchedulePage() string {
	v := url.Values{"app": {l.App}}
	if l.Target.OperationID != "" {
		v.Set("operation", l.Target.OperationID)
	}
	if l.Target.InstanceID != "" {
		v.Set("instance", l.Target.InstanceID)
	}
	return "/schedule?" + v.Encode()
}

func refOf(n store.NodeState) latchRef { return latchRef{n.App, n.Target} }

// scheduled is a latch as the pages about schedules show it.
type scheduled struct {
	latchRef
	Name    string // with what it is under, "servers / ssh"
	Node    store.NodeState
	Next    string   // its next change in words
	Windows []string // its schedule in words
}

// scheduled says what a latch under above does by itself.
func (x *exchange) scheduled(above string, n store.NodeState) scheduled {
	l := scheduled{latchRef: refOf(n), Name: above + n.Name, Node: n, Next: x.nextChange(n)}
	if week, err := schedule.Parse(n.Schedule); err == nil {
		for _, w := range week.Windows {
			l.Windows = append(l.Windows, x.windowText(w))
		}
	}
	return l
}

// walkLatches lists all latches of a person, each after what it is under.
func (x *exchange) walkLatches() ([]scheduled, error) {
	apps, err := x.latchTree()
	if err != nil {
		return nil, err
	}
	var list []scheduled
	var walk func(string, store.NodeState)
	walk = func(above string, n store.NodeState) {
		l := x.scheduled(above, n)
		list = append(list, l)
		for _, child := range n.Children {
			walk(l.Name+" / ", child)
		}
	}
	for _, a := range apps {
		walk("", a.Status)
	}
	return list, nil
}

// schedulePage shows one latch's schedule, or, without a latch, where there are schedules.
func (s *Site) schedulePage(x *exchange) error {
	list, err := x.walkLatches()
	if err != nil {
		return err
	}
	if x.r.URL.Query().Get("app") == "" {
		return x.page("schedules", list)
	}
	return x.scheduleForm(list, latchIn(x.r.URL.Query()), nil, "")
}

// scheduleForm is the page of one latch. typed is a form that was refused, and problem the key of the reason.
func (x *exchange) scheduleForm(list []scheduled, ref latchRef, typed *weekForm, problem string) error {
	for _, l := range list {
		if l.latchRef != ref {
			continue
		}
		form, status := x.weekForm(l.Node, list), http.StatusOK
		if typed != nil {
			form, status = *typed, http.StatusUnprocessableEntity
		}
		return x.pageStatus(status, "schedule", struct {
			scheduled
			Form    weekForm
			Problem string
			Zones   []string
		}{l, form, problem, commonZones})
	}
	return statusError(http.StatusNotFound)
}

func (s *Site) saveSchedule(x *exchange) error {
	if err := x.r.ParseForm(); err != nil {
		return statusError(http.StatusBadRequest)
	}
	ref := latchIn(x.r.PostForm)
	week, typed, problem := x.readWeek(x.r.PostForm)
	if problem != "" {
		list, err := x.walkLatches()
		if err != nil {
			return err
		}
		return x.scheduleForm(list, ref, &typed, problem)
	}
	if err := s.store.SetSchedule(x.r.Context(), x.visitor.User.Row, ref.App, ref.Target, week, x.attempt()); err != nil {
		return err
	}
	x.flash("schedule.saved")
	return x.redirect(ref.SchedulePage())
}

func (s *Site) removeSchedule(x *exchange) error {
	if err := x.r.ParseForm(); err != nil {
		return statusError(http.StatusBadRequest)
	}
	ref := latchIn(x.r.PostForm)
	if err := s.store.SetSchedule(x.r.Context(), x.visitor.User.Row, ref.App, ref.Target, schedule.Week{}, x.attempt()); err != nil {
		return err
	}
	x.flash("schedule.removed")
	return x.redirect(ref.SchedulePage())
}

func (s *Site) holdSchedule(x *exchange) error {
	if err := x.r.ParseForm(); err != nil {
		return statusError(http.StatusBadRequest)
	}
	ref, hold := latchIn(x.r.PostForm), x.r.PostForm.Get("hold") == "yes"
	if err := s.store.HoldSchedule(x.r.Context(), x.visitor.User.Row, ref.App, ref.Target, hold, x.attempt()); err != nil {
		return err
	}
	x.flash(map[bool]string{true: "schedule.held", false: "schedule.resumed"}[hold])
	return x.redirect(ref.SchedulePage())
}

// nextChange says what a latch will do by itself, "closes today at 22:00", in the visitor's zone or else the schedule's; ""
// where it will do nothing.
func (x *exchange) nextChange(n store.NodeState) string {
	if n.Next.At == 0 {
		return ""
	}
	zone := x.zone()
	if week, err := schedule.Parse(n.Schedule); err == nil && (x.visitor == nil || x.visitor.Zone == nil) {
		zone = week.Location()
	}
	at, now := time.UnixMilli(n.Next.At).In(zone), x.site.now().In(zone)
	key := map[bool]string{true: "schedule.opens.", false: "schedule.closes."}[n.Next.Open]
	clock := at.Format("15:04")
	switch days := daysBetween(now, at); {
	case days == 0:
		return x.text(key+"today", clock)
	case days == 1:
		return x.text(key+"tomorrow", clock)
	case days < 7:
		return x.text(key+"weekday", x.text("shell.weekday."+strconv.Itoa(int(at.Weekday()))), clock)
	}
	return x.text(key+"date", x.date(at), clock)
}
