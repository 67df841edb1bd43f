package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/latch-linux/latch/pkg/api"
)

// Query is one question about an account. OperationID and InstanceID may be empty.
type Query struct {
	AccountID, OperationID, InstanceID string
	NoOTP                              bool // make no one-time token
	Silent                             bool // do not tell the phone
}

// Status asks whether a latch is open.
func (c *Client) Status(ctx context.Context, q Query) (Status, error) {
	segments := append([]string{"status"}, node(q.AccountID, q.OperationID, q.InstanceID)...)
	if q.NoOTP {
		segments = append(segments, "nootp")
	}
	if q.Silent {
		segments = append(segments, "silent")
	}
	return c.status(ctx, q, segments)
}

// status makes a call whose answer is that of a status call.
func (c *Client) status(ctx context.Context, q Query, segments []string) (Status, error) {
	a, err := c.call(ctx, http.MethodGet, nil, segments...)
	if err != nil {
		return Status{Offset: c.Offset()}, err
	}
	asked := c.options.Credentials.ID
	if q.OperationID != "" {
		asked = q.OperationID
	}
	if q.InstanceID != "" {
		asked = q.InstanceID
	}
	s, err := readStatus(a.data, asked, !q.NoOTP)
	if ahead, known := c.Skew(); known && s.Token != "" {
		s.TokenTime = s.TokenTime.Add(-ahead) // else a wrong clock would find it expired, or never
	}
	s.Offset = c.Offset()
	return s, err
}

func node(accountID, operationID, instanceID string) []string {
	segments := []string{accountID}
	if operationID != "" {
		segments = append(segments, "op", operationID)
	}
	if instanceID != "" {
		segments = append(segments, "i", instanceID)
	}
	return segments
}

// Pair exchanges a pairing code for an account id. commonName, shown to the server's administrators, may be empty.
// When the server says "already paired" and names the account, both the id and the error are returned.
func (c *Client) Pair(ctx context.Context, code, commonName string) (string, error) {
	method, params := http.MethodGet, url.Values(nil)
	if commonName != "" {
		method, params = http.MethodPost, url.Values{"commonName": {commonName}}
	}
	a, err := c.call(ctx, method, params, "pair", code)
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Code != api.ErrCodeAlreadyPaired) {
		return "", err
	}
	var p api.Pairing
	if a.data != nil {
		_ = json.Unmarshal(a.data, &p)
	}
	if api.ValidAccountID(p.AccountID) {
		return p.AccountID, err
	}
	if err != nil {
		return "", err
	}
	return "", badAnswer("the pairing answer has no account id")
}

// Unpair removes a pairing at the server. KindNotPaired means that there was none.
func (c *Client) Unpair(ctx context.Context, accountID string) error {
	_, err := c.call(ctx, http.MethodGet, nil, "unpair", accountID)
	return err
}

// Lock closes a latch, of the whole application where operationID is empty.
func (c *Client) Lock(ctx context.Context, accountID, operationID string) error {
	_, err := c.call(ctx, http.MethodPost, nil, append([]string{"lock"}, node(accountID, operationID, "")...)...)
	return err
}

// Unlock opens a latch.
func (c *Client) Unlock(ctx context.Context, accountID, operationID string) error {
	_, err := c.call(ctx, http.MethodPost, nil, append([]string{"unlock"}, node(accountID, operationID, "")...)...)
	return err
}

// History returns what happened to an account between two instants.
func (c *Client) History(ctx context.Context, accountID string, from, to time.Time) (api.History, error) {
	ms := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	var h api.History
	err := c.decode(ctx, &h, http.MethodGet, nil, "history", accountID, ms(from), ms(to))
	return h, err
}

// Operations returns the operations below an operation, or the application's where parent is empty.
func (c *Client) Operations(ctx context.Context, parent string) (map[string]api.Operation, error) {
	segments := []string{"operation"}
	if parent != "" {
		segments = append(segments, parent)
	}
	var data api.OperationsData
	err := c.decode(ctx, &data, http.MethodGet, nil, segments...)
	return data.Operations, err
}

// CreateOperation returns the new operation's id. The modes are api.ModeMandatory and its neighbours, or "".
func (c *Client) CreateOperation(ctx context.Context, parent, name, twoFactor, lockOnRequest string) (string, error) {
	if parent == "" {
		parent = c.options.Credentials.ID
	}
	params := url.Values{"parentId": {parent}, "name": {name}}
	setModes(params, twoFactor, lockOnRequest)
	var made api.OperationCreated
	if err := c.decode(ctx, &made, http.MethodPut, params, "operation"); err != nil {
		return "", err
	}
	if !api.ValidAppID(made.OperationID) {
		return "", badAnswer("the answer has no operation id")
	}
	return made.OperationID, nil
}

// UpdateOperation changes what is not empty.
func (c *Client) UpdateOperation(ctx context.Context, id, name, twoFactor, lockOnRequest string) error {
	params := url.Values{}
	if name != "" {
		params.Set("name", name)
	}
	setModes(params, twoFactor, lockOnRequest)
	_, err := c.call(ctx, http.MethodPost, params, "operation", id)
	return err
}

func setModes(params url.Values, twoFactor, lockOnRequest string) {
	if twoFactor != "" {
		params.Set("two_factor", twoFactor)
	}
	if lockOnRequest != "" {
		params.Set("lock_on_request", lockOnRequest)
	}
}

// DeleteOperation removes an operation and what is below it.
func (c *Client) DeleteOperation(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, nil, "operation", id)
	return err
}

// decode makes a call whose answer must have data.
func (c *Client) decode(ctx context.Context, into any, method string, params url.Values, segments ...string) error {
	a, err := c.call(ctx, method, params, segments...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(a.data, into); err != nil {
		return badAnswer("the answer's data has another form: %w", err)
	}
	return nil
}
