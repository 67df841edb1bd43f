package httpapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACMEOptions say from whom a certificate is had, and for which name.
type ACMEOptions struct {
	Cache     string // directory of the account's key and of the certificates; made 0700
	Host      string // the one name that a certificate is asked for
	Email     string // of the account; "" gives none
	Directory string // https URL of the authority's directory; "" is Let's Encrypt
	CAFile    string // PEM file of the only CAs that the directory is trusted by; "" means the system's
	Log       *slog.Logger
}

// acmePatience bounds getting the first certificate.
const acmePatience = 5 * time.Minute

// ACME gets a certificate from an authority by RFC 8555 and renews it.
type ACME struct {
	manager *autocert.Manager
	host    string
	log     *slog.Logger
}

// NewACME checks the options. The authority is asked by Fetch, or by the first client.
func NewACME(o ACMEOptions) (*ACME, error) {
	if _, err := netip.ParseAddr(o.Host); o.Host == "" || err == nil || !strings.Contains(o.Host, ".") {
		return nil, fmt.Errorf("acme: a certificate needs a name on the internet, and the server's url has %q; say it with --url https://NAME", o.Host)
	}
	client := &acme.Client{DirectoryURL: o.Directory, UserAgent: "latch-server"}
	if o.Directory == "" {
		client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	var err error
	if client.HTTPClient, err = acmeTransport(o.CAFile); err != nil {
		return nil, err
	}
	return &ACME{host: o.Host, log: o.Log, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(o.Cache), HostPolicy: autocert.HostWhitelist(o.Host), Email: o.Email, Client: client,
	}}, nil
}

// acmeTransport trusts the CAs of a file alone, if one is named.
func acmeTransport(caFile string) (*http.Client, error) {
	client := &http.Client{Timeout: time.Minute}
	if caFile == "" {
		return client, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("acme: %q holds no certificate in PEM", caFile)
	}
	client.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool}}
	return client, nil
}

// Config answers TLS clients, and the authority's TLS-ALPN-01 challenge.
func (a *ACME) Config() *tls.Config {
	conf := tlsConfig(a.manager.GetCertificate)
	conf.NextProtos = []string{acme.ALPNProto}
	return conf
}

// Fetch gets the certificate before the first client waits for it, and logs what became of it.
func (a *ACME) Fetch(ctx context.Context) {
	got := make(chan error, 1)
	go func() {
		_, err := a.manager.GetCertificate(&tls.ClientHelloInfo{ServerName: a.host,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}) // says that the client takes ECDSA
		got <- err
	}()
	var err error
	select {
	case err = <-got:
	case <-ctx.Done():
		return
	case <-time.After(acmePatience):
		err = errors.New("no answer in time")
	}
	if err != nil {
		a.log.Error("no certificate by ACME; it is asked for again when a client comes", "host", a.host, "error", err)
		return
	}
	a.log.Info("certificate by ACME is there", "host", a.host)
}

// Challenges answers HTTP-01 challenges, and sends everybody else to public, the server's address. Called before Fetch, it
// offers the authority that way too.
func (a *ACME) Challenges(public string) http.Handler {
	inner := a.manager.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, public+(&url.URL{Path: r.URL.Path, RawQuery: r.URL.RawQuery}).RequestURI(), http.StatusFound)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = strings.TrimSuffix(r.Host, ":80") // some authorities say the port, and the name alone is known
		inner.ServeHTTP(w, r)
	})
}

// ServeClear serves h on l without TLS until ctx is done.
func (a *ACME) ServeClear(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadTimeout: headerTimeout, WriteTimeout: readTimeout, IdleTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), DisableGeneralOptionsHandler: true,
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(limitConnections(l, connectionLimit()/8, a.log)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http-01: %w", err)
	}
	return nil
}
