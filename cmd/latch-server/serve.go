package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server"
	"github.com/latch-linux/latch/pkg/store"
	"github.com/latch-linux/latch/pkg/web"
)

type serveOptions struct {
	listen, cert, key string
	url               string
	selfSigned, debug bool
}

func (o *serveOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.listen, "listen", ":8443", "address to listen on; port 0 takes a free one")
	c.Flags().BoolVar(&o.selfSigned, "tls-self-signed", false, "use a certificate of our own authority, DATA/ca.pem")
	c.Flags().StringVar(&o.cert, "tls-cert", "", "certificate chain, PEM; read again when it changes")
	c.Flags().StringVar(&o.key, "tls-key", "", "its key, PEM")
	c.Flags().StringVar(&o.url, "url", "", "address that hosts and people use, https://NAME[:PORT]; stored, as with init")
	c.Flags().BoolVar(&o.debug, "debug", false, "log every request")
}

func (o *serveOptions) check() error {
	if (o.cert == "") != (o.key == "") {
		return cli.Usage("--tls-cert and --tls-key go together")
	}
	if o.selfSigned == (o.cert != "") {
		return cli.Usage("give either --tls-self-signed or --tls-cert and --tls-key")
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

Its log goes to standard error. SIGTERM and SIGINT end it after the requests under way.
Called by root, it gives up root for the owner of the data directory once it listens.
` + cli.ExitHelp,
		Example: "  latch-server serve --listen :8443 --tls-self-signed",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.serve(c.Context(), o)
		},
	}
	o.flags(c)
	return c
}

func (p *program) serve(ctx context.Context, o serveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	return p.withStore(func(s *store.Store) error {
		level := slog.LevelInfo
		if o.debug {
			level = slog.LevelDebug
		}
		log := slog.New(slog.NewTextHandler(p.Err, &slog.HandlerOptions{Level: level}))
		if o.url != "" {
			if err := s.SetSetting(ctx, store.SettingURL, o.url); err != nil {
				return err
			}
		}
		public, err := publicURL(s)
		if err != nil {
			return err
		}
		conf, err := p.tlsConfig(o, l.Addr(), public.Hostname(), log)
		if err != nil {
			return err
		}
		pages, err := web.New(web.Options{Store: s, Log: log, URL: public.String(), SelfSigned: o.selfSigned, Stopping: ctx})
		if err != nil {
			return err
		}
		ready := listenURL(l.Addr())
		if err := p.Report(map[string]any{"url": ready}, "latch-server: ready at %s", ready); err != nil {
			return err
		}
		return server.New(server.Options{Store: s, Log: log, Pages: pages}).Serve(ctx, l, conf)
	})
}

func (p *program) tlsConfig(o serveOptions, addr net.Addr, public string, log *slog.Logger) (*tls.Config, error) {
	if o.selfSigned {
		return server.SelfSigned(p.data, server.LeafNames(addr, public), time.Now)
	}
	return server.FromFiles(o.cert, o.key, time.Now, func(err error) {
		log.Error("certificate not taken", "error", err)
	})
}

// publicURL is the stored address, an empty one if none is.
func publicURL(s *store.Store) (*url.URL, error) {
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
