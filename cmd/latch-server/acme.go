package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/httpapi"
)

// acmeDir is where the account's key and the certificates lie, in the data directory. A lost one is had again.
const acmeDir = "acme"

type acmeOptions struct {
	on                            bool
	email, directory, caFile, via string
}

func (o *acmeOptions) flags(c *cobra.Command) {
	c.Flags().BoolVar(&o.on, "acme", false, "get a certificate for the url's name from Let's Encrypt, or from --acme-directory")
	c.Flags().StringVar(&o.email, "acme-email", "", "e-mail address that the authority may write to")
	c.Flags().StringVar(&o.directory, "acme-directory", "", "address of another authority's ACME directory, https://…")
	c.Flags().StringVar(&o.caFile, "acme-ca", "", "PEM file of the CA to trust that directory by, instead of the system's")
	c.Flags().StringVar(&o.via, "acme-http", "", "address to answer HTTP-01 challenges on besides, as :80; the rest goes to the url")
}

func (o *acmeOptions) check() error {
	if !o.on && (o.email != "" || o.directory != "" || o.caFile != "" || o.via != "") {
		return cli.Usage("--acme-email, --acme-directory, --acme-ca and --acme-http need --acme")
	}
	if o.directory == "" {
		return nil
	}
	if u, err := url.Parse(o.directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return cli.Usage("--acme-directory takes an https address, not %q", o.directory)
	}
	return nil
}

// listen opens the port of HTTP-01, nil where none is asked for.
func (o *acmeOptions) listen() (net.Listener, error) {
	if o.via == "" {
		return nil, nil
	}
	return net.Listen("tcp", o.via)
}

// acme begins to get a certificate, and answers the authority's challenges meanwhile.
func (r *running) acme(beside context.Context, work *sync.WaitGroup, public *url.URL) (*tls.Config, error) {
	o := r.options.acme
	a, err := httpapi.NewACME(httpapi.ACMEOptions{Cache: filepath.Join(r.data, acmeDir), Host: public.Hostname(), Email: o.email,
		Directory: o.directory, CAFile: o.caFile, Log: r.log})
	if err != nil {
		return nil, err
	}
	if r.challenges != nil {
		challenges := a.Challenges(public.String())
		work.Go(func() {
			if err := a.ServeClear(beside, r.challenges, challenges); err != nil {
				r.log.Error("acme", "error", err)
			}
		})
	}
	work.Go(func() { a.Fetch(beside) })
	return a.Config(), nil
}
