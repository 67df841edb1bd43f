package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/version"
)

// Limits of one receiver.
const (
	dialLimit     = 5 * time.Second
	tlsLimit      = 5 * time.Second
	answerLimit   = 10 * time.Second
	maxAnswer     = 4 << 10 // of a body that is looked at
	maxAnswerHead = 16 << 10
	maxAddress    = 2048 // of a receiver's address, in bytes
)

// errForbidden is an address that notices must not go to.
var errForbidden = errors.New("address of this machine or of a private network")

// receiverClient talks to receivers that people name. It follows no redirect, uses no proxy, and connects to no address of this
// machine or its networks, whatever a name resolves to at that moment, unless it may.
type receiverClient struct{ http.Client }

func newReceiverClient(roots *x509.CertPool, private bool) *receiverClient {
	dialer := &net.Dialer{Timeout: dialLimit}
	if !private {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return checkAddress(address) }
	}
	return &receiverClient{http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    tlsLimit,
			ResponseHeaderTimeout:  answerLimit,
			MaxResponseHeaderBytes: maxAnswerHead,
			MaxIdleConns:           parallel,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reserved are the networks that are nobody's public address, besides those that package netip knows.
var reserved = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "fec0::/10")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, text := range list {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// checkAddress refuses an address, with its port, that is not on the public Internet. It sees what is connected to, so that a name
// that changes its address between two looks does not get past it.
func checkAddress(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", errForbidden, address)
	}
	a := to.Addr().Unmap().WithZone("")
	bad := !a.IsGlobalUnicast() || a.IsPrivate()
	for _, p := range reserved {
		bad = bad || p.Contains(a)
	}
	if bad {
		return fmt.Errorf("%w: %s", errForbidden, a)
	}
	return nil
}

// CheckURL reports whether notices may be sent to an address that somebody typed: https with a host and no password in it; with
// private also http, for a network of one's own. Where its name leads is seen when it is connected to.
func CheckURL(text string, private bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxAddress:
		return errors.New("not an address")
	case u.Scheme != "https" && (u.Scheme != "http" || !private):
		return errors.New("the address must begin with https://")
	case u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return errors.New("the address needs a host and no password or fragment")
	}
	return nil
}

// Private reports whether receivers may be on this machine and its networks.
func (s *Sender) Private() (bool, error) {
	value, err := s.store.Setting(store.SettingPrivateReceivers)
	return value == "yes", err
}

// post sends a request to a receiver and reads the beginning of its answer.
func (s *Sender) post(r *http.Request) (status int, body []byte, retry time.Duration, problem string) {
	private, err := s.Private()
	if err != nil {
		s.log.Warn("notices", "error", err)
		return 0, nil, 0, ProblemServer
	}
	if CheckURL(r.URL.String(), private) != nil {
		return 0, nil, 0, ProblemForbidden
	}
	client := s.public
	if private {
		client = s.private
	}
	r.Header.Set("User-Agent", "latch-server/"+version.String())
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, 0, problemOf(err)
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return 0, nil, 0, problemOf(err)
	}
	return answer.StatusCode, body, s.retryAfter(answer.Header.Get("Retry-After")), ""
}

// retryAfter reads the header of that name, seconds or a date (RFC 9110, section 10.2.3): at most a day, 0 without a valid one.
func (s *Sender) retryAfter(value string) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(seconds, 24*3600)) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(s.now())
	}
	return min(max(wait, 0), 24*time.Hour)
}

// problemOf finds the word for what went wrong with a connection.
func problemOf(err error) string {
	var name *net.DNSError
	var timeout net.Error
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errForbidden):
		return ProblemForbidden
	case errors.As(err, &name) && name.IsNotFound:
		return ProblemName
	case errors.As(err, &verify), errors.As(err, &record), errors.As(err, &alert), strings.Contains(err.Error(), "server gave HTTP response to HTTPS"):
		return ProblemCertificate
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ProblemTimeout
	}
	return ProblemUnreachable
}

// judge says what an answer's status means for the notice and for the channel.
func judge(status int, retry time.Duration) store.Result {
	switch {
	case status >= 200 && status < 300:
		return store.Result{}
	case status >= 300 && status < 400:
		return store.Result{Problem: ProblemRedirect}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return store.Result{Problem: ProblemDenied}
	case status == http.StatusNotFound, status == http.StatusGone:
		return store.Result{Problem: ProblemMissing}
	case status == http.StatusTooManyRequests:
		return store.Result{Problem: ProblemBusy, After: retry}
	case status >= 500:
		return store.Result{Problem: ProblemServer, After: retry}
	}
	return store.Result{Problem: ProblemRejected, Drop: true}
}
