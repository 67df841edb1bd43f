package pages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/latch-linux/latch/pkg/server/store"
)

// challengeCookie holds the state of a passkey's challenge, sealed, while the browser asks its person.
const challengeCookie = "__Host-challenge"

// challengeLife is how long a browser may ask its person.
const challengeLife = 10 * time.Minute

// What a challenge is for.
const (
	challengeShow = "show a passkey"
	challengeAdd  = "add a passkey"
)

// newPasskeys returns the relying party of the stored address, nil for an IP address: browsers make passkeys for names alone.
// A passkey checks its person by itself, so that it is two factors in one.
func newPasskeys(public *url.URL) (*webauthn.WebAuthn, error) {
	if isAddress(public) {
		return nil, nil
	}
	return webauthn.New(&webauthn.Config{
		RPID: public.Hostname(), RPDisplayName: "Latch (" + public.Hostname() + ")",
		RPOrigins:             []string{public.Scheme + "://" + public.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
	})
}

func isAddress(public *url.URL) bool {
	_, err := netip.ParseAddr(public.Hostname())
	return err == nil
}

func (s *Site) passkeyRoutes() {
	if s.passkeys == nil {
		return
	}
	s.everybody("POST /signin/passkey/options", s.showOptions)
	s.everybody("POST /signin/passkey", s.showPasskey)
	s.person("POST /account/passkeys/options", s.addOptions)
	s.person("POST /account/passkeys", s.addPasskey)
}

// holder is a person as the WebAuthn library sees them.
type holder struct {
	user   store.User
	handle []byte
	keys   []webauthn.Credential
	rows   []store.Passkey
}

func (h holder) WebAuthnID() []byte                         { return h.handle }
func (h holder) WebAuthnName() string                       { return h.user.Name }
func (h holder) WebAuthnDisplayName() string                { return h.user.Label() }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

func (s *Site) holder(u store.User) (holder, error) {
	h := holder{user: u, handle: s.store.UserHandle(u.Row)}
	var err error
	if h.rows, err = s.store.Passkeys(u.Row); err != nil {
		return h, err
	}
	for _, k := range h.rows {
		var c webauthn.Credential
		if err := json.Unmarshal([]byte(k.Credential), &c); err != nil {
			return h, fmt.Errorf("passkey %d: %w", k.Row, err)
		}
		h.keys = append(h.keys, c)
	}
	return h, nil
}

// challenge sends options to the browser and keeps what the answer is checked against.
func (x *exchange) challenge(purpose string, user int64, options any, state *webauthn.SessionData) error {
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	ticket, err := x.site.store.SealStep(store.Step{Purpose: purpose, User: user, Data: data}, challengeLife)
	if err != nil {
		return err
	}
	x.setTicket(challengeCookie, ticket, challengeLife)
	return x.json(http.StatusOK, options)
}

// challenged returns what an answer is checked against. Once it was right, met makes it useless.
func (x *exchange) challenged(purpose string, user int64) (webauthn.SessionData, error) {
	var state webauthn.SessionData
	p, err := x.site.store.OpenStep(x.ticket(challengeCookie), purpose)
	if err != nil {
		return state, err
	}
	if p.User != user {
		return state, store.ErrStepOver
	}
	return state, json.Unmarshal(p.Data, &state)
}

func (x *exchange) met(purpose string) error {
	err := x.site.store.SpendStep(x.r.Context(), x.ticket(challengeCookie), purpose)
	x.dropTicket(challengeCookie)
	return err
}

func (x *exchange) json(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	x.w.Write(body) // an error means that the browser has gone
	return nil
}

// passkeyFailed tells the page's script what to say. What the library found goes to the log of --debug: any stranger can send nonsense.
func (x *exchange) passkeyFailed(err error) error {
	var refused *protocol.Error
	key := "signin.passkey_wrong"
	switch {
	case errors.Is(err, store.ErrStepOver):
		key = "signin.over"
	case errors.Is(err, store.ErrExists):
		key = "account.passkey_known"
	case errors.Is(err, store.ErrTooMany):
		key = "account.passkey_many"
	case errors.Is(err, store.ErrBadName):
		key = "account.passkey_name_bad"
	case errors.Is(err, store.ErrUserDisabled), errors.Is(err, store.ErrPhoneLost), errors.Is(err, errWrong):
	case errors.As(err, &refused):
		x.site.log.Debug("passkey not taken", "from", address(x.r), "error", refused.Type, "details", refused.Details)
	default:
		return err
	}
	return x.json(http.StatusUnprocessableEntity, map[string]string{"problem": x.text(key)})
}

func (s *Site) showOptions(x *exchange) error {
	options, state, err := s.passkeys.BeginDiscoverableLogin()
	if err != nil {
		return err
	}
	return x.challenge(challengeShow, 0, options, state)
}

// showPasskey signs in by a passkey, or proves again who is signed in already.
func (s *Site) showPasskey(x *exchange) error {
	state, err := x.challenged(challengeShow, 0)
	if err != nil {
		return x.passkeyFailed(err)
	}
	u, err := s.validatePasskey(x, state)
	if err == nil {
		err = x.met(challengeShow)
	}
	if err != nil {
		return x.passkeyFailed(err)
	}
	if x.visitor != nil && x.visitor.User.Row == u.Row {
		err = s.store.Prove(x.r.Context(), x.visitor.Session.Row, true)
	} else {
		err = x.openSession(u, store.SignIn{Strong: true})
	}
	if err != nil {
		return x.passkeyFailed(err)
	}
	return x.json(http.StatusOK, map[string]string{"to": localPath(x.r.URL.Query().Get("next"), "/")})
}

// validatePasskey checks the answer in the body and returns whose passkey it is.
func (s *Site) validatePasskey(x *exchange, state webauthn.SessionData) (store.User, error) {
	var found holder
	answer, err := protocol.ParseCredentialRequestResponse(x.r)
	if err != nil {
		return store.User{}, err
	}
	_, credential, err := s.passkeys.ValidatePasskeyLogin(func(rawID, userHandle []byte) (webauthn.User, error) {
		k, err := s.store.Passkey(rawID)
		if err != nil {
			return nil, err
		}
		u, err := s.store.UserByRow(k.User)
		if err != nil {
			return nil, err
		}
		found, err = s.holder(u)
		s.allowBackup(found, rawID, answer)
		return found, err
	}, state, answer)
	if err != nil {
		return store.User{}, err
	}
	if credential.Authenticator.CloneWarning {
		s.log.Warn("passkey not taken: its counter went back, somebody may have copied it", "user", found.user.Name, "from", address(x.r))
		return store.User{}, errWrong
	}
	kept, err := json.Marshal(credential)
	if err != nil {
		return store.User{}, err
	}
	for _, k := range found.rows {
		if string(k.CredentialID) == string(credential.ID) {
			return found.user, s.store.PasskeyUsed(x.r.Context(), k.Row, string(kept))
		}
	}
	return store.User{}, errWrong
}

// allowBackup takes a passkey that its keeper has begun to synchronize. WebAuthn says that the flag "backup eligible" never
// changes, and the library refuses another value; KeePassXC and iCloud do set it later. The signature covers the flag.
func (s *Site) allowBackup(h holder, id []byte, answer *protocol.ParsedCredentialAssertionData) {
	for i := range h.keys {
		flags := &h.keys[i].Flags
		if bytes.Equal(h.keys[i].ID, id) && !flags.BackupEligible && answer.Response.AuthenticatorData.Flags.HasBackupEligible() {
			flags.BackupEligible = true
			s.log.Info("passkey can be backed up from now on", "user", h.user.Name, "passkey", h.rows[i].Name)
		}
	}
}

func (s *Site) addOptions(x *exchange) error {
	if !x.proven() {
		return x.json(http.StatusForbidden, map[string]string{"to": withNext("/prove", "/account/passkeys/new")})
	}
	h, err := s.holder(x.visitor.User)
	if err != nil {
		return err
	}
	options, state, err := s.passkeys.BeginRegistration(h,
		webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()),
		webauthn.WithExtensions(webauthn.WithExtensionPRFSupport()))
	if err != nil {
		return err
	}
	return x.challenge(challengeAdd, x.visitor.User.Row, options, state)
}

