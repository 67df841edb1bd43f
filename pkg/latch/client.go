// Package latch is the client of the Latch API. One context bounds each call, name lookup and retries
// included. Nothing is taken from the environment: trust and routing come from Options alone. Every error is an
// *Error, whose Kind says whether there was no answer, a wrong one, or a fault of this machine.
package latch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/version"
)

// Limits of an answer.
const (
	maxBody    = 64 << 10
	maxHeaders = 16 << 10
)

// Backoff between tries: doubled from the first to the last, each with jitter.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

// Options say whom to ask and how.
type Options struct {
	Host        *url.URL // scheme https
	Credentials api.Credentials
	APIVersion  string
	Retries     int               // of what provably did not reach the server, and of 429 and 503
	CAFile      string            // PEM; replaces the system's CAs
	Proxy       *url.URL          // HTTP CONNECT; nil for none
	Context     map[string]string // extra signed headers, see api.HeaderHost
	Now         func() time.Time  // nil for time.Now
}

// Client asks one server for one application. It is safe for use by several goroutines.
type Client struct {
	options Options
	http    *http.Client
	local   atomic.Pointer[error] // a fault of this machine that the resolver would hide
	offset  atomic.Int64          // what the server's clock is ahead of ours, once it has complained
	skew    atomic.Int64          // the same by the latest answer
}

// New checks the options. It sends nothing.
func New(o Options) (*Client, error) {
	if o.Host == nil || o.Host.Scheme != "https" || o.Host.Host == "" {
		return nil, &Error{Kind: KindLocal, Err: errors.New("the server's address is not https")}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{options: o}
	trust := &roots{file: o.CAFile}
	dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: c.dialNameServer}}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     true,
		// On a reused connection net/http repeats a request by itself, and every status call may make a token.
		DisableKeepAlives: true,
		TLSNextProto:      map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig:   trust.config(o.Host.Hostname(), o.Now),
	}
	if o.Proxy != nil {
		transport.Proxy = http.ProxyURL(o.Proxy)
	}
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	trust.prefetch()
	return c, nil
}

// Offset returns by how much the server's clock is ahead of this machine's, 0 while nothing is known: it is
// learnt when the server refuses a date.
func (c *Client) Offset() time.Duration { return time.Duration(c.offset.Load()) }

// Skew returns by how much the server's clock was ahead of this machine's when it answered last, as far as HTTP's
// Date header tells, which has whole seconds.
func (c *Client) Skew() time.Duration { return time.Duration(c.skew.Load()) }

// dialNameServer notes a fault of this machine: net.DNSError keeps only its text.
func (c *Client) dialNameServer(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil && isLocal(err) {
		c.local.Store(&err)
	}
	return conn, err
}

// call makes one signed call and returns the raw data of its answer. The date is corrected once if the server
// says that it is too old or too new.
func (c *Client) call(ctx context.Context, method string, params url.Values, segments ...string) (answer, error) {
	a, err := c.send(ctx, method, params, segments)
	var e *Error
	if !errors.As(err, &e) || e.Code != api.ErrCodeExpired || e.date.IsZero() {
		return a, err
	}
	c.offset.Store(int64(e.date.Sub(c.options.Now())))
	return c.send(ctx, method, params, segments)
}

func (c *Client) send(ctx context.Context, method string, params url.Values, segments []string) (answer, error) {
	path := api.Path(c.options.APIVersion, segments...)
	c.local.Store(nil)
	t := &try{}
	req, err := c.request(httptrace.WithClientTrace(ctx, t.trace()), method, path, params)
	if err != nil {
		return answer{}, &Error{Kind: KindLocal, Err: err}
	}
	resp, err := c.retrying(t).Do(req)
	if err != nil {
		return answer{}, t.weigh(c.classify(err, t))
	}
	defer resp.Body.Close()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.skew.Store(int64(date.Sub(c.options.Now().Truncate(time.Second))))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return answer{}, t.weigh(classifyBody(err))
	}
	return readAnswer(resp, body)
}

func (c *Client) request(ctx context.Context, method, path string, params url.Values) (*retryablehttp.Request, error) {
	target := url.URL{Scheme: c.options.Host.Scheme, Host: c.options.Host.Host}
	body := ""
	if method == http.MethodPost || method == http.MethodPut {
		body = api.EncodeParams(params)
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, target.String()+path, []byte(body))
	if err != nil {
		return nil, err
	}
	if req.URL.RequestURI() != path {
		return nil, fmt.Errorf("%q cannot stand in a path", path) // the request line must be the signed bytes
	}
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	date := c.options.Now().Add(c.Offset()).UTC().Format(api.DateLayout)
	var signed url.Values
	if body != "" {
		signed = params
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("User-Agent", "latch-linux/"+version.String())
	req.Header.Set(api.HeaderDate, date)
	extra := map[string]string{}
	for name, value := range c.options.Context {
		extra[name] = headerValue(value)
		req.Header.Set(name, extra[name])
	}
	req.Header.Set(api.HeaderAuthorization, api.Sign(c.options.Credentials, method, path, extra, signed, date))
	return req, nil
}

// headerValue makes a text fit into a header: printable ASCII, without outer blanks, of at most 256 bytes.
func headerValue(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return strings.TrimSpace(s[:min(len(s), 256)])
}

// try is what is known of the latest attempt.
type try struct {
	reached   atomic.Bool // somebody accepted the connection: from here on what is wrong was said by a peer
	connected atomic.Bool // TLS included: from here on the request may have reached the server
	limited   atomic.Bool // of any attempt: the server has answered 429
}

func (t *try) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:           func(string) { t.reached.Store(false); t.connected.Store(false) },
		TLSHandshakeStart: func() { t.reached.Store(true) },
		GotConn:           func(httptrace.GotConnInfo) { t.connected.Store(true) },
	}
}

// weigh judges a last attempt that brought no answer by what came before it. A server that said 429 did answer:
// whoever can use up its limit must not get what is meant for a server that is down.
func (t *try) weigh(e *Error) error {
	if e.Kind == KindNoAnswer && t.limited.Load() {
		return &Error{Kind: KindErrorAnswer, Err: fmt.Errorf("HTTP status 429, then: %w", e.Err)}
	}
	return e
}

func (c *Client) retrying(t *try) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient:   c.http,
		Logger:       nil,
		RetryMax:     c.options.Retries,
		RetryWaitMin: firstBackoff,
		RetryWaitMax: lastBackoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			return t.again(ctx, resp, err), nil
		},
		Backoff: func(least, most time.Duration, n int, resp *http.Response) time.Duration {
			return backoff(least, most, n, resp)
		},
	}
}

// again decides whether to try again: only what did not reach the server, or what the server itself put off.
func (t *try) again(ctx context.Context, resp *http.Response, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		return !t.connected.Load() && !isLocal(err) && !isCertificate(err)
	}
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return false
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		t.limited.Store(true)
	}
	end, bounded := ctx.Deadline()
	return !bounded || time.Until(end) > retryAfter(resp)
}

// backoff waits as long as the server says, or exponentially with jitter.
func backoff(least, most time.Duration, n int, resp *http.Response) time.Duration {
	if resp != nil {
		if wait := retryAfter(resp); wait > 0 {
			return wait
		}
	}
	ceiling := min(least<<min(n, 16), most)
	return ceiling/2 + rand.N(ceiling/2)
}

// retryAfter reads seconds or a date, 0 for none.
func retryAfter(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return time.Duration(min(n, 3600)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}
