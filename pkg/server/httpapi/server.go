// Package httpapi answers the Latch API from a store.
//
// Handlers return data or an error; one writer renders both (respond.go). Every request under /api/
// passes the same guard, which bounds it, verifies its signature over the raw request and only then
// calls the handler (auth.go).
package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// Limits of one connection and one request. A slow or greedy client loses its connection and costs
// nobody else anything.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second // the store may wait 10 s for another process
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	maxBody       = 32 << 10
	stopTimeout   = 15 * time.Second // for requests under way at a graceful stop
)

// Options of a server.
type Options struct {
	Store store.Backend
	Now   func() time.Time // the clock that dates are checked by; nil means the system's
	Log   *slog.Logger     // nil means none
	Pages http.Handler     // answers everything outside /api/; nil means that there is nothing

	Proxies       Proxies // reverse proxies whose X-Forwarded-For counts
	ProxyProtocol bool    // they speak the PROXY protocol before TLS, and nobody else may connect
}

// Server is the HTTP side of latch-server.
type Server struct {
	store store.Backend
	now   func() time.Time
	log   *slog.Logger
	mux   *http.ServeMux
	pages http.Handler

	proxies       Proxies
	proxyProtocol bool

	strangers *sparingly // lines about requests that nobody signed
}

// strangerLines is how many log lines a minute requests get that nobody signed.
const strangerLines = 100

// New returns a server that answers from o.Store.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{store: o.Store, now: o.Now, log: o.Log, mux: http.NewServeMux(), pages: o.Pages, proxies: o.Proxies,
		proxyProtocol: o.ProxyProtocol}
	s.strangers = &sparingly{log: o.Log, limit: strangerLines, now: time.Now}
	s.routes()
	return s
}

// ServeHTTP answers one request. What is not the API is the pages'. Of the API, nothing of an unclean path is corrected:
// a redirect would be answered unsigned. HEAD would do what GET does, pair and lock included, and show nothing.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.pages != nil && !strings.HasPrefix(r.URL.Path, "/api/") {
		s.pages.ServeHTTP(w, r)
		return
	}
	if r.Method == http.MethodHead || !cleanPath(r.URL.Path) {
		s.notFound(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// httpServer has every limit set: none of Go's defaults ends a slow client. It speaks HTTP/1.1 alone where there are no
// pages: no client of the API asks for more.
func (s *Server) httpServer(conf *tls.Config) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.pages != nil)
	return &http.Server{
		Protocols:         protocols,
		HTTP2:             http2Limits(),
		ConnContext:       withBodySlot,
		Handler:           oneBody(s.proxies.handler(s)),
		TLSConfig:         conf,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true,
	}
}

// Serve answers on l, over TLS as conf says, until ctx is done; then it finishes the requests under
// way and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener, conf *tls.Config) error {
	limited := limitConnections(l, connectionLimit(), s.log)
	limited.proxies = s.proxies
	srv := s.httpServer(limited.negotiate(conf))
	ended := make(chan error, 1)
	go func() { ended <- srv.ServeTLS(s.behindProxy(limited), "", "") }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("stop: %w", err), srv.Close())
	}
	return nil
}
