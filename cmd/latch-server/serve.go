package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/eventlog"
	"github.com/latch-linux/latch/pkg/server/httpapi"
	"github.com/latch-linux/latch/pkg/server/pages"
	"github.com/latch-linux/latch/pkg/server/store"
)

type serveOptions struct {
	listen, cert, key string
	url               string
	selfSigned, debug bool
	log               string
	acme              acmeOptions
	proxies           []string
	proxyProtocol     bool
}

func (o *serveOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.listen, "listen", ":8443", "address to listen on; port 0 takes a free one")
	c.Flags().BoolVar(&o.selfSigned, "tls-self-signed", false, "use a certificate of our own authority, DATA/ca.pem")
	c.Flags().StringVar(&o.cert, "tls-cert", "", "certificate chain, PEM; read again when it changes")
	c.Flags().StringVar(&o.key, "tls-key", "", "its key, PEM")
	c.Flags().StringVar(&o.url, "url", "", "address that hosts and people use, https://NAME[:PORT]; stored, as with init")
	c.Flags().StringVar(&o.log, "log", eventlog.FormatAuto, "form of the log: "+strings.Join(eventlog.Formats(), ", "))
	c.Flags().StringSliceVar(&o.proxies, "trusted-proxy", nil, "network of a reverse proxy whose X-Forwarded-For names the client, as 10.0.0.0/8; repeatable")
	c.Flags().BoolVar(&o.proxyProtocol, "proxy-protocol", false, "the trusted proxies pass TLS through with the PROXY protocol; nobody else may connect")
	c.Flags().BoolVar(&o.debug, "debug", false, "log every request")
	o.acme.flags(c)
}

func (o *serveOptions) check() error {
	if (o.cert == "") != (o.key == "") {
		return cli.Usage("--tls-cert and --tls-key go together")
	}
	ways := 0
	for _, way := range []bool{o.selfSigned, o.cert != "", o.acme.on} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return cli.Usage("give one of --tls-self-signed, --acme, or --tls-cert and --tls-key")
	}
	if err := o.acme.check(); err != nil {
		return err
	}
	if !slices.Contains(eventlog.Formats(), o.log) {
		return cli.Usage("--log takes %s, not %q", strings.Join(eventlog.Formats(), ", "), o.log)
	}
	if _, err := httpapi.ParseProxies(o.proxies); err != nil {
		return cli.Usage("--trusted-proxy: %s", err)
	}
	if o.proxyProtocol && len(o.proxies) == 0 {
		return cli.Usage("--proxy-protocol needs --trusted-proxy")
	}
	if o.url == "" {
		return nil
	}
	if err := checkURL(o.url); err != nil {
		return cli.WithHint(cli.ExitUsage, err, "")
	}
	return nil
}

func newServe(p *program) *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "answer hosts, over TLS, until told to stop",
		Long: `serve answers the Latch API. When it is ready it prints one line on standard output:

  latch-server: ready at https://…

The certificate is one of our own authority (--tls-self-signed), one from files, or one that an
authority gives for the name in the stored url by ACME (--acme): the server then has to be reached at
port 443 (--listen :443), or at port 80 as well with --acme-http :80.

Its log goes to standard error: one line for every attempt, change and act, and what goes wrong. Where
standard error is systemd's journal each line is a JSON object; --log json, text and syslog (the local
socket, facility authpriv) say so themselves. No answer waits for those lines, and none is lost: what
was not written yet is written after the next start.

Behind a reverse proxy every client has the proxy's address, and one stranger's wrong passwords would
pause everybody's sign-in. --trusted-proxy NETWORK takes the client's address from X-Forwarded-For of
that proxy, read from the right; --proxy-protocol from the PROXY protocol, where TLS is passed through.
Without them both are ignored.

SIGTERM and SIGINT end it after the requests under way. Called by root, it gives up root for the
owner of the data directory once it listens; called by another user, it gives up its capabilities.
` + cli.ExitHelp,
		Example: "  latch-server serve --listen :8443 --tls-self-signed\n  latch-server serve --listen :443 --acme --acme-email ops@example.org",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.serve(c.Context(), o)
		},
	}
	o.flags(c)
	return c
}

// gcPercent keeps a server with a million accounts and 500 open pages under 100 MiB; Go's default takes some 10 MiB more.
const gcPercent = 75

