package pages

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// Cookies of signing in. Each carries a ticket of the store.
const (
	sessionCookie = "__Host-session"
	browserCookie = "__Host-browser" // this browser's person signed in here before
	stepCookie    = "__Host-step"    // what this browser is in the middle of
)

func (x *exchange) setTicket(name, ticket string, life time.Duration) {
	http.SetCookie(x.w, &http.Cookie{Name: name, Value: ticket, Path: "/", MaxAge: int(life / time.Second), Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
}

func (x *exchange) dropTicket(name string) { x.setTicket(name, "", -time.Second) }

// ticket is what a cookie carries, "" without one.
func (x *exchange) ticket(name string) string {
	c, err := x.r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// begin keeps a step in the store and its ticket in the browser.
func (x *exchange) begin(p store.Step, life time.Duration) error {
	ticket, err := x.site.store.BeginStep(x.r.Context(), p, life)
	if err == nil {
		x.setTicket(stepCookie, ticket, life)
	}
	return err
}

// step returns what the browser is in the middle of, if that is purpose; else store.ErrStepOver.
func (x *exchange) step(purpose string) (store.Step, error) {
	return x.site.store.Step(x.ticket(stepCookie), purpose)
}

// endStep is like step and ends it.
func (x *exchange) endStep(purpose string) (store.Step, error) {
	p, err := x.site.store.EndStep(x.r.Context(), x.ticket(stepCookie), purpose)
	if err == nil {
		x.dropTicket(stepCookie)
	}
	return p, err
}

// address is where a request comes from.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// neighbourhood is whose guesses are counted together: one IPv4 address, or the /64 that one IPv6 customer has.
func neighbourhood(r *http.Request) string {
	ip, err := netip.ParseAddr(address(r))
	if err != nil {
		return address(r)
	}
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(ip, bits).Masked().String()
}
