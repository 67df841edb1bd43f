package pages

import (
	"cmp"
	"errors"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) accountRoutes() {
	s.person("GET /account", s.accountPage)
	s.person("POST /account/profile", s.changeProfile)
	s.person("GET /account/password", afresh("/account/password", s.passwordPage))
	s.person("POST /account/password", afresh("/account/password", s.changePassword))
	s.person("GET /account/passkeys/new", afresh("/account/passkeys/new", s.newPasskeyPage))
	s.person("POST /account/passkeys/{row}/remove", afresh("/account", s.removePasskey))
	s.person("POST /account/passkeys/{row}/name", s.renamePasskey)
	s.person("POST /account/sessions/{row}/end", s.endSession)
	s.person("POST /account/sessions/end", s.endOtherSessions)
	s.person("GET /account/added", s.addedPage)
	s.person("POST /account/added/end", afresh("/account/added", s.endAdded))
	s.person("POST /account/added/keep", s.keepAdded)
}

// accountView is what the account page shows.
type accountView struct {
	Factors  store.Factors
	Passkeys []passkeyView
	Sessions []sessionView
	Recovery moment // when the recovery codes were made
	Zones    []string
	Limits   limits
	Problem  string
	Profile  profile
}

type profile struct{ DisplayName, Email, Language, TimeZone string }

type passkeyView struct {
	Row           int64
	Name          string
	Created, Used moment
	Never         bool
}

type sessionView struct {
	Row           int64
	Device        string
	Address       string
	Started, Seen moment
	This, Strong  bool
}

func (s *Site) accountPage(x *exchange) error {
	u := x.visitor.User
	return s.showAccount(x, http.StatusOK, "", profile{u.DisplayName, u.Email, u.Language, cmp.Or(u.TimeZone, x.zone().String())})
}

func (s *Site) showAccount(x *exchange, status int, problem string, p profile) error {
	user := x.visitor.User.Row
	f, err := s.store.Factors(user)
	if err != nil {
		return err
	}
	keys, err := s.store.Passkeys(user)
	if err != nil {
		return err
	}
	sessions, err := s.store.Sessions(user)
	if err != nil {
		return err
	}
	v := accountView{Factors: f, Limits: s.limits(), Problem: problem, Profile: p, Recovery: x.moment(f.RecoveryMade), Zones: commonZones}
	for _, k := range keys {
		v.Passkeys = append(v.Passkeys, passkeyView{Row: k.Row, Name: k.Name, Created: x.moment(k.Created), Used: x.moment(k.LastUse), Never: k.LastUse == 0})
	}
	for _, e := range sessions {
		v.Sessions = append(v.Sessions, sessionView{Row: e.Row, Device: x.device(e.UserAgent), Address: e.Address,
			Started: x.moment(e.Created), Seen: x.moment(e.LastSeen), This: e.Row == x.visitor.Session.Row, Strong: e.Strong})
	}
	return x.pageStatus(status, "account", v)
}

func (s *Site) changeProfile(x *exchange) error {
	p := profile{
		DisplayName: strings.TrimSpace(x.r.PostFormValue("display_name")), Email: strings.TrimSpace(x.r.PostFormValue("email")),
		Language: x.r.PostFormValue("language"), TimeZone: strings.TrimSpace(x.r.PostFormValue("time_zone")),
	}
	if p.Language != "" && !slices.Contains(s.texts.languages, p.Language) {
		return statusError(http.StatusBadRequest)
	}
	if a, err := mail.ParseAddress(p.Email); p.Email != "" && (err != nil || a.Address != p.Email || len(p.Email) > 254) {
		return s.showAccount(x, http.StatusUnprocessableEntity, "account.email_bad", p)
	}
	if _, err := time.LoadLocation(p.TimeZone); err != nil || p.TimeZone == "Local" {
		return s.showAccount(x, http.StatusUnprocessableEntity, "account.time_zone_bad", p)
	}
	// Notices, and with them links that close, go to the address: changing it is like adding a device.
	if p.Email != x.visitor.User.Email && !x.proven() {
		return x.askToProve("/account")
	}
	err := s.store.ChangeProfile(x.context(), x.visitor.User.Row, store.ProfileChange{DisplayName: &p.DisplayName, Email: &p.Email, Language: &p.Language,
		TimeZone: &p.TimeZone})
	if errors.Is(err, store.ErrBadName) {
		return s.showAccount(x, http.StatusUnprocessableEntity, "account.name_bad", p)
	}
	if err != nil {
		return err
	}
	x.keepLanguage(p.Language)
	x.flash("account.saved")
	return x.redirect("/account")
}

