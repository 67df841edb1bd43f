package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) adminSecretRoutes() {
	s.admin("POST /admin/apps/{app}/secrets", withApp((*exchange).addSecret))
	s.admin("GET /admin/apps/{app}/secrets/rotate", withApp((*exchange).askRotate))
	s.admin("POST /admin/apps/{app}/secrets/rotate", withApp((*exchange).rotate))
	s.admin("GET /admin/apps/{app}/secrets/revoke", withApp((*exchange).askRevoke))
	s.admin("POST /admin/apps/{app}/secrets/revoke", withApp((*exchange).revoke))
}

// secretRow is a secret as its application's page lists it, never the secret itself.
type secretRow struct {
	Name            string
	Created         moment
	Used            *moment // nil = never
	Ends            *moment // nil = it does not
	Rotate, Revoke  string  // addresses
	RevokedOrEnding bool
}

// secretRows lists the secrets that can be used, each with its last use.
func (x *exchange) secretRows(a store.Application) ([]secretRow, error) {
	list, err := x.site.store.Secrets(a.Row)
	if err != nil {
		return nil, err
	}
	var rows []secretRow
	for _, k := range list {
		if k.Revoked {
			continue
		}
		q := "?" + url.Values{"name": {k.Name}}.Encode()
		rows = append(rows, secretRow{Name: k.Name, Created: x.moment(k.Created), Used: x.momentOrNil(k.LastUse), Ends: x.momentOrNil(k.Ends),
			Rotate: appAddress(a) + "/secrets/rotate" + q, Revoke: appAddress(a) + "/secrets/revoke" + q, RevokedOrEnding: k.Ends > 0})
	}
	return rows, nil
}

func (x *exchange) momentOrNil(ms int64) *moment {
	if ms == 0 {
		return nil
	}
	m := x.moment(ms)
	return &m
}

// shownSecret is a new secret, on the only page that ever shows it.
type shownSecret struct {
	App          store.Application
	Name, Secret string
	Server, Back string
}

// showSecret answers the POST itself: a redirect would have to keep the secret somewhere.
func (x *exchange) showSecret(a store.Application, name, secret string) error {
	return x.page("admin_secret", shownSecret{App: a, Name: name, Secret: secret, Server: strings.TrimSuffix(x.site.link("/"), "/"), Back: appAddress(a)})
}

func (x *exchange) addSecret(a store.Application) error {
	name := strings.TrimSpace(x.r.PostFormValue("name"))
	secret, err := x.site.store.AddSecret(x.context(), a.Row, name)
	if err != nil {
		return x.done(err, "", appAddress(a), "")
	}
	return x.showSecret(a, name, secret)
}

// overlaps are the hours that a rotated secret may go on for.
var overlaps = []int{0, 1, 24, 7 * 24, 30 * 24}

const usualOverlap = 24

type rotateForm struct {
	App          store.Application
	Name         string
	Action, Back string
	Overlaps     []int
	Usual        int
}

func (x *exchange) askRotate(a store.Application) error {
	return x.page("admin_rotate", rotateForm{App: a, Name: x.r.URL.Query().Get("name"), Action: appAddress(a) + "/secrets/rotate", Back: appAddress(a),
		Overlaps: overlaps, Usual: usualOverlap})
}

func (x *exchange) rotate(a store.Application) error {
	hours, err := strconv.Atoi(x.r.PostFormValue("overlap"))
	if err != nil || !slices.Contains(overlaps, hours) {
		return statusError(http.StatusBadRequest)
	}
	name := x.r.PostFormValue("name")
	secret, err := x.site.store.RotateSecret(x.context(), a.Row, name, x.site.now().Add(time.Duration(hours)*time.Hour).UnixMilli())
	if err != nil {
		return err
	}
	return x.showSecret(a, name, secret)
}

func (x *exchange) askRevoke(a store.Application) error {
	name := x.r.URL.Query().Get("name")
	return x.confirm(confirmation{
		Title: x.text("admin.secret.revoke.title", name), Text: x.text("admin.secret.revoke.text", a.Name), Button: x.text("admin.secret.revoke.button"),
		Action: appAddress(a) + "/secrets/revoke", Back: appAddress(a), Name: "name", Value: name,
	})
}

func (x *exchange) revoke(a store.Application) error {
	name := x.r.PostFormValue("name")
	return x.done(x.site.store.RevokeSecret(x.context(), a.Row, name), appAddress(a), appAddress(a), "admin.secret.revoked", name)
}
