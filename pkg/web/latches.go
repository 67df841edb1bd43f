package web

import (
	"errors"

	"github.com/latch-linux/latch/pkg/store"
)

func (s *Site) latchesRoutes() {
	s.person("GET /{$}", s.latchesPage)
}

// latchesPage is the first screen: the padlocks.
func (s *Site) latchesPage(x *exchange) error {
	accounts, err := s.store.Accounts(x.visitor.User.Name)
	if err != nil && !errors.Is(err, store.ErrNotPaired) {
		return err
	}
	tokens, err := x.tokens()
	if err != nil {
		return err
	}
	return x.page("latches", struct {
		Accounts []store.Account
		Tokens   []token
	}{accounts, tokens})
}
