package web

import "github.com/latch-linux/latch/pkg/store"

// origin says where a login was tried, as far as the host has told: "sshd on web1 from 203.0.113.7". What no host has told is the
// address that asked.
func (x *exchange) origin(o store.Origin) string {
	words := ""
	switch {
	case o.Service != "" && o.Host != "":
		words = x.text("origin.service", o.Service, o.Host)
	case o.Host != "":
		words = x.text("origin.host", o.Host)
	default:
		return x.text("origin.asker", o.Asker)
	}
	if o.User != "" {
		words = x.text("origin.user", words, o.User)
	}
	if o.Address != "" {
		words = x.text("origin.address", words, o.Address)
	}
	return words
}
