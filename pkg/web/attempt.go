package web

import (
	"net"

	"github.com/latch-linux/latch/pkg/store"
)

// attempt says for the history from where a person acts.
func (x *exchange) attempt() store.Attempt {
	from, _, err := net.SplitHostPort(x.r.RemoteAddr)
	if err != nil {
		from = x.r.RemoteAddr
	}
	return store.Attempt{UserAgent: x.r.UserAgent(), IP: from}
}