// addPasskey keeps a new passkey; its name comes in the query, since the body is the authenticator's answer.
func (s *Site) addPasskey(x *exchange) error {
	if !x.proven() {
		return x.json(http.StatusForbidden, map[string]string{"to": withNext("/prove", "/account/passkeys/new")})
	}
	state, err := x.challenged(challengeAdd, x.visitor.User.Row)
	if err != nil {
		return x.passkeyFailed(err)
	}
	h, err := s.holder(x.visitor.User)
	if err != nil {
		return err
	}
	credential, err := s.passkeys.FinishRegistration(h, state, x.r)
	if err == nil {
		err = x.met(challengeAdd)
	}
	if err != nil {
		return x.passkeyFailed(err)
	}
	kept, err := json.Marshal(credential)
	if err != nil {
		return err
	}
	name := x.r.URL.Query().Get("name")
	if name == "" {
		name = x.device(x.r.UserAgent())
	}
	err = s.store.AddPasskey(x.context(), store.Passkey{CredentialID: credential.ID, User: x.visitor.User.Row, Name: name, Credential: string(kept)},
		x.visitor.Session.Row)
	if err != nil {
		return x.passkeyFailed(err)
	}
	if err := s.store.Prove(x.r.Context(), x.visitor.Session.Row, true); err != nil {
		return err
	}
	x.flash("account.passkey_added", name)
	next, err := x.afterReset("/account")
	if err != nil {
		return err
	}
	return x.json(http.StatusOK, map[string]string{"to": next})
}
