package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/latch-linux/latch/pkg/api"
)

// errOver ends an attempt to connect for what is only said over a connection that is there.
var errOver = errors.New("the connection is gone")

// spendWait bounds the wait until a spent token is handed to the kernel, which takes no time unless the machine has none.
const spendWait = 50 * time.Millisecond

// Can tells whether the server's latest answer said that it can something beyond the Latch API: a word of api.CanPairByLink
// and its neighbours.
func (c *Client) Can(word string) bool {
	header := c.server.Load()
	return header != nil && api.Can(*header, word)
}

// RequestPairing asks latch-server for a link that pairs a user of a host with whoever opens and confirms it.
func (c *Client) RequestPairing(ctx context.Context, host, user string) (api.PairingRequest, error) {
	var made api.PairingRequest
	if err := c.decode(ctx, &made, http.MethodPost, url.Values{"host": {host}, "user": {user}}, "host", "pairing"); err != nil {
		return made, err
	}
	if !api.ValidAppID(made.RequestID) {
		return made, badAnswer("the answer has no request id")
	}
	if u, err := url.Parse(made.URL); err != nil || u.Scheme != "https" || u.Host == "" {
		return made, badAnswer("the answer has no link")
	}
	return made, nil
}

// PairingRequest asks what became of a request. Error 206 means that it has expired.
func (c *Client) PairingRequest(ctx context.Context, id string) (api.PairingRequest, error) {
	return c.pairingRequest(ctx, http.MethodGet, id)
}

// WithdrawPairing ends a request, and returns what had become of it: a pairing that was confirmed stays.
func (c *Client) WithdrawPairing(ctx context.Context, id string) (api.PairingRequest, error) {
	return c.pairingRequest(ctx, http.MethodDelete, id)
}

func (c *Client) pairingRequest(ctx context.Context, method, id string) (api.PairingRequest, error) {
	var r api.PairingRequest
	err := c.decode(ctx, &r, method, nil, "host", "pairing", id)
	if err == nil && r.State == api.PairingConfirmed && !api.ValidAccountID(r.AccountID) {
		err = badAnswer("the pairing answer has no account id")
	}
	return r, err
}

// ValidateOwnTOTP asks whether a code is right of the TOTP that the person behind an account has enrolled at latch-server;
// enrolled is false where there is none.
func (c *Client) ValidateOwnTOTP(ctx context.Context, accountID, code string) (right, enrolled bool, err error) {
	_, err = c.call(ctx, http.MethodPost, url.Values{"code": {code}}, "host", "totp", accountID, "validate")
	var e *Error
	switch {
	case errors.As(err, &e) && e.Code == api.ErrCodeTOTP:
		return false, true, nil
	case errors.As(err, &e) && e.Code == api.ErrCodeNoTOTP:
		return false, false, nil
	}
	return err == nil, true, err
}

// Await is a silent Status without a token that latch-server answers when the latch is open, or after some seconds in which it
// was not. It is for a login that was refused and waits for the phone; such waiting leaves no trace of its own.
func (c *Client) Await(ctx context.Context, q Query) (Status, error) {
	q.NoOTP, q.Silent = true, true
	return c.status(ctx, q, append([]string{"host", "await"}, node(q.AccountID, q.OperationID, q.InstanceID)...))
}

// keep has the connection of the latest answer wait for SpendToken, if the server can that, and closes the one before.
func (c *Client) keep(t *try) {
	if t.transport == nil {
		return
	}
	t.over.Store(true)
	if !c.Can(api.CanSpendTokens) {
		t.transport.CloseIdleConnections()
		return
	}
	if conn := t.conn.Load(); conn != nil {
		conn.Release()
	}
	if before := c.kept.Swap(t); before != nil {
		before.transport.CloseIdleConnections()
	}
}

// SpendToken tells latch-server that a one-time token was typed, so that it goes off the person's page. It says so over the
// connection that brought the answer, or not at all: it connects nowhere, waits for no answer, and has no error. The login goes on.
func (c *Client) SpendToken(ctx context.Context, accountID, token string, right bool) {
	t := c.kept.Swap(nil)
	if t == nil || token == "" || strings.ContainsAny(accountID, "/?#%") {
		return
	}
	word := map[bool]string{true: "yes", false: "no"}[right]
	sent := make(chan struct{})
	var once sync.Once
	done := func() { once.Do(func() { close(sent) }) }
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { done() }})
	path := api.Path(c.options.APIVersion, "host", "token", accountID)
	req, err := c.request(ctx, http.MethodPost, path, url.Values{"token": {token}, "right": {word}})
	if err != nil {
		return
	}
	if req.Request.Body, err = req.GetBody(); err != nil {
		return
	}
	go func() {
		defer done()
		if resp, err := t.transport.RoundTrip(req.Request); err == nil {
			resp.Body.Close()
		}
	}()
	select {
	case <-sent:
	case <-time.After(spendWait):
	}
}
