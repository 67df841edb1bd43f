package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// PairPath is where the page lies that confirms a pairing: PairPath and what the link holds.
const PairPath = "/pair/"

// hostRoutes are our own calls, beyond the Latch API.
func (s *Server) hostRoutes() map[string]handler {
	return map[string]handler{
		"POST host/pairing":                  s.requestPairing,
		"GET host/pairing/{id}":              s.showPairing,
		"DELETE host/pairing/{id}":           s.withdrawPairing,
		"POST host/token/{account}":          s.spendToken,
		"GET host/await/{account}":           s.await,
		"GET host/await/{account}/{rest...}": s.await,
		"POST host/totp/{account}/validate":  s.validateOwnTOTP,
	}
}

// requestPairing makes a link that a person opens and confirms. Without a stored address there is nothing to link to.
func (s *Server) requestPairing(r *request) (any, error) {
	host, user := strings.TrimSpace(store.OneLine(r.params.Get("host"))), strings.TrimSpace(store.OneLine(r.params.Get("user")))
	if host == "" || user == "" {
		return nil, errorCode(api.ErrCodeMissingParameter)
	}
	base, err := s.store.Setting(store.SettingURL)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return nil, &api.Error{Code: api.ErrCodePairing, Message: "the server has no address for links; run latch-server serve --url"}
	}
	made, err := s.store.RequestPairing(r.ctx, store.PairingRequest{App: r.signer.app, Host: host, User: user, Attempt: r.attempt(false)},
		r.signer.secret.Subject())
	var many *store.TooManyError
	if errors.As(err, &many) {
		return nil, &api.Error{Code: api.ErrCodePairing, Message: fmt.Sprintf("too many links of this host wait; one expires in %d s", int(many.After.Seconds())+1)}
	}
	if err != nil {
		return nil, err
	}
	answer := s.describePairing(made)
	answer.URL, answer.Check = base+PairPath+made.Link, made.Check
	return answer, nil
}

func (s *Server) describePairing(r store.PairingRequest) api.PairingRequest {
	states := map[store.PairingState]string{store.RequestWaiting: api.PairingWaiting, store.RequestConfirmed: api.PairingConfirmed,
		store.RequestRefused: api.PairingRefused}
	return api.PairingRequest{
		RequestID: r.ID, State: states[r.State], Expires: r.Expires, Seconds: max(0, (r.Expires-s.now().UnixMilli())/1000),
		Person: r.Person, AccountID: r.AccountID, Known: r.Known,
	}
}

func (s *Server) showPairing(r *request) (any, error) {
	found, err := s.store.PairingByID(r.signer.app, r.http.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.describePairing(found), nil
}

// withdrawPairing answers what had become of the request, so that a host that gave up learns of a confirmation just before.
func (s *Server) withdrawPairing(r *request) (any, error) {
	found, err := s.store.WithdrawPairing(r.ctx, r.signer.app, r.http.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.describePairing(found), nil
}

// spendTimeout bounds what is done for a host that does not wait for the answer.
const spendTimeout = 10 * time.Second

// spendToken hears that a one-time token was typed. The host hangs up at once: its login goes on meanwhile.
func (s *Server) spendToken(r *request) (any, error) {
	token, right := r.params.Get("token"), r.params.Get("right")
	if token == "" || right == "" {
		return nil, errorCode(api.ErrCodeMissingParameter)
	}
	if right != "yes" && right != "no" {
		return nil, errorCode(api.ErrCodeBadParameter)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), spendTimeout)
	defer cancel()
	return nil, s.store.SpendToken(ctx, r.signer.app, r.http.PathValue("account"), token, right == "yes", r.attempt(false))
}

// validateOwnTOTP checks a code of the TOTP that the person behind an account enrolled on the server's page.
func (s *Server) validateOwnTOTP(r *request) (any, error) {
	code := r.params.Get("code")
	if code == "" {
		return nil, errorCode(api.ErrCodeMissingParameter)
	}
	err := s.store.CheckOwnTOTP(r.ctx, r.signer.app, r.http.PathValue("account"), r.signer.secret.Subject(),
		func(secret string, last int64) (int64, bool) { return otp.Match(secret, code, s.now(), last) })
	var many *store.TooManyError
	switch {
	case errors.Is(err, store.ErrNotEnrolled):
		return nil, errorCode(api.ErrCodeNoTOTP)
	case errors.As(err, &many):
		// As a wrong code: a host may let in where the server has an error, and whoever guesses must not bring that about.
		return nil, &api.Error{Code: api.ErrCodeTOTP, Message: many.Error()}
	}
	return nil, err
}
