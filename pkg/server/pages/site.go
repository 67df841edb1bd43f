// Package pages is the part of latch-server that people see: pages that work with a browser alone, and a little
// JavaScript on top of them.
//
// Every area (latches, sign-in, the admin's panel …) has files of its own: AREA.go with its routes and handlers,
// templates/AREA*.html, messages/LANGUAGE/AREA.json, static/css/AREA.css and static/js/AREA.js. A page is a handler
// that fills a template; a form is a POST that answers with a redirect. What a page shows is read from the store
// for each request: other processes write there too.
package pages

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/password"
	"github.com/latch-linux/latch/pkg/server/store"
)

// Options of a site.
type Options struct {
	Store store.Backend
	Now   func() time.Time // nil means the system's clock
	Log   *slog.Logger     // nil means none

	Passwords *password.Hasher // nil means one of the recommended cost

	// URL is the stored address, https://NAME[:PORT]: the only source of links, of the cookies' host and of the
	// passkeys' relying party. Without one every page says how to set it.
	URL string
	// SelfSigned says that browsers do not trust the certificate by themselves: no HSTS, and pages name what will not work.
	SelfSigned bool
	// Stopping is done when the server begins to stop, so that pages which are kept open end then. nil means never.
	Stopping context.Context
}

// Site answers everything that is not the Latch API.
type Site struct {
	store      store.Backend
	now        func() time.Time
	log        *slog.Logger
	public     *url.URL // nil without a stored address
	selfSigned bool
	stopping   context.Context
	hasher     *password.Hasher
	passkeys   *webauthn.WebAuthn // nil where the address can have none

	mux      *http.ServeMux
	patterns []string // of all routes that handle registered
	cross    *http.CrossOriginProtection
	pages    *pages
	texts    *catalogue
	static   *static

	notices *notify.Sender

	streams  streams
	pace     pace
	searches sync.Map // rows of the people who search their history for a text
}

// New returns a site that answers from o.Store. An error means that what is embedded, or o.URL, is at fault.
func New(o Options) (*Site, error) {
	s := &Site{store: o.Store, now: o.Now, log: o.Log, selfSigned: o.SelfSigned, stopping: o.Stopping, pace: usualPace,
		hasher: o.Passwords,
		mux:    http.NewServeMux(), cross: http.NewCrossOriginProtection()}
	if s.now == nil {
		s.now = time.Now
	}
	if s.hasher == nil {
		s.hasher = password.NewHasher(password.Recommended)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.stopping == nil {
		s.stopping = context.Background()
	}
	if err := s.setURL(o.URL); err != nil {
		return nil, err
	}
	var err error
	if s.texts, err = loadCatalogue(); err != nil {
		return nil, err
	}
	if s.static, err = loadStatic(); err != nil {
		return nil, err
	}
	if s.pages, err = loadPages(s.texts, s.static); err != nil {
		return nil, err
	}
	s.notices = notify.New(notify.Options{Store: s.store, URL: o.URL, Now: s.now, Log: s.log, Words: words{s.texts}})
	s.routes()
	return s, nil
}

func (s *Site) setURL(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("stored url: %w", err)
	}
	if err := s.cross.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return fmt.Errorf("stored url: %w", err)
	}
	s.public = u
	s.passkeys, err = newPasskeys(u)
	return err
}

// routes lists the areas. Each adds its own in AREA.go.
func (s *Site) routes() {
	for _, area := range []func(){
		s.shellRoutes,
		s.latchesRoutes,
		s.historyRoutes,
		s.settingsRoutes,
		s.welcomeRoutes,
		s.pwaRoutes,
		s.adminRoutes,
		s.signinRoutes,
		s.passkeyRoutes,
		s.proveRoutes,
		s.linksRoutes,
		s.lostRoutes,
		s.accountRoutes,
		s.factorsRoutes,
		s.codesRoutes,
		s.noticesRoutes,
		s.liveRoutes,
		s.servicesRoutes,
		s.hostcodeRoutes,
		s.tokensRoutes,
		s.scheduleRoutes,
	} {
		area()
	}
}

// link is the public address of a path of this site.
func (s *Site) link(path string) string { return s.public.Scheme + "://" + s.public.Host + path }
