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
)

// try is what is known of one call's latest attempt.
type try struct {
	reached   atomic.Bool           // somebody accepted the connection: from here on what is wrong was said by a peer
	connected atomic.Bool           // proxy and TLS included: from here on the request may have reached the server
	limited   atomic.Bool           // of any attempt: the server has answered 429
	local     atomic.Pointer[error] // a fault of this machine that another error would hide

	keeps     bool            // the connection stays open after the answer
	transport *http.Transport // with keeps
	over      atomic.Bool     // nothing is connected any more
}

func (t *try) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { t.reached.Store(false); t.connected.Store(false) },
		DNSDone: func(i httptrace.DNSDoneInfo) {
			if i.Err == nil {
				t.local.Store(nil) // another name server has answered
			}
		},
		// Of a host with several addresses net returns one address's error, which may be another's.
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				t.reached.Store(true)
			}
			t.note(err)
		},
		GotConn: func(httptrace.GotConnInfo) { t.connected.Store(true) },
	}
}

// note keeps an error number of this machine.
func (t *try) note(err error) {
	if isFault(err) {
		t.local.Store(&err)
	}
}

// dialNameServer notes a fault of this machine: net.DNSError keeps only its text.
func (t *try) dialNameServer(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	t.note(err)
	if datagrams, ok := conn.(*net.UDPConn); ok {
		return noting{datagrams, t}, err
	}
	return conn, err
}

// noting is a connection to a name server whose packets a firewall, or a full table, of this machine may stop.
type noting struct {
	*net.UDPConn
	try *try
}

func (n noting) Write(b []byte) (int, error) {
	sent, err := n.UDPConn.Write(b)
	n.try.note(err)
	return sent, err
}

// transport serves one call: on a reused connection net/http repeats a request by itself, and every status call
// may make a token.
func (c *Client) transport(t *try) *http.Transport {
	dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: t.dialNameServer}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if t.over.Load() {
				return nil, errOver
			}
			return dialer.DialContext(ctx, network, address)
		},
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     true,
		DisableKeepAlives:      !t.keeps,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{},
		TLSClientConfig:        c.trust.config(c.options.Host.Hostname(), c.options.Now),
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
		RetryWaitMin: firstBackoff,
		RetryWaitMax: lastBackoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			return t.again(ctx, resp, err), nil
		},
		Backoff: backoff,
	}
}

// again decides whether to try again: only what did not reach the server, or what the server itself put off.
func (t *try) again(ctx context.Context, resp *http.Response, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		return !t.connected.Load() && kindOfTransport(err, t.reached.Load()) == KindNoAnswer
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
