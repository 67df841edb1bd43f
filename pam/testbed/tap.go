package testbed

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// Tap stands between hosts and a latch-server and counts the questions that it answers.
type Tap struct {
	URL string
	CA  string // the file with the certificate that hosts trust for it

	// Edit may change what the server answers; nil changes nothing. It is set while no question is asked.
	Edit func(*http.Response) error
	Loud bool // silent questions are refused, as where the application's plan has none

	proxy *httptest.Server
	count atomic.Int64
}

// StartTap starts a tap in front of s. Its certificate is written to the file ca.
func StartTap(s *Server, ca string) (*Tap, error) {
	target, err := url.Parse(s.URL)
	if err != nil {
		return nil, err
	}
	trusted, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	t := &Tap{CA: ca}
	t.proxy = httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		ModifyResponse: t.see,
		ErrorLog:       log.New(io.Discard, "", 0),
	})
	t.proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.proxy.StartTLS()
	t.URL = t.proxy.URL
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: t.proxy.Certificate().Raw})
	return t, os.WriteFile(ca, certificate, 0o644)
}

func (t *Tap) see(answer *http.Response) error {
	t.count.Add(1)
	if t.Loud && strings.HasSuffix(answer.Request.URL.Path, "/silent") {
		const refusal = `{"error":{"code":701,"message":"not in this plan"}}`
		answer.Body, answer.ContentLength = io.NopCloser(strings.NewReader(refusal)), int64(len(refusal))
		answer.Header.Set("Content-Length", strconv.Itoa(len(refusal)))
	}
	if t.Edit != nil {
		return t.Edit(answer)
	}
	return nil
}

// Questions returns how many requests were answered so far.
func (t *Tap) Questions() int { return int(t.count.Load()) }

// Close ends the tap.
func (t *Tap) Close() { t.proxy.Close() }
