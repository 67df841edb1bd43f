package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/latch-linux/latch/pkg/client/pollnet"
)

// try is what is known of one call's latest attempt.
type try struct {
	reached   atomic.Bool           // somebody accepted the connection: from here on what is wrong was said by a peer
	connected atomic.Bool           // proxy and TLS included: from here on the request may have reached the server
	limited   atomic.Bool           // of any attempt: the server has answered 429
	fault     atomic.Pointer[error] // of this machine, that another error would hide

	local  *Local
	meter  *pollnet.Meter
	tries  int
	pause  time.Duration // before the next attempt
	before error         // what came of the attempt before, if there was one

	conn      atomic.Pointer[pollnet.Conn]
	keeps     bool            // the connection stays open after the answer
	transport *http.Transport // with keeps
	over      atomic.Bool     // nothing is connected any more
}

func (t *try) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { t.reached.Store(false); t.connected.Store(false) },
		// net/http reads from a connection before it has written the request.
		TLSHandshakeDone: func(tls.ConnectionState, error) { t.owe(true) },
		GotConn:          func(httptrace.GotConnInfo) { t.connected.Store(true) },
		WroteRequest:     func(httptrace.WroteRequestInfo) { t.owe(false) },
	}
}

// owe notes whether the request is still to be sent.
func (t *try) owe(owes bool) {
	if c := t.conn.Load(); c != nil {
		c.Owe(owes)
	}
}

// note keeps an error number of this machine.
func (t *try) note(err error) {
	if isFault(err) {
		t.fault.Store(&err)
	}
}

// cause returns the deadline's verdict where that has ended the connection: net/http may take a text cut short for a wrong one.
// An attempt that had no time to ask says nothing, so what came of the one before stands.
func (t *try) cause(err error) error {
	if c := t.conn.Load(); c != nil && c.Cut() != nil {
		err = c.Cut()
	}
	if errors.Is(err, context.Canceled) && t.meter.Over() {
		err = errStuck
	}
	if errors.Is(err, pollnet.ErrUnsent) && t.before != nil {
		return t.before
	}
	return err
}

func (t *try) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if t.over.Load() {
		return nil, errOver
	}
	t.fault.Store(nil)
	d := &pollnet.Dialer{Names: t.local.names, Meter: t.meter, Note: t.note}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.ConnectStart != nil {
		d.Start = func(address string) { trace.ConnectStart("tcp", address) }
	}
	c, err := d.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	t.reached.Store(true)
	t.conn.Store(c)
	return c, nil
}

// transport serves one call: on a reused connection net/http repeats a request by itself, and every status call
// may make a token.
func (c *Client) transport(t *try) *http.Transport {
	transport := &http.Transport{
		DialContext:            t.dial,
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     true,
		DisableKeepAlives:      !t.keeps,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig:        t.local.trust.config(c.options.Host.Hostname(), c.options.Now),
		OnProxyConnectResponse: weighProxy,
	}
	if c.options.Proxy != nil {
		transport.Proxy = http.ProxyURL(c.options.Proxy)
	}
	if t.keeps {
		t.transport = transport
	}
	return transport
}

// weighProxy judges a proxy's answer to CONNECT as it would be judged if the server had given it: 5xx is how a
// proxy tells that the server does not answer.
func weighProxy(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return badStatus(resp.StatusCode, "the proxy says ")
}

// weigh judges an attempt that brought no answer by what came before it. A server that said 429 did answer:
// whoever can use up its limit must not get what is meant for a server that is down.
func (t *try) weigh(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == KindNoAnswer && t.limited.Load() {
		return &Error{Kind: KindErrorAnswer, Err: fmt.Errorf("HTTP status 429, then: %w", e.Err)}
	}
	return err
}

func (c *Client) retrying(t *try) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     c.transport(t),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger:       nil,
		RetryMax:     c.options.Retries,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			return t.again(ctx, resp, err), nil
		},
		Backoff:      func(time.Duration, time.Duration, int, *http.Response) time.Duration { return 0 },
		PrepareRetry: t.rest,
	}
}

// again decides whether to try again: only what did not reach the server, or what the server itself put off.
func (t *try) again(ctx context.Context, resp *http.Response, err error) bool {
	if err != nil {
		if t.connected.Load() || kindOfTransport(err, t.reached.Load()) != KindNoAnswer {
			return false
		}
	} else {
		err = badStatus(resp.StatusCode, "")
		if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
			return false
		}
		if resp.StatusCode == http.StatusTooManyRequests {
			t.limited.Store(true)
		}
	}
	deadline, bounded := t.meter.Deadline()
	left := time.Until(deadline)
	if t.pause = retryAfter(resp); t.pause == 0 {
		t.pause = backoff(t.tries)
		if bounded {
			t.pause = min(t.pause, left-firstBackoff)
		}
	}
	if ctx.Err() != nil || t.meter.Over() || t.pause <= 0 || bounded && left <= t.pause {
		return false
	}
	t.tries++
	t.before = err
	return true
}

// rest pauses before another try. Where no time is left for one, what came of the last one stands.
func (t *try) rest(req *http.Request) error {
	t.meter.Sleep(req.Context(), t.pause)
	if err := req.Context().Err(); err != nil {
		return err
	}
	if t.meter.Over() {
		return t.before
	}
	return nil
}

// backoff is the pause after n pauses, exponential with jitter.
func backoff(n int) time.Duration {
	ceiling := min(firstBackoff<<min(n, 16), lastBackoff)
	return ceiling/2 + rand.N(ceiling/2)
}

// retryAfter reads seconds or a date, 0 for none.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	value := resp.Header.Get("Retry-After")
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return time.Duration(min(n, 3600)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}
