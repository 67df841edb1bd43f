package pages

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) adminPeopleRoutes() {
	s.auditor("GET /admin/people", s.peoplePage)
	s.admin("POST /admin/people", s.invite)
	s.auditor("GET /admin/people/{row}", withUser((*exchange).userPage))
	s.admin("POST /admin/people/{row}", withUser((*exchange).changeUser))
	for name := range userActs {
		s.admin("GET /admin/people/{row}/"+name, withUser(askUserAct(name)))
		s.admin("POST /admin/people/{row}/"+name, withUser(doUserAct(name)))
	}
}

// peoplePerPage is how many people a page of the list has.
const peoplePerPage = 50

type peopleList struct {
	Text, Which    string
	People         []userRow
	Next, Previous string // addresses, "" where there is no such page
	Filters        []string
	Roles          []string
}

type userRow struct {
	store.User
	Address string
}

func userAddress(u store.User) string { return "/admin/people/" + strconv.FormatInt(u.Row, 10) }

func roleWords() []string {
	return []string{store.RolePerson.String(), store.RoleAuditor.String(), store.RoleAdmin.String()}
}

func (s *Site) peoplePage(x *exchange) error {
	form := x.r.URL.Query()
	d := peopleList{Text: form.Get("q"), Which: form.Get("which"), Roles: roleWords(),
		Filters: []string{"", store.WhichStaff, store.WhichUnpaired, store.WhichDisabled, store.WhichLost}}
	q := store.PeopleQuery{Text: d.Text, Which: d.Which, After: form.Get("after"), Before: form.Get("before"), Limit: peoplePerPage + 1}
	list, err := s.store.People(q)
	if err != nil {
		return err
	}
	more := len(list) > peoplePerPage
	if more && q.Before != "" {
		list = list[1:]
	} else if more {
		list = list[:peoplePerPage]
	}
	for _, u := range list {
		d.People = append(d.People, userRow{u, userAddress(u)})
	}
	address := func(name, value string) string {
		return "/admin/people?" + url.Values{"q": {d.Text}, "which": {d.Which}, name: {value}}.Encode()
	}
	if len(list) > 0 && (more || q.Before != "") {
		d.Next = address("after", list[len(list)-1].Name)
	}
	if len(list) > 0 && (q.After != "" || q.Before != "" && more) {
		d.Previous = address("before", list[0].Name)
	}
	return x.page("admin_people", d)
}

// shownLink is a one-time link on the page that shows it, once.
type shownLink struct {
	User    store.User
	Link    string
	Picture template.URL // a QR code of it
	Invite  bool
	Expires moment
	Back    string
}

// showLink makes a link for a person and answers the POST with it: a redirect would have to keep it somewhere.
func (x *exchange) showLink(u store.User, l store.Link, life time.Duration) error {
	l.User = u.Row
	ticket, expires, err := x.site.store.NewLink(x.context(), l, life)
	if err != nil {
		return err
	}
	link := x.site.link(LinkPath + ticket)
	picture, err := otp.QR(link)
	if err != nil {
		return err
	}
	return x.page("admin_link", shownLink{User: u, Link: link, Picture: template.URL(picture), Invite: l.Purpose == store.LinkInvite, Expires: x.moment(expires.UnixMilli()), Back: userAddress(u)})
}

func (s *Site) invite(x *exchange) error {
	name := strings.TrimSpace(x.r.PostFormValue("name"))
	role, err := store.ParseRole(x.r.PostFormValue("role"))
	if err != nil {
		return statusError(http.StatusBadRequest)
	}
	if role != store.RolePerson && !x.proven() {
		return x.askToProve("/admin/people")
	}
	u, err := s.store.AddUser(x.context(), name)
	if err != nil {
		return x.done(err, "", "/admin/people", "")
	}
	ch := store.ProfileChange{}
	if role != store.RolePerson {
		ch.Role, u.Role = &role, role
	}
	if label := strings.TrimSpace(x.r.PostFormValue("display_name")); label != "" {
		ch.DisplayName, u.DisplayName = &label, label
	}
	if ch != (store.ProfileChange{}) {
		if err := s.store.ChangeProfile(x.context(), u.Row, ch); err != nil {
			return x.done(err, "", userAddress(u), "")
		}
	}
	return x.showLink(u, store.Link{Purpose: store.LinkInvite}, store.InviteLife)
}

// withUser wraps a handler that is about one person.
func withUser(h func(*exchange, store.User) error) handler {
	return func(x *exchange) error {
		row, err := strconv.ParseInt(x.r.PathValue("row"), 10, 64)
		if err != nil {
			return store.ErrNoUser
		}
		u, err := x.site.store.UserByRow(row)
		if err != nil {
			return err
		}
		return h(x, u)
	}
}

type userForm struct {
	User     store.User
	Address  string
	Self     bool // it is the visitor
	Factors  store.Factors
	HostCode bool // an authenticator for hosts is enrolled
	Sessions int
	Seen     *moment
	Invited  *moment // when an open invitation ends
	Reset    *moment // when an open link for a new password ends
	Accounts []accountRow
	Roles    []string
	Created  moment
}

type accountRow struct {
	App, Unpair string
	Open        bool
	Paired      moment
	Common      string
}

