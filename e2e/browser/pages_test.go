package browser

import (
	"context"
	"encoding/csv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/latch-linux/latch/pkg/server/store"
)

// tried has a host ask about an account, for a login from an address.
func tried(t *testing.T, app store.Application, account, from string) {
	t.Helper()
	_, err := data.Status(t.Context(), store.StatusRequest{App: app, AccountID: account, Attempt: store.Attempt{UserAgent: "latch", IP: "192.0.2.1",
		Context: map[string]string{"host": "web1", "service": "sshd", "user": "ana", "rhost": from}}})
	must(t, err)
}

// tabTo goes on with the Tab key until the focus is on what a CSS selector finds.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range 40 {
		b.run(chromedp.KeyEvent(kb.Tab))
		if eval[bool](b, `document.activeElement.matches("`+selector+`")`) {
			return
		}
	}
	b.t.Fatalf("the Tab key does not lead to %s", selector)
}

// TestHistoryByKeyboard reads, filters and exports the history without a pointer, and sees a new attempt appear.
func TestHistoryByKeyboard(t *testing.T) {
	t.Parallel()
	u := newPerson(t, store.RolePerson)
	app, account := paired(t, u.Name, "servers")
	tried(t, app, account, "203.0.113.7")
	b := open(t, phone)
	b.signIn(u)
	b.visit("/history")
	b.read("sshd on web1 as ana from 203.0.113.7")
	b.check()

	_, err := data.Switch(t.Context(), store.Switch{User: u.Row, App: app.ID})
	must(t, err)
	tried(t, app, account, "203.0.113.8")
	b.read("203.0.113.8") // by itself
	b.tabTo("#filter summary")
	b.run(chromedp.KeyEvent(kb.Enter))
	b.tabTo("#kind")
	b.run(chromedp.KeyEvent("Logins refused"))
	b.tabTo("#filter button")
	b.run(chromedp.KeyEvent(kb.Enter))
	b.wait(`location.search.includes("kind=refused")`)
	b.read("203.0.113.8")
	if shown := b.text("main"); strings.Contains(shown, "203.0.113.7") {
		t.Errorf("the filter lets in what was let in:\n%s", shown)
	}
	b.check()
	b.shot("history-filtered")
	file := eval[string](b, `fetch(document.querySelector("a[download]").href).then((r) => r.text())`)
	if rows, err := csv.NewReader(strings.NewReader(file)).ReadAll(); err != nil || len(rows) != 2 {
		t.Errorf("%v, the file of one attempt is\n%s", err, file)
	}
}

// TestWithoutScript switches a latch and goes through the history where no script runs.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	u := newPerson(t, store.RolePerson)
	app, account := paired(t, u.Name, "servers")
	reads := func(want bool) {
		t.Helper()
		s, err := data.Status(t.Context(), store.StatusRequest{App: app, AccountID: account})
		must(t, err)
		if s.Open != want {
			t.Errorf("the latch is open: %v", s.Open)
		}
	}
	b := open(t, phone.withoutScript())
	b.signIn(u)
	b.visit("/")
	b.press("button", "Close "+app.Name)
	b.read(app.Name + ": closed.")
	reads(false)
	b.click("#open-" + app.ID + " summary")
	b.press("button", "10 minutes")
	b.read(app.Name + ": open until")
	reads(true)
	b.press("button", "Close everything")
	b.read("Everything is closed")
	reads(false)
	b.press("button", "Undo")
	b.read("It is as it was before.")
	reads(true)
	for range 60 {
		tried(t, app, account, "203.0.113.7")
	}
	b.press("link", "History")
	b.press("link", "Older")
	b.see("a[href='/history']")
	b.press("link", "Newest")
	b.read("203.0.113.7")
}

// TestInstallable holds what Chromium asks of an app: a manifest with its icons, and a worker that has taken the page.
func TestInstallable(t *testing.T) {
	t.Parallel()
	b := open(t, phone)
	b.signIn(newPerson(t, store.RolePerson))
	b.visit("/")
	b.wait(`navigator.serviceWorker.controller`)
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		_, wrong, manifest, _, err := page.GetAppManifest().Do(ctx)
		if err != nil {
			return err
		}
		if len(wrong) > 0 || !strings.Contains(manifest, `"standalone"`) {
			t.Errorf("manifest: %v\n%s", wrong, manifest)
		}
		missing, err := page.GetInstallabilityErrors().Do(ctx)
		for _, m := range missing {
			if m.ErrorID != "in-incognito" { // as each tab of the tests is
				t.Errorf("not to be installed: %s %v", m.ErrorID, m.ErrorArguments)
			}
		}
		return err
	}))
	kept := eval[[]string](b, `caches.keys().then((names) => Promise.all(names.map((n) => caches.open(n).then((c) => c.keys()))))
		.then((lists) => lists.flat().map((r) => new URL(r.url).pathname))`)
	for _, path := range kept {
		if path != "/offline" && !strings.HasPrefix(path, "/static/") {
			t.Errorf("the worker keeps %s", path)
		}
	}
	if len(kept) < 2 {
		t.Errorf("the worker keeps %v", kept)
	}
}

// TestConnectionDrops takes the network from a page that is open, and gives it back after the latch was closed elsewhere.
func TestConnectionDrops(t *testing.T) {
	t.Parallel()
	b, db, u, app := alone(t, remote, phone.in("es"))
	b.expect("net::ERR_")
	b.read("Abierto")
	b.wait(`navigator.serviceWorker.controller`) // or the cut would stop its installation, which is an error in the console
	tunnel.cut()
	b.read("No se sabe")
	if shown := b.text("main"); strings.Contains(shown, "Abierto") {
		t.Errorf("a state is shown without a connection:\n%s", shown)
	}
	b.check()
	b.shot("dropped-es")
	_, err := db.Switch(t.Context(), store.Switch{User: u.Row, App: app.ID})
	must(t, err)
	must(t, tunnel.restore())
	b.read("Cerrado")
	if shown := b.text("main"); strings.Contains(shown, "Abierto") || strings.Contains(shown, "No se sabe") {
		t.Errorf("with a connection again:\n%s", shown)
	}
}

// TestBrowserReportsNoNetwork: what the browser itself says of its network is believed before any connection drops.
func TestBrowserReportsNoNetwork(t *testing.T) {
	t.Parallel()
	u := newPerson(t, store.RolePerson)
	paired(t, u.Name, "servers")
	b := open(t, phone)
	b.signIn(u)
	b.visit("/")
	b.wait(`(dispatchEvent(new Event("offline")), document.body.innerText.includes("Not known"))`) // once the page's script has begun to listen
	b.run(chromedp.Evaluate(`dispatchEvent(new Event("online"))`, nil))
	b.wait(`!document.body.innerText.includes("Not known")`)
}
