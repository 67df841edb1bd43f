// Package browser drives real Chromium against the real latch-server: every page, as a person with a phone or a desk sees it.
//
// The package has one server and one browser process; each test has people of its own and a browser context of its own
// (cookies, storage, service workers), so that tests run at the same time. LATCH_SHOTS=DIR keeps pictures of the pages.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	data   *store.Store    // the server's database, opened beside it as its commands do
	chrome context.Context
	axe    string // axe-core's source
)

func TestMain(m *testing.M) {
	os.Exit(fixture.Main(m, tearDown, findArtefacts, startServer, startBrowser))
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

func startServer() error {
	dir, err := os.MkdirTemp("", "latch-browser")
	if err != nil {
		return err
	}
	if server, err = fixture.StartServer(built.Server, filepath.Join(dir, "data")); err != nil {
		return err
	}
	if err := server.Publish(host); err != nil {
		return err
	}
	if frail, err = fixture.StartServer(built.Server, filepath.Join(dir, "frail")); err != nil {
		return err
	}
	if err := frail.Publish(host); err != nil {
		return err
	}
	data, err = store.Open(server.Data, store.Options{})
	return err
}

// startBrowser starts Chromium, which trusts the server's own authority and finds its name on loopback.
func startBrowser() error {
	var pins []string
	for _, s := range []*fixture.Server{server, frail} {
		pin, err := authorityPin(s.CA)
		if err != nil {
			return err
		}
		pins = append(pins, pin)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.NoSandbox, // it refuses to have one as root
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(pins, ",")),
		chromedp.Flag("host-resolver-rules", "MAP "+host+" 127.0.0.1"),
		chromedp.Flag("lang", "en"),
		chromedp.Flag("font-render-hinting", "none"),
	)
	allocated, _ := chromedp.NewExecAllocator(context.Background(), options...)
	chrome, _ = chromedp.NewContext(allocated)
	return chromedp.Run(chrome)
}

// authorityPin is the SHA-256 of the public key in a certificate file, as Chromium's flag takes it.
func authorityPin(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", fmt.Errorf("%s holds no certificate", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

func tearDown() {
	chromedp.Cancel(chrome)
	data.Close()
	for _, s := range []*fixture.Server{server, frail} {
		if err := s.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// patience is how long anything may take to appear: generous, since nothing is measured by it.
const patience = 60 * time.Second

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