func (s *Site) passwordPage(x *exchange) error {
	return x.page("password", backForm{Name: x.visitor.User.Name})
}

// changePassword ends every other session: whoever changes a password may fear that somebody else knows it.
func (s *Site) changePassword(x *exchange) error {
	u := x.visitor.User
	phc, problem, err := s.newPassword(x, u)
	if err != nil {
		return err
	}
	if problem != "" {
		return x.pageStatus(http.StatusUnprocessableEntity, "password", backForm{Name: u.Name, Problem: problem})
	}
	if err := s.store.SetPassword(x.context(), u.Row, phc, x.visitor.Session.Row); err != nil {
		return err
	}
	x.flash("account.password_changed")
	next, err := x.afterReset("/account")
	if err != nil {
		return err
	}
	return x.redirect(next)
}

func (s *Site) newPasskeyPage(x *exchange) error {
	return x.page("passkey_new", struct {
		Name   string
		Limits limits
	}{x.device(x.r.UserAgent()), s.limits()})
}

func (s *Site) removePasskey(x *exchange) error {
	row, err := x.row()
	if err == nil {
		err = s.store.RemovePasskey(x.context(), x.visitor.User.Row, row)
	}
	if err != nil {
		return err
	}
	x.flash("account.passkey_removed")
	return x.redirect("/account")
}

func (s *Site) renamePasskey(x *exchange) error {
	row, err := x.row()
	if err == nil {
		err = s.store.RenamePasskey(x.context(), x.visitor.User.Row, row, strings.TrimSpace(x.r.PostFormValue("name")))
	}
	if errors.Is(err, store.ErrBadName) {
		x.flashBad("account.passkey_name_bad")
		return x.redirect("/account")
	}
	if err != nil {
		return err
	}
	x.flash("account.saved")
	return x.redirect("/account")
}

func (s *Site) endSession(x *exchange) error {
	row, err := x.row()
	if err == nil {
		err = s.store.EndSession(x.context(), x.visitor.User.Row, row)
	}
	if err != nil && !errors.Is(err, store.ErrNoSession) { // it may have ended meanwhile
		return err
	}
	x.flash("account.session_ended")
	return x.redirect("/account")
}

func (s *Site) endOtherSessions(x *exchange) error {
	if err := s.store.EndSessions(x.context(), x.visitor.User.Row, x.visitor.Session.Row); err != nil {
		return err
	}
	x.flash("account.sessions_ended")
	return x.redirect("/account")
}

// row is the number in the path.
func (x *exchange) row() (int64, error) {
	row, err := strconv.ParseInt(x.r.PathValue("row"), 10, 64)
	if err != nil {
		return 0, statusError(http.StatusNotFound)
	}
	return row, nil
}

// limits says what will not work because of the address or the certificate.
type limits struct {
	Address    bool // an IP address instead of a name: no passkeys anywhere
	SelfSigned bool // browsers do not trust the certificate unless somebody told them to
	Host       string
}

func (s *Site) limits() limits {
	return limits{Address: isAddress(s.public), SelfSigned: s.selfSigned, Host: s.public.Hostname()}
}

// Any tells the template whether there is something to say.
func (l limits) Any() bool { return l.Address || l.SelfSigned }
