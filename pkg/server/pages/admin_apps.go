package pages

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) adminAppRoutes() {
	s.adminWebhookRoutes()
	s.everybody("GET "+store.PicturePath+"{app}/{file}", s.servePicture)
	s.auditor("GET /admin/apps", s.appsPage)
	s.admin("POST /admin/apps", s.addApp)
	s.auditor("GET /admin/apps/{app}", s.appPage)
	s.admin("POST /admin/apps/{app}", s.changeApp)
	s.handle("POST /admin/apps/{app}/picture", maxPicture, s.uploadPicture, (*visitor).isAdmin)
	s.admin("POST /admin/apps/{app}/picture/remove", s.removePicture)
	s.admin("GET /admin/apps/{app}/remove", s.askRemoveApp)
	s.admin("POST /admin/apps/{app}/remove", s.removeApp)
}

// appAddress is an application's page.
func appAddress(a store.Application) string { return "/admin/apps/" + url.PathEscape(a.ID) }

// app is the application of the route; it is found by its id alone.
func (x *exchange) app() (store.Application, error) {
	id := x.r.PathValue("app")
	a, err := x.site.store.Application(id)
	if err == nil && a.ID != id {
		err = store.ErrNoApplication
	}
	return a, err
}

// withApp wraps a handler that is about one application.
func withApp(h func(*exchange, store.Application) error) handler {
	return func(x *exchange) error {
		a, err := x.app()
		if err != nil {
			return err
		}
		return h(x, a)
	}
}

type appRow struct {
	store.Application
	Address string
	People  string
	Picture string
}

// picture is the path of an application's own picture, "" where it has none: the pages load none from elsewhere.
func picture(a store.Application) string {
	if strings.HasPrefix(a.ImageURL, store.PicturePath) {
		return a.ImageURL
	}
	return ""
}

func (s *Site) appsPage(x *exchange) error {
	list, err := s.store.Applications(0)
	if err != nil {
		return err
	}
	paired, err := s.store.PairedPeople()
	if err != nil {
		return err
	}
	rows := make([]appRow, 0, len(list))
	for _, a := range list {
		rows = append(rows, appRow{a, appAddress(a), x.count("admin.people", int(paired[a.Row])), picture(a)})
	}
	return x.page("admin_apps", struct{ Apps []appRow }{rows})
}

// addApp makes an application and shows its first secret, the only time.
func (s *Site) addApp(x *exchange) error {
	a, secret, err := s.store.AddApplication(x.context(), store.Application{Name: strings.TrimSpace(x.r.PostFormValue("name"))})
	if err != nil {
		return x.done(err, "", "/admin/apps", "")
	}
	return x.showSecret(a, "default", secret)
}

type appForm struct {
	App        store.Application
	Address    string
	Picture    string
	Modes      []modeField
	Secrets    []secretRow
	Operations []operationNode
	Paired     string
	Plots      []plot
}

func (s *Site) appPage(x *exchange) error {
	a, err := x.app()
	if err != nil {
		return err
	}
	paired, err := s.store.PairedPeople()
	if err != nil {
		return err
	}
	if err := s.store.Tally(x.context()); err != nil {
		return err
	}
	days, err := s.store.Tallies(a.Row, overviewDays)
	if err != nil {
		return err
	}
	f := appForm{App: a, Address: appAddress(a), Picture: picture(a), Modes: modeFields("app-", a.TwoFactor, a.LockOnUse),
		Paired: x.count("admin.people", int(paired[a.Row])), Plots: x.attemptPlots(days)}
	if f.Secrets, err = x.secretRows(a); err != nil {
		return err
	}
	if f.Operations, err = x.operationTree(a); err != nil {
		return err
	}
	return x.page("admin_app", f)
}

// changeApp keeps the whole form.
func (s *Site) changeApp(x *exchange) error {
	a, err := x.app()
	if err != nil {
		return err
	}
	text := func(name string) *string {
		v := strings.TrimSpace(x.r.PostFormValue(name))
		return &v
	}
	yes := func(name string) *bool {
		v := x.r.PostFormValue(name) == "yes"
		return &v
	}
	twoFactor, err := x.mode("two_factor")
	if err != nil {
		return err
	}
	lock, err := x.mode("lock_on_request")
	if err != nil {
		return err
	}
	c := store.ApplicationChange{Name: text("name"), ContactEmail: text("contact_email"), ContactPhone: text("contact_phone"),
		TwoFactor: &twoFactor, LockOnUse: &lock, OpenByAPI: yes("open_by_api"), PairByName: yes("pair_by_name")}
	if picture(a) == "" {
		c.ImageURL = text("image")
	}
	if problem := checkContacts(c); problem != "" {
		x.flashBad(problem)
		return x.redirect(appAddress(a))
	}
	err = s.store.ChangeApplication(x.context(), a.Row, c)
	return x.done(err, appAddress(a), appAddress(a), "admin.app.changed", *c.Name)
}

// maxContact bounds what stands in every notice, in bytes.
const maxContact = 254

// checkContacts returns the text that says what is wrong with what will be shown to people, "" if nothing is.
func checkContacts(c store.ApplicationChange) string {
	printable := func(text string) bool {
		return len(text) <= maxContact && store.OneLine(text) == text
	}
	email := *c.ContactEmail
	switch {
	case email != "" && (!printable(email) || strings.Count(email, "@") != 1 || strings.ContainsAny(email, " <>,;")):
		return "admin.refused.email"
	case !printable(*c.ContactPhone) || strings.Trim(*c.ContactPhone, "+0123456789 ()-./#*x") != "":
		return "admin.refused.phone"
	case c.ImageURL != nil && *c.ImageURL != "" && (len(*c.ImageURL) > 2048 || !strings.HasPrefix(*c.ImageURL, "https://")):
		return "admin.refused.image"
	}
	return ""
}

func (s *Site) uploadPicture(x *exchange) error {
	a, err := x.app()
	if err != nil {
		return err
	}
	file, _, err := x.r.FormFile("picture")
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	if err != nil {
		x.flashBad("admin.refused.picture")
		return x.redirect(appAddress(a))
	}
	defer file.Close()
	text, err := normalPicture(file)
	if errors.Is(err, errPicture) {
		x.flashBad("admin.refused.picture")
		return x.redirect(appAddress(a))
	}
	if err == nil {
		err = s.store.SetPicture(x.context(), a, text)
	}
	return x.done(err, appAddress(a), appAddress(a), "admin.picture.set")
}

func (s *Site) removePicture(x *exchange) error {
	a, err := x.app()
	if err != nil {
		return err
	}
	return x.done(s.store.RemovePicture(x.context(), a), appAddress(a), appAddress(a), "admin.picture.removed")
}

func (s *Site) askRemoveApp(x *exchange) error {
	a, err := x.app()
	if err != nil {
		return err
	}
	paired, err := s.store.PairedPeople()
	if err != nil {
		return err
	}
	return x.confirm(confirmation{
		Title: x.text("admin.app.remove.title", a.Name), Text: x.text("admin.app.remove.text", x.count("admin.people", int(paired[a.Row]))),
		Button: x.text("admin.app.remove.button"), Action: appAddress(a) + "/remove", Back: appAddress(a),
	})
}

func (s *Site) removeApp(x *exchange) error {
	a, err := x.app()
	if err != nil {
		return err
	}
	return x.done(s.store.RemoveApplication(x.context(), a.Row), "/admin/apps", appAddress(a), "admin.app.removed", a.Name)
}
