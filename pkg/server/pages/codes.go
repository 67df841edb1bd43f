package pages

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/latch-linux/latch/pkg/server/store"
)

// codesRoutes are the page of codes of other services. The server keeps what the browser encrypted and can read none of it, so the
// page is the one that needs JavaScript.
func (s *Site) codesRoutes() {
	s.person("GET /codes", s.codesPage)
	s.person("GET /codes/vault", s.vault)
	s.handle("POST /codes/vault", 2*store.MaxVault, s.setVault, (*visitor).isPerson)
	s.person("POST /codes/forget", afresh("/codes", s.forgetVault))
}

func (s *Site) codesPage(x *exchange) error {
	return x.page("codes", struct{ Passkeys bool }{s.passkeys != nil})
}

// vaultMessage is how page and server exchange a vault; Vault is null where there is none.
type vaultMessage struct {
	Version int64           `json:"version"`
	Vault   json.RawMessage `json:"vault"`
}

func (s *Site) vault(x *exchange) error {
	version, sealed, err := s.store.Vault(x.visitor.User.Row)
	if err != nil {
		return err
	}
	if sealed == nil {
		sealed = []byte("null")
	}
	return x.json(http.StatusOK, vaultMessage{version, sealed})
}

// setVault answers 409 where another browser was faster: the page fetches that one and makes its change again.
func (s *Site) setVault(x *exchange) error {
	var m vaultMessage
	if err := json.NewDecoder(x.r.Body).Decode(&m); err != nil || len(m.Vault) == 0 || m.Vault[0] != '{' {
		return statusError(http.StatusBadRequest)
	}
	version, err := s.store.SetVault(x.context(), x.visitor.User.Row, m.Version, m.Vault)
	switch {
	case errors.Is(err, store.ErrVaultChanged):
		return x.json(http.StatusConflict, map[string]string{})
	case errors.Is(err, store.ErrTooMany):
		return x.json(http.StatusRequestEntityTooLarge, map[string]string{"problem": x.text("codes.too_many")})
	case err != nil:
		return err
	}
	return x.json(http.StatusOK, vaultMessage{version, json.RawMessage("null")})
}

func (s *Site) forgetVault(x *exchange) error {
	if err := s.store.RemoveVault(x.context(), x.visitor.User.Row); err != nil {
		return err
	}
	x.flash("codes.forgotten")
	return x.redirect("/codes")
}
