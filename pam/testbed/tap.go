package testbed

import (
	"bytes"
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
	"regexp"
	"sync"
)

// Tap stands between hosts and a latch-server and sees every answer: it counts questions, and it is the phone that a
// one-time token appears on.
type Tap struct {
	URL string
	CA  string // the file with the certificate that hosts trust for it

	proxy *httptest.Server
	mu    sync.Mutex
	count int
	token string
}

var tokenPattern = regexp.MustCompile(`"token":"([A-Za-z0-9]+)"`)

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
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	if match := tokenPattern.FindSubmatch(body); match != nil {
		t.token = string(match[1])
	}
	return nil
}

// Questions returns how many requests were answered so far.
func (t *Tap) Questions() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// Token returns the newest one-time token, or "" when none was seen.
func (t *Tap) Token() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token
}

// Close ends the tap.
func (t *Tap) Close() { t.proxy.Close() }
