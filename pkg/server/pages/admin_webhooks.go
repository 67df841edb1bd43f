package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) adminWebhookRoutes() {
	s.auditor("GET /admin/apps/{app}/webhooks", withApp((*exchange).webhooksPage))
	s.admin("POST /admin/apps/{app}/webhooks", withApp((*exchange).addWebhook))
	s.admin("POST /admin/apps/{app}/webhooks/{row}/test", withApp((*exchange).testWebhook))
	s.admin("POST /admin/apps/{app}/webhooks/{row}/remove", withApp((*exchange).removeWebhook))
}

func (x *exchange) webhooksPage(a store.Application) error {
	return x.showWebhooks(a, http.StatusOK, "", "")
}

func (x *exchange) showWebhooks(a store.Application, status int, problem, typed string) error {
	list, err := x.site.store.Webhooks(a.Row)
	if err != nil {
		return err
	}
	_, secrets, err := x.site.store.Credentials(a.ID)
	if err != nil && !errors.Is(err, store.ErrNoApplication) {
		return err
	}
	d := struct {
		App            store.Application
		Address        string
		Hooks          []channelView
		Secrets        []string
		Problem, Typed string
	}{App: a, Address: appAddress(a), Problem: problem, Typed: typed}
	for _, h := range list {
		d.Hooks = append(d.Hooks, x.channel(h))
	}
	for _, c := range secrets {
		d.Secrets = append(d.Secrets, c.Name)
	}
	return x.pageStatus(status, "admin_webhooks", d)
}

// addWebhook keeps a webhook that repeats the challenge, and no other.
func (x *exchange) addWebhook(a store.Application) error {
	address := strings.TrimSpace(x.r.PostFormValue("url"))
	private, err := x.site.notices.Private()
	if err != nil {
		return err
	}
	if notify.CheckURL(address, private) != nil {
		return x.showWebhooks(a, http.StatusUnprocessableEntity, "notices.hooks.bad", address)
	}
	row, err := x.site.store.SaveChannel(x.context(), store.Channel{App: a.Row, Kind: store.ChannelWebhook, Label: address,
		Settings: store.ChannelSettings{URL: address, Secret: x.r.PostFormValue("secret")}})
	if errors.Is(err, store.ErrTooMany) {
		return x.showWebhooks(a, http.StatusUnprocessableEntity, "notices.toomany", address)
	}
	if err != nil {
		return err
	}
	problem, err := x.site.notices.Test(x.r.Context(), 0, a.Row, row)
	if err == nil && problem == "" {
		x.flash("notices.hooks.added")
		return x.redirect(appAddress(a) + "/webhooks")
	}
	if gone := x.site.store.RemoveChannel(x.context(), 0, a.Row, row); err != nil || gone != nil {
		return errors.Join(err, gone)
	}
	return x.showWebhooks(a, http.StatusUnprocessableEntity, "notices.problem."+problem, address)
}

func (x *exchange) testWebhook(a store.Application) error {
	row, err := x.rowOf()
	if err != nil {
		return err
	}
	return x.site.tryChannel(x, 0, a.Row, row, appAddress(a)+"/webhooks")
}

func (x *exchange) removeWebhook(a store.Application) error {
	row, err := x.rowOf()
	if err != nil {
		return err
	}
	if err := x.site.store.RemoveChannel(x.context(), 0, a.Row, row); err != nil {
		return err
	}
	x.flash("notices.removed")
	return x.redirect(appAddress(a) + "/webhooks")
}
