// Package browser drives real Chromium against the real latch-server: every page, as a person with a phone or a desk sees it.
//
// The package has one server and one browser process; each test has people of its own and a browser context of its own
// (cookies, storage, service workers), so that tests run at the same time. LATCH_SHOTS=DIR keeps pictures of the pages,
// those of every page with LATCH_TEST_ALL=1.
package browser

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/server/store"
)

// host is the server's name in the browser. It ends in .test: no name server knows it.
const host = "latch.test"

// What the tests share, set up before the first one.
var (
	built  fixture.Artefacts
	server *fixture.Server
	frail  *fixture.Server // one more, which a test stops and starts again
	remote *fixture.Server // one more, which browsers reach by way of tunnel alone
	tunnel *forwarder
	data   *store.Store // the server's database, opened beside it as its commands do
	chrome context.Context
	axe    string // axe-core's source
)

func TestMain(m *testing.M) {
	os.Exit(fixture.Main(m, tearDown, findArtefacts, findChromium, startServers, startChromium))
}

func findArtefacts() (err error) {
	if built, err = fixture.Built(); err != nil {
		return err
	}
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		return fmt.Errorf("%w: run scripts/bootstrap test first", err)
	}
	axe = string(source)
	return nil
}

func startServers() error {
	dir, err := os.MkdirTemp("", "latch-browser")
	if err != nil {
		return err
	}
	for name, s := range map[string]**fixture.Server{"data": &server, "frail": &frail, "remote": &remote} {
		if *s, err = fixture.StartServer(built.Server, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, s := range []*fixture.Server{server, frail} {
		if err := s.Publish(host); err != nil {
			return err
		}
	}
	if err := publishThroughTunnel(); err != nil {
		return err
	}
	data, err = store.Open(server.Data, store.Options{})
	return err
}

func publishThroughTunnel() error {
	u, err := url.Parse(remote.URL)
	if err != nil {
		return err
	}
	if tunnel, err = startForwarder(u.Host); err != nil {
		return err
	}
	return remote.PublishAt(net.JoinHostPort(host, strconv.Itoa(tunnel.port())))
}

func tearDown() {
	chromedp.Cancel(chrome)
	data.Close()
	for _, s := range []*fixture.Server{server, frail, remote} {
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

var numbers atomic.Int64

// unique makes a name that no other test has.
func unique(name string) string { return fmt.Sprintf("%s%d", name, numbers.Add(1)) }

// newPerson makes a person of this test's own, who has been through the first run, and returns the name.
func newPerson(t *testing.T, role store.Role) store.User {
	t.Helper()
	u, err := data.AddUser(t.Context(), unique("ana"))
	must(t, err)
	must(t, data.ChangeProfile(t.Context(), u.Row, store.ProfileChange{Role: &role}))
	must(t, data.SetWelcomed(t.Context(), u.Row))
	u, err = data.User(u.Name)
	must(t, err)
	return u
}

// alone signs somebody in to a server that has nobody else, and opens the latches of their only application in a tab.
func alone(t *testing.T, s *fixture.Server, l look) (b *tab, db *store.Store, u store.User, app store.Application) {
	t.Helper()
	db, err := store.Open(s.Data, store.Options{})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	u, err = db.AddUser(t.Context(), "ana")
	must(t, err)
	must(t, db.SetWelcomed(t.Context(), u.Row))
	app, _, err = db.AddApplication(t.Context(), store.Application{Name: "servers"})
	must(t, err)
	_, err = db.Import(t.Context(), app, []string{u.Name})
	must(t, err)
	ticket, err := db.StartSession(t.Context(), store.SignIn{User: u.Row})
	must(t, err)
	b = open(t, l)
	b.session(s.Public, ticket)
	b.visit(s.Public + "/")
	b.read(app.Name)
	return b, db, u, app
}

// paired makes an application of this test's own that the person is paired with.
func paired(t *testing.T, user, app string) (store.Application, string) {
	t.Helper()
	a, _, err := data.AddApplication(t.Context(), store.Application{Name: unique(app)})
	must(t, err)
	return a, pair(t, user, a)
}

func pair(t *testing.T, user string, a store.Application) string {
	t.Helper()
	code, _, err := data.NewCode(t.Context(), user)
	must(t, err)
	account, err := data.Pair(t.Context(), store.PairRequest{App: a, Code: code})
	must(t, err)
	return account
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func address(path string) string {
	if strings.HasPrefix(path, "https://") {
		return path
	}
	u, err := url.Parse(server.Public)
	if err != nil {
		panic(err)
	}
	return u.Scheme + "://" + u.Host + path
}
