package pages

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/store"
)

// How much the overview shows.
const (
	overviewDays    = 30
	overviewRefused = 12
)

// adminRoutes are the panel's: auditors see all of it, admins change things there.
func (s *Site) adminRoutes() {
	s.auditor("GET /admin", s.overviewPage)
	s.adminAppRoutes()
	s.adminSecretRoutes()
	s.adminOperationRoutes()
	s.adminPeopleRoutes()
	s.adminAuditRoutes()
	s.adminSettingRoutes()
}

// Admin tells the templates whether to show what changes something.
func (v *visitor) Admin() bool { return v.isAdmin() }

type overview struct {
	People, Disabled, Paired, Pairings, Applications string
	Plots                                            []plot
	Days                                             []dayRow
	Refused                                          []attemptRow
}

// overviewPage shows how many people are paired, the attempts of the last days, and the newest that were refused.
func (s *Site) overviewPage(x *exchange) error {
	if err := s.store.Tally(x.context()); err != nil {
		return err
	}
	census, err := s.store.Census()
	if err != nil {
		return err
	}
	days, err := s.store.Tallies(0, overviewDays)
	if err != nil {
		return err
	}
	refused, err := s.store.Refused(overviewRefused)
	if err != nil {
		return err
	}
	d := overview{
		People: x.number(census.People), Disabled: x.number(census.Disabled), Paired: x.number(census.Paired),
		Pairings: x.number(census.Pairings), Applications: x.number(census.Applications), Plots: x.attemptPlots(days), Days: x.dayRows(days),
	}
	for _, e := range refused {
		d.Refused = append(d.Refused, x.attemptRow(e))
	}
	return x.page("admin", d)
}

// attemptRow is an attempt as a table of the panel shows it.
type attemptRow struct {
	Time            moment
	User, App, Name string
	From            string // what asked, as the host told it or as the server saw it
}

func (x *exchange) attemptRow(e store.Entry) attemptRow {
	r := attemptRow{Time: x.moment(e.T), User: e.User, App: e.App, Name: e.Name,
		From: notify.Where(words{x.site.texts}, x.lang, store.OriginOf(e.Context, e.IP))}
	if r.Name == r.App {
		r.Name = ""
	}
	return r
}

// number writes a number with its thousands apart, as the visitor's language does.
func (x *exchange) number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sep := x.text("admin.thousands")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + sep + digits[i:]
	}
	return digits
}

// refusals are the store's errors that are the visitor's to mend, with the texts that say how.
var refusals = []struct {
	is  error
	key string
}{
	{store.ErrExists, "admin.refused.exists"},
	{store.ErrBadName, "admin.refused.name"},
	{store.ErrTooMany, "admin.refused.many"},
	{store.ErrLastAdmin, "admin.refused.last"},
	{store.ErrUserDisabled, "admin.refused.disabled"},
}

// done ends a change: on to a page that says so, or back to where the form was, which says why not.
func (x *exchange) done(err error, to, back, key string, args ...string) error {
	if err == nil {
		x.flash(key, args...)
		return x.redirect(to)
	}
	for _, r := range refusals {
		if errors.Is(err, r.is) {
			x.flashBad(r.key)
			return x.redirect(back)
		}
	}
	return err
}

// confirmation is the page that asks before something that cannot be taken back, and names what will happen.
type confirmation struct {
	Title, Text, Button string
	Action, Back        string // where the button posts to, and where the way out leads
	Name, Value         string // a hidden field, if any
}

func (x *exchange) confirm(c confirmation) error { return x.page("admin_confirm", c) }

// mode reads a mode from a form; one that is not there is DISABLED.
func (x *exchange) mode(name string) (store.Mode, error) {
	m, err := store.ParseMode(x.r.PostFormValue(name))
	if err != nil {
		return m, statusError(http.StatusBadRequest)
	}
	return m, nil
}

// modeField is a choice of a mode as a template shows it.
type modeField struct {
	Name, Kind string // of the form's field; two_factor or lock_on_request
	ID         string
	Value      string
}

// Options are the API's words.
func (modeField) Options() []string {
	return []string{store.Disabled.String(), store.OptIn.String(), store.Mandatory.String()}
}

func modeFields(id string, twoFactor, lock store.Mode) []modeField {
	return []modeField{{"two_factor", "two_factor", id + "two_factor", twoFactor.String()}, {"lock_on_request", "lock_on_request", id + "lock_on_request", lock.String()}}
}
