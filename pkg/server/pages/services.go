package pages

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/server/store"
)

// servicesRoutes are about what a person is paired with. /pair/{link} is what a host shows, see pkg/server/httpapi.
func (s *Site) servicesRoutes() {
	s.person("GET /services", s.servicesPage)
	s.person("GET /services/add", s.addServicePage)
	s.person("POST /services/add", s.makeCode)
	s.person("POST /services/{app}/name", s.renameService)
	s.person("GET /services/{app}/unpair", s.unpairPage)
	s.person("POST /services/{app}/unpair", s.unpairService)
	s.person("GET /pair/{link}", s.pairPage)
	s.person("POST /pair/{link}", s.decidePairing)
}

// service is one application that a person is paired with.
type service struct {
	ID, Name string // of the application
	Own      string // the person's name for it
	Hosts    string // as the host that paired first calls the pairing
	Paired   moment
}

// Title is what the person knows it by.
func (v service) Title() string {
	if v.Own != "" {
		return v.Own
	}
	return v.Name
}

// latchTree is the visitor's latches under the names that the visitor gave them.
func (x *exchange) latchTree() ([]store.Account, error) {
	list, err := x.site.store.LatchTree(x.visitor.User.Row)
	for i := range list {
		if own := list[i].OwnName; own != "" {
			list[i].Status.Name = own
		}
	}
	return list, err
}

func (x *exchange) services() ([]service, error) {
	accounts, err := x.site.store.Accounts(x.visitor.User.Name)
	if err != nil && !errors.Is(err, store.ErrNotPaired) {
		return nil, err
	}
	list := make([]service, 0, len(accounts))
	for _, a := range accounts {
		list = append(list, service{ID: a.Status.ID, Name: a.Status.Name, Own: a.OwnName, Hosts: a.CommonName, Paired: x.moment(a.Paired)})
	}
	return list, nil
}

// service finds the one that the path names.
func (x *exchange) service() (service, error) {
	list, err := x.services()
	if err != nil {
		return service{}, err
	}
	for _, v := range list {
		if v.ID == x.r.PathValue("app") {
			return v, nil
		}
	}
	return service{}, statusError(404)
}

func (s *Site) servicesPage(x *exchange) error {
	list, err := x.services()
	if err != nil {
		return err
	}
	return x.page("services", struct{ Services []service }{list})
}

// addService is where a pairing by code stands.
type addService struct {
	Code    string
	Left    int    // seconds
	Expires moment // with Code
	Done    *service
	With    string // with Done: how the host calls the pairing
	Over    bool   // a code was shown and nobody used it
}

// addServicePage shows the code that lives, then what it was used for. since is when the person asked for a code, so that
// what was paired before is no answer; nothing about it is kept here.
func (s *Site) addServicePage(x *exchange) error {
	since, err := strconv.ParseInt(x.r.URL.Query().Get("since"), 10, 64)
	if err != nil || since < 0 {
		since = 0
	}
	var d addService
	if since > 0 {
		if d.Done, d.With, err = x.pairedSince(since); err != nil {
			return err
		}
	}
	if d.Done == nil {
		code, expires, err := s.store.LiveCode(x.visitor.User.Name)
		if err != nil {
			return err
		}
		d.Code, d.Over = code, code == "" && since > 0
		if code != "" {
			d.Left, d.Expires = int(expires.Sub(s.now()).Seconds()), x.moment(expires.UnixMilli())
		}
	}
	return x.page("addservice", d)
}

func (x *exchange) pairedSince(since int64) (done *service, with string, err error) {
	last, ok, err := x.site.store.LastPaired(x.visitor.User.Name, since)
	if err != nil || !ok {
		return nil, "", err
	}
	list, err := x.services()
	if err != nil {
		return nil, "", err
	}
	for _, v := range list {
		if v.ID == last.Node {
			return &v, last.Context[store.ContextName], nil
		}
	}
	return nil, "", nil // unpaired since
}

func (s *Site) makeCode(x *exchange) error {
	since := s.now().UnixMilli()
	if _, _, err := s.store.NewCode(x.context(), x.visitor.User.Name); err != nil {
		return err
	}
	return x.redirect("/services/add?since=" + strconv.FormatInt(since, 10))
}

func (s *Site) renameService(x *exchange) error {
	v, err := x.service()
	if err != nil {
		return err
	}
	name := strings.TrimSpace(x.r.PostFormValue("name"))
	switch err := s.store.RenamePairing(x.context(), x.visitor.User.Name, v.ID, name); {
	case errors.Is(err, store.ErrBadName):
		x.flashBad("services.badname")
	case err != nil:
		return err
	case name == "":
		x.flash("services.unnamed", v.Name)
	default:
		x.flash("services.renamed", name)
	}
	return x.redirect("/services")
}

func (s *Site) unpairPage(x *exchange) error {
	v, err := x.service()
	if err != nil {
		return err
	}
	return x.page("unpair", v)
}

func (s *Site) unpairService(x *exchange) error {
	v, err := x.service()
	if err != nil {
		return err
	}
	if err := s.store.UnpairUser(x.context(), x.visitor.User.Name, v.ID); err != nil {
		return err
	}
	x.flash("services.unpaired", v.Title())
	return x.redirect("/services")
}

// pairing is what a host asks by a link.
type pairing struct {
	Gone    bool
	Done    bool // this person has confirmed it
	Link    string
	App     string
	Contact string
	Host    string
	User    string
	Asker   string // the address that the request came from
	Check   string
	Made    moment
	Minutes int  // that are left, rounded up
	Joins   bool // the person has the application's latch already
}

// pairPage shows who asks, from where and since when: whoever has an application's secret can make such a link and send it
// to somebody. Showing it decides nothing.
func (s *Site) pairPage(x *exchange) error {
	r, err := s.store.PairingByLink(x.r.PathValue("link"))
	me := x.visitor.User
	if errors.Is(err, store.ErrNoRequest) || err == nil && r.State != store.RequestWaiting && (r.State != store.RequestConfirmed || r.Person != me.Name) {
		return x.pageStatus(404, "pair", pairing{Gone: true})
	}
	if err != nil {
		return err
	}
	d := pairing{Done: r.State == store.RequestConfirmed, Link: r.Link, App: r.App.Name, Contact: r.App.ContactEmail, Host: r.Host, User: r.User,
		Asker: r.Attempt.IP, Check: r.Check, Made: x.moment(r.Created), Minutes: int((r.Expires - s.now().UnixMilli() + 59_999) / 60_000)}
	list, err := x.services()
	if err != nil {
		return err
	}
	for _, v := range list {
		d.Joins = d.Joins || v.ID == r.App.ID
	}
	return x.page("pair", d)
}

func (s *Site) decidePairing(x *exchange) error {
	link, me := x.r.PathValue("link"), x.visitor.User.Name
	here := "/pair/" + url.PathEscape(link)
	var err error
	switch x.r.PostFormValue("decision") {
	case "pair":
		var done store.PairingRequest
		if done, err = s.store.ConfirmPairing(x.context(), link, me); err == nil {
			x.flash("services.confirmed", done.CommonName(), done.App.Name)
		}
	case "refuse":
		if err = s.store.RefusePairing(x.context(), link, me); err == nil {
			x.flash("services.refused")
		}
	default:
		return statusError(400)
	}
	if errors.Is(err, store.ErrNoRequest) {
		return x.redirect(here) // which says so
	}
	if err != nil {
		return err
	}
	return x.redirect("/services")
}
