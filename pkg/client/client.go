// Package client is the client of the Latch API. One context bounds each call, name lookup and retries
// included. Nothing is taken from the environment: trust and routing come from Options alone. Every error is an
// *Error, whose Kind says whether there was no answer, a wrong one, or a fault of this machine.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client/pollnet"
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
	ReadCAFile  ReadFile          // how CAFile is read and trusted; required with CAFile
	Proxy       *url.URL          // HTTP CONNECT; nil for none
	Context     map[string]string // extra signed headers, see api.HeaderHost
	MaxAnswer   int64             // bytes of an answer, 0 for 64 KiB; a history is longer than what a login reads
	Spends      bool              // a token that an answer brings may be told of as typed: see SpendToken
	Now         func() time.Time  // nil for time.Now
	Local       *Local            // nil to have CAFile, or the system's CAs, and the files of name lookups read
}

// ReadFile returns a file's content, at most limit bytes, or refuses a file that this machine does not trust.
type ReadFile func(path string, limit int64) ([]byte, error)

// Client asks one server for one application. It is safe for use by several goroutines.
type Client struct {
	options Options
	local   chan *Local // holds one, once the machine's files have been read
	reading sync.Once
	meter   atomic.Pointer[pollnet.Meter] // of the latest deadline
	offset  atomic.Int64                  // what the server's clock is ahead of ours, once it has complained
	skew    atomic.Pointer[time.Duration] // the same by the latest answer, nil before there was one
	server  atomic.Pointer[string]        // api.HeaderServer of the latest answer, nil before there was one
	kept    atomic.Pointer[try]           // whose connection waits for SpendToken
}

// New checks the options. It sends nothing.
func New(o Options) (*Client, error) {
	if o.Host == nil || o.Host.Scheme != "https" || o.Host.Host == "" {
		return nil, &Error{Kind: KindLocal, Err: errors.New("the server's address is not https")}
	}
	if o.CAFile != "" && o.ReadCAFile == nil {
		return nil, &Error{Kind: KindLocal, Err: errors.New("a CA file without a reader")}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxAnswer == 0 {
		o.MaxAnswer = maxBody
	}
	return &Client{options: o, local: make(chan *Local, 1)}, nil
}

// Prepare reads the files of this machine that calls need, unless Options hold what is in them. A call does so too, but then in
// its own time. A deadline that passes before they have been read is a fault of this machine.
func (c *Client) Prepare(ctx context.Context) error {
	_, err := c.prepared(ctx)
	return err
}

func (c *Client) prepared(ctx context.Context) (*Local, error) {
	c.reading.Do(func() {
		if c.options.Local != nil {
			c.local <- c.options.Local
			return
		}
		go func() { c.local <- ReadLocal(c.options) }()
	})
	select {
	case l := <-c.local:
		c.local <- l
		return l, l.err
	case <-ctx.Done():
		return nil, &Error{Kind: KindLocal, Err: fmt.Errorf("the CA certificates and the files of name lookups were not read in time: %w", ctx.Err())}
	}
}

// Waited returns for how long the calls under one deadline have waited for the network, or paused between two tries.
func (c *Client) Waited(deadline time.Time) time.Duration {
	if m := c.meter.Load(); m != nil {
		if latest, _ := m.Deadline(); latest.Equal(deadline) {
			return m.Waited()
		}
	}
	return 0
}

// meterFor returns the meter of a call. Calls one after the other under one deadline share it.
func (c *Client) meterFor(ctx context.Context) *pollnet.Meter {
	if m := c.meter.Load(); m != nil {
		latest, _ := m.Deadline()
		if deadline, bounded := ctx.Deadline(); bounded && latest.Equal(deadline) {
			return m
		}
	}
	m := pollnet.NewMeter(ctx)
	c.meter.Store(m)
	return m
}

// grace is for what is on its way when the deadline passes: then package pollnet says whose turn it was. What has not come
// back by its end was kept from running.
var grace = 250 * time.Millisecond

// extended is ctx without its deadline, which package pollnet watches, but for what has not ended by itself after the grace.
func extended(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			select {
			case <-longer.Done():
			case <-time.After(grace):
			}
		}
		cancel()
	})
	return longer, func() { stop(); cancel() }
}

// Offset returns by how much the server's clock is ahead of this machine's, 0 while nothing is known: it is
// learnt when the server refuses a date.
func (c *Client) Offset() time.Duration { return time.Duration(c.offset.Load()) }

// Skew returns by how much the server's clock was ahead of this machine's when it answered last, as far as HTTP's
// Date header tells, which has whole seconds. Before there was an answer nothing is known.
func (c *Client) Skew() (ahead time.Duration, known bool) {
	if skew := c.skew.Load(); skew != nil {
		return *skew, true
	}
	return 0, false
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
	local, err := c.prepared(ctx)
	if err != nil {
		return answer{}, err
	}
	path := api.Path(c.options.APIVersion, segments...)
	t := &try{keeps: c.options.Spends, local: local, meter: c.meterFor(ctx)}
	ctx, cancel := extended(ctx)
	defer cancel()
	req, err := c.request(httptrace.WithClientTrace(ctx, t.trace()), method, path, params)
	if err != nil {
		return answer{}, &Error{Kind: KindLocal, Err: err}
	}
	asking := c.retrying(t)
	defer c.keep(t)
	resp, err := asking.Do(req)
	if err != nil {
		return answer{}, t.weigh(c.classify(err, t))
	}
	defer resp.Body.Close()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		skew := date.Sub(c.options.Now().Truncate(time.Second))
		c.skew.Store(&skew)
	}
	server := resp.Header.Get(api.HeaderServer)
	c.server.Store(&server)
	var body []byte
	if succeeded(resp) { // else the status says it all, whether its body comes or not
		if body, err = io.ReadAll(io.LimitReader(resp.Body, c.options.MaxAnswer+1)); err != nil {
			return answer{}, t.weigh(t.classifyBody(err))
		}
	}
	a, err := readAnswer(resp, body, c.options.MaxAnswer)
	return a, t.weigh(err)
}

func (c *Client) request(ctx context.Context, method, path string, params url.Values) (*retryablehttp.Request, error) {
	target := url.URL{Scheme: c.options.Host.Scheme, Host: c.options.Host.Host}
	var body any // not even an empty one: net/http would send it in chunks
	if len(params) > 0 {
		body = []byte(api.EncodeParams(params))
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, target.String()+path, body)
	if err != nil {
		return nil, err
	}
	if req.URL.RequestURI() != path {
		return nil, fmt.Errorf("%q cannot stand in a path", path) // the request line must be the signed bytes
	}
	date := c.options.Now().Add(c.Offset()).UTC().Format(api.DateLayout)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("User-Agent", "latch-linux/"+version.String())
	req.Header.Set(api.HeaderDate, date)
	extra := map[string]string{}
	for name, value := range c.options.Context {
		extra[name] = headerValue(value)
		req.Header.Set(name, extra[name])
	}
	req.Header.Set(api.HeaderAuthorization, api.Sign(c.options.Credentials, method, path, extra, params, date))
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
