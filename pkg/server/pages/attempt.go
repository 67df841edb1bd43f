package pages

import "github.com/latch-linux/latch/pkg/server/store"

// attempt says for the history from where a person acts.
func (x *exchange) attempt() store.Attempt {
	return store.Attempt{UserAgent: store.OneLine(x.r.UserAgent()), IP: address(x.r)}
}