func (x *exchange) userPage(u store.User) error {
	s := x.site.store
	f := userForm{User: u, Address: userAddress(u), Self: u.Row == x.visitor.User.Row, Roles: roleWords(), Created: x.moment(u.Created)}
	var err error
	if f.Factors, err = s.Factors(u.Row); err != nil {
		return err
	}
	if _, err := s.OwnTOTP(u.Name, true); err == nil {
		f.HostCode = true
	} else if !errors.Is(err, store.ErrNotEnrolled) {
		return err
	}
	sessions, err := s.Sessions(u.Row)
	if err != nil {
		return err
	}
	if f.Sessions = len(sessions); f.Sessions > 0 {
		f.Seen = x.momentOrNil(sessions[0].LastSeen)
	}
	for purpose, to := range map[string]**moment{store.LinkInvite: &f.Invited, store.LinkReset: &f.Reset} {
		expires, err := s.Invitation(u.Row, purpose)
		if err != nil {
			return err
		}
		*to = x.momentOrNil(expires)
	}
	accounts, err := s.LatchTree(u.Row)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		f.Accounts = append(f.Accounts, accountRow{App: a.Status.Name, Open: a.Status.Open, Paired: x.moment(a.Paired), Common: a.CommonName,
			Unpair: f.Address + "/unpair?" + url.Values{"app": {a.Status.ID}}.Encode()})
	}
	return x.page("admin_user", f)
}

// changeUser keeps the display name and the role.
func (x *exchange) changeUser(u store.User) error {
	role, err := store.ParseRole(x.r.PostFormValue("role"))
	if err != nil {
		return statusError(http.StatusBadRequest)
	}
	label := strings.TrimSpace(x.r.PostFormValue("display_name"))
	ch := store.ProfileChange{DisplayName: &label}
	if role != u.Role {
		if u.Row == x.visitor.User.Row {
			x.flashBad("admin.refused.self")
			return x.redirect(userAddress(u))
		}
		if !x.proven() {
			return x.askToProve(userAddress(u))
		}
		ch.Role = &role
	}
	return x.done(x.site.store.ChangeProfile(x.context(), u.Row, ch), userAddress(u), userAddress(u), "admin.user.changed", u.Name)
}

// userAct is something that is asked before it is done to a person. The texts are admin.user.NAME.title, .text, .button and
// .done.
type userAct struct {
	self   bool // may be done to oneself
	proof  bool // needs a factor shown a moment ago
	gone   bool // there is no page of the person afterwards
	hidden string
	do     func(*exchange, store.User) error
}

var errShown = errors.New("the answer was written") // by the act itself

var userActs = map[string]userAct{
	"disable": {do: func(x *exchange, u store.User) error { return x.site.store.SetUserDisabled(x.context(), u.Name, true) }},
	"enable":  {do: func(x *exchange, u store.User) error { return x.site.store.SetUserDisabled(x.context(), u.Name, false) }},
	"remove": {gone: true, proof: true, do: func(x *exchange, u store.User) error {
		return x.site.store.RemoveUser(x.context(), u.Name)
	}},
	"signout": {self: true, do: func(x *exchange, u store.User) error { return x.site.store.EndSessions(x.context(), u.Row, 0) }},
	"void":    {self: true, do: func(x *exchange, u store.User) error { return x.site.store.VoidLinks(x.context(), u.Row) }},
	"totp":    {self: true, do: func(x *exchange, u store.User) error { return x.site.store.EndOwnTOTP(x.context(), u.Name) }},
	"unpair": {self: true, hidden: "app", do: func(x *exchange, u store.User) error {
		return x.site.store.UnpairPerson(x.context(), u.Row, x.r.PostFormValue("app"), x.attempt())
	}},
	"invite": {proof: true, do: func(x *exchange, u store.User) error {
		return answered(x.showLink(u, store.Link{Purpose: store.LinkInvite}, store.InviteLife))
	}},
	"reset": {proof: true, do: func(x *exchange, u store.User) error {
		return answered(x.showLink(u, store.Link{Purpose: store.LinkReset}, store.ResetLife))
	}},
	"reset_factors": {proof: true, do: func(x *exchange, u store.User) error {
		return answered(x.showLink(u, store.Link{Purpose: store.LinkReset, Data: store.LinkReplaceFactors}, store.ResetLife))
	}},
}

// answered says that an act wrote the answer, unless it failed.
func answered(err error) error {
	if err == nil {
		return errShown
	}
	return err
}

func askUserAct(name string) func(*exchange, store.User) error {
	act := userActs[name]
	return func(x *exchange, u store.User) error {
		if act.proof && !x.proven() {
			return x.askToProve(x.r.URL.RequestURI())
		}
		key := "admin.user." + name
		c := confirmation{Title: x.text(key+".title", u.Label()), Text: x.text(key+".text", u.Label()), Button: x.text(key + ".button"),
			Action: userAddress(u) + "/" + name, Back: userAddress(u)}
		if act.hidden != "" {
			c.Name, c.Value = act.hidden, x.r.URL.Query().Get(act.hidden)
		}
		return x.confirm(c)
	}
}

func doUserAct(name string) func(*exchange, store.User) error {
	act := userActs[name]
	return func(x *exchange, u store.User) error {
		if !act.self && u.Row == x.visitor.User.Row {
			x.flashBad("admin.refused.self")
			return x.redirect(userAddress(u))
		}
		if act.proof && !x.proven() {
			return x.askToProve(userAddress(u))
		}
		err := act.do(x, u)
		if errors.Is(err, errShown) {
			return nil
		}
		to := userAddress(u)
		if act.gone {
			to = "/admin/people"
		}
		return x.done(err, to, userAddress(u), "admin.user."+name+".done", u.Label())
	}
}
