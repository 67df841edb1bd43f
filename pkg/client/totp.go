package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/latch-linux/latch/pkg/api"
)

// CreateTOTP has the server make a TOTP for a user of this machine. The answer is the only one that holds the seed.
func (c *Client) CreateTOTP(ctx context.Context, userID, commonName string) (api.TOTP, error) {
	var made api.TOTP
	params := url.Values{"userId": {userID}, "commonName": {commonName}}
	if err := c.decode(ctx, &made, http.MethodPost, params, "totps"); err != nil {
		return api.TOTP{}, err
	}
	if made.TOTPID == "" || strings.ContainsAny(made.TOTPID, "/?#%") {
		return api.TOTP{}, badAnswer("the answer has no TOTP id")
	}
	return made, nil
}

// ValidateTOTP asks whether a code is right. Error 306 is a wrong one, and no error of ours.
func (c *Client) ValidateTOTP(ctx context.Context, id, code string) (right bool, err error) {
	_, err = c.call(ctx, http.MethodPost, url.Values{"code": {code}}, "totps", id, "validate")
	var e *Error
	if errors.As(err, &e) && e.Code == api.ErrCodeTOTP {
		return false, nil
	}
	return err == nil, err
}

// DeleteTOTP removes a TOTP at the server.
func (c *Client) DeleteTOTP(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodDelete, nil, "totps", id)
	return err
}
