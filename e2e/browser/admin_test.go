package browser

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/latch-linux/latch/pkg/server/store"
)

// TestAnAdminRunsTheServer goes through what an administrator does, as they see it: an application and a secret for a host,
// an invitation that the invited uses, a person disabled and given back, and all of it in the audit log.
func TestAnAdminRunsTheServer(t *testing.T) {
	t.Parallel()
	admin := newPerson(t, store.RoleAdmin)
	b := open(t, desktop)
	b.signIn(admin)
	b.visit("/")
	b.press("link", "Admin")
	b.read("Attempts per day")
	b.press("link", "Applications")
	app := unique("servers")
	b.fill("#name", app)
	b.press("button", "Add")
	b.read("This is the only time that it is shown.")
	b.check()
	b.press("link", "I have it")
	b.fill("#secret-name", "web1")
	b.press("button", "Make a secret")
	b.read("secret_key = ")
	b.press("link", "I have it")
	b.press("link", "Replace web1")
	b.read("The old one ends")
	b.check()
	b.press("button", "Make the new secret")
	b.press("link", "I have it")
	b.read("ends tomorrow")
	b.fill("#operation-name", "ssh")
	b.click("section[aria-labelledby=operations] button")
	b.read("ssh was added.")
	b.press("link", "ssh")
	b.run(chromedp.SetValue("#op-two_factor", "MANDATORY", chromedp.ByQuery))
	b.press("button", "Save")
	b.read("ssh was saved.")
	b.check()
	a, err := data.Application(app)
	must(t, err)
	if op, err := data.Operation(a.Row, "ssh"); err != nil || op.TwoFactor != store.Mandatory {
		t.Errorf("%+v, %v", op, err)
	}
	invited := b.invite()
	b.disable(invited, a)

	b.press("link", "Audit log")
	b.fill("#q", invited)
	b.click(".search button")
	for _, act := range []string{"person added", "link made", "person disabled", "person enabled", admin.Name, "on these pages"} {
		b.read(act)
	}
	b.check()
}

// invite has the admin invite somebody, who takes the invitation up in a browser of their own, and returns the name.
func (b *tab) invite() string {
	b.t.Helper()
	name := unique("eve")
	b.press("link", "People")
	b.fill("#name", name)
	b.press("button", "Invite")
	b.see("#link")
	b.check()
	link := strings.TrimSpace(b.text("#link"))
	other := open(b.t, phone)
	other.expect("401") // its live page, when the session ends with the person's being disabled
	other.visit(link)
	other.fill("#password", "tres tristes tigres")
	other.fill("#again", "tres tristes tigres")
	other.click("main form button")
	other.wait(`!location.pathname.startsWith("/link")`)
	b.press("link", "I have it")
	b.read(name)
	return name
}

// disable has the admin disable somebody whom a host asks about, and enable them again.
func (b *tab) disable(name string, a store.Application) {
	b.t.Helper()
	account := pair(b.t, name, a)
	reads := func(want bool) {
		b.t.Helper()
		s, err := data.Status(b.t.Context(), store.StatusRequest{App: a, AccountID: account})
		must(b.t, err)
		if s.Open != want {
			b.t.Errorf("the host reads open = %v", s.Open)
		}
	}
	b.press("link", "Disable")
	b.read("read closed at once")
	b.check()
	reads(true)
	b.press("button", "Disable")
	b.read(name + " is disabled.")
	reads(false)
	b.press("link", "Enable")
	b.press("button", "Enable")
	b.read(name + " is enabled.")
	reads(true)
}

// TestThePanelInEveryLook shows each page of the panel as an auditor and as an admin see it. For a sample see someOf.
func TestThePanelInEveryLook(t *testing.T) {
	t.Parallel()
	u := newPerson(t, store.RolePerson)
	app, account := paired(t, u.Name, "servers")
	ssh, err := data.AddOperation(t.Context(), app, app.ID, store.Operation{Name: "ssh", TwoFactor: store.OptIn})
	must(t, err)
	_, err = data.AddOperation(t.Context(), app, ssh.ID, store.Operation{Name: "root"})
	must(t, err)
	for i := range 20 {
		if i == 15 {
			_, err := data.SetByUser(t.Context(), u.Name, app.Name, "", false)
			must(t, err)
		}
		_, err := data.Status(t.Context(), store.StatusRequest{App: app, AccountID: account,
			Attempt: store.Attempt{IP: "203.0.113.7", Context: map[string]string{"host": "web1", "service": "sshd", "rhost": "198.51.100.23"}}})
		must(t, err)
	}
	pages := map[string]string{"overview": "/admin", "apps": "/admin/apps", "app": "/admin/apps/" + app.ID, "operation": "/admin/apps/" + app.ID + "/operations/" + ssh.ID,
		"people": "/admin/people?q=" + u.Name, "audit": "/admin/audit?q=" + app.Name, "settings": "/admin/settings"}
	looks := map[string]look{"phone": phone, "desktop-dark-es": desktop.inDark().in("es"), "desktop": desktop}
	for i, name := range slices.Sorted(maps.Keys(looks)) {
		role := store.RoleAdmin
		if name == "desktop-dark-es" {
			role = store.RoleAuditor
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, looks[name])
			b.signIn(newPerson(t, role))
			for _, page := range someOf(pages, i) {
				b.visit(pages[page])
				b.see(".adminnav")
				b.check()
				b.shot("admin-" + page + "-" + name)
			}
			b.visit("/admin/people/" + strconv.FormatInt(u.Row, 10))
			b.see("#paired")
			b.check()
			b.shot("admin-person-" + name)
		})
	}
}
