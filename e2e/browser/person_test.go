package browser

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/server/store"
)

// looks are those that the pages of a person are checked in.
var looks = map[string]look{"phone": phone, "desktop-dark-es": desktop.inDark().in("es")}

// someOf returns the names of the pages that the i-th look is checked with. A sample has each page in one look or two, and each
// look with half of the pages.
func someOf(pages map[string]string, i int) []string {
	return fixture.Sample(fixture.Rotated(slices.Sorted(maps.Keys(pages)), i), 2)
}

// TestPersonsPages holds each page that a person can reach to what every page has to be. For a sample see someOf.
func TestPersonsPages(t *testing.T) {
	t.Parallel()
	pages := map[string]string{"history": "/history", "history-filter": "/history?kind=refused", "settings": "/settings", "install": "/install",
		"welcome-1": "/welcome", "welcome-2": "/welcome/try?latch=closed", "welcome-3": "/welcome/phone", "offline": "/offline"}
	for i, name := range slices.Sorted(maps.Keys(looks)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newPerson(t, store.RolePerson)
			app, account := paired(t, u.Name, "servers")
			for range 2 {
				_, err := data.Status(t.Context(), store.StatusRequest{App: app, AccountID: account, Attempt: store.Attempt{IP: "192.0.2.1",
					Context: map[string]string{"host": "web1", "service": "sshd", "rhost": "203.0.113.7"}}})
				must(t, err)
				_, err = data.Switch(t.Context(), store.Switch{User: u.Row, App: app.ID})
				must(t, err)
			}
			b := open(t, looks[name])
			b.signIn(u)
			for _, page := range someOf(pages, i) {
				b.visit(pages[page])
				b.see("h1")
				b.check()
				b.shot(page + "-" + name)
			}
		})
	}
}

// TestFirstRun goes through the three screens with the keyboard's and the screen reader's means, and has no script.
func TestFirstRun(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]look{"phone": phone, "noscript": phone.withoutScript()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := data.AddUser(t.Context(), unique("bea"))
			must(t, err)
			b := open(t, l)
			b.signIn(u)
			b.visit("/")
			b.press("link", "Next")
			b.press("link", "Close the latch")
			b.see(".big.closed")
			b.press("link", "Next")
			b.press("button", "Show my recovery codes")
			b.see(".codes li")
			b.shot("codes-" + name)
			b.press("checkbox", "I have them on paper or in a safe place")
			b.press("button", "Done, to my latches")
			b.see("a[href='/services/add']")
			if u, err = data.User(u.Name); err != nil || !u.Welcomed {
				t.Errorf("%+v, %v", u, err)
			}
		})
	}
}

// TestOffline stops the server: a page that is open says so and shows no state, and one that is opened shows no latch at all.
func TestOffline(t *testing.T) {
	t.Parallel()
	b, _, _, app := alone(t, frail, phone)
	b.expect("Failed to load resource")
	b.wait(`navigator.serviceWorker.controller`)
	must(t, frail.Stop())
	b.wait(`!document.querySelector("[data-offline]").hidden`)
	b.read("Not known")
	if shown := b.text("main"); strings.Contains(shown, "Open") {
		t.Errorf("a state is shown without a connection: %s", shown)
	}
	b.wait(`[...document.querySelectorAll(".act, .all")].every((e) => getComputedStyle(e).visibility === "hidden")`)
	b.check()
	b.shot("stale-phone")
	b.visit(frail.Public + "/")
	b.read("What they are now cannot be known")
	b.check()
	if shown := b.text("main"); strings.Contains(shown, app.Name) {
		t.Errorf("a latch is shown without a connection: %s", shown)
	}
	must(t, frail.Start())
	b.press("link", "Try again")
	b.read(app.Name)
}