func (p *program) serve(ctx context.Context, o serveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	challenges, err := o.acme.listen()
	if err != nil {
		return err
	}
	if challenges != nil {
		defer challenges.Close()
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	return p.withStore(func(s store.Backend) error {
		level := slog.LevelInfo
		if o.debug {
			level = slog.LevelDebug
		}
		lines, err := eventlog.NewHandler(o.log, p.Err, level)
		if err != nil {
			return err
		}
		if o.url != "" {
			if err := s.SetSetting(ctx, store.SettingURL, o.url); err != nil {
				return err
			}
		}
		r := &running{program: p, options: o, store: s, log: slog.New(lines), listener: l, challenges: challenges}
		return r.serve(ctx)
	})
}

// running is a server that listens, on its open database.
type running struct {
	*program
	options    serveOptions
	store      store.Backend
	log        *slog.Logger
	listener   net.Listener
	challenges net.Listener // for HTTP-01, nil without
}

// serve answers until ctx is done. What goes on beside the answers ends after them, so that all of them are logged.
func (r *running) serve(ctx context.Context) error {
	public, err := publicURL(r.store)
	if err != nil {
		return err
	}
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	conf, err := r.tlsConfig(beside, &work, public)
	if err != nil {
		return err
	}
	site, err := pages.New(pages.Options{Store: r.store, Log: r.log, URL: public.String(), SelfSigned: r.options.selfSigned, Stopping: ctx})
	if err != nil {
		return err
	}
	work.Go(func() { eventlog.Run(beside, r.data, r.store, r.log.Handler(), r.warn("journal")) })
	work.Go(func() { site.Deliver(beside) })
	work.Go(func() { upkeep(beside, r.store, r.warn("upkeep")) })
	ready := listenURL(r.listener.Addr())
	if err := r.reportReady(ready, public); err != nil {
		return err
	}
	proxies, err := httpapi.ParseProxies(r.options.proxies)
	if err != nil {
		return err
	}
	return httpapi.New(httpapi.Options{Store: r.store, Log: r.log, Pages: site, Proxies: proxies,
		ProxyProtocol: r.options.proxyProtocol}).Serve(ctx, r.listener, conf)
}

// reportReady says where the server is reached, by its stored address too, and what hosts compare its authority with.
func (r *running) reportReady(ready string, public *url.URL) error {
	fields := map[string]any{"url": ready, "stored_url": public.String()}
	digest, err := r.authorityDigest()
	if err != nil {
		return err
	}
	if digest != "" {
		fields["ca_sha256"] = digest
	}
	if err := r.Report(fields, "latch-server: ready at %s", ready); err != nil || r.JSON {
		return err
	}
	if public.Host != "" {
		r.Say("stored url: %s", public)
	}
	if digest != "" {
		r.Say("SHA-256 of the CA: %s", digest)
	}
	return nil
}

// authorityDigest is the SHA-256 of the server's own authority, as latch setup shows it; "" where another one is used.
func (r *running) authorityDigest() (string, error) {
	if !r.options.selfSigned {
		return "", nil
	}
	data, err := os.ReadFile(filepath.Join(r.data, httpapi.CAFile))
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return "", fmt.Errorf("%s holds no certificate", httpapi.CAFile)
	}
	sum := sha256.Sum256(block.Bytes)
	return fingerprint(sum[:]), nil
}

// fingerprint writes a digest as openssl does: capital hex, bytes divided by colons.
func fingerprint(sum []byte) string {
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// warn logs what is tried again by itself.
func (r *running) warn(what string) func(error) {
	return func(err error) { r.log.Warn(what, "error", err) }
}

func (r *running) tlsConfig(beside context.Context, work *sync.WaitGroup, public *url.URL) (*tls.Config, error) {
	switch o := r.options; {
	case o.selfSigned:
		return httpapi.SelfSigned(r.data, httpapi.LeafNames(r.listener.Addr(), public.Hostname()), time.Now)
	case o.acme.on:
		return r.acme(beside, work, public)
	default:
		return httpapi.FromFiles(o.cert, o.key, time.Now, func(err error) {
			r.log.Error("certificate not taken", "error", err)
		})
	}
}

// publicURL is the stored address, an empty one if none is.
func publicURL(s store.Backend) (*url.URL, error) {
	text, err := s.Setting(store.SettingURL)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("stored url: %w", err)
	}
	return u, nil
}

// listenURL is where the server can be reached on this machine.
func listenURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "https://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(host, port)
}
