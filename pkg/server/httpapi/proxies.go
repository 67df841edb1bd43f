package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/pires/go-proxyproto"
)

// maxForwarded bounds how many addresses of X-Forwarded-For are looked at, from the right.
const maxForwarded = 16

// Proxies are the networks of reverse proxies whose word on a client's address counts.
type Proxies []netip.Prefix

// ParseProxies reads networks as "10.0.0.0/8" and single addresses as "127.0.0.1".
func ParseProxies(list []string) (Proxies, error) {
	var all Proxies
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			network, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("invalid network %q: expected an address or ADDRESS/BITS, as 10.0.0.0/8", text)
		}
		all = append(all, network.Masked())
	}
	return all, nil
}

// contains reports whether an address is a proxy's.
func (p Proxies) contains(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a.Unmap().WithZone("")) })
}

// client returns the address that a request from peer comes from: the last one in X-Forwarded-For that is no proxy's, read from
// the right, because whatever is left of it is the client's own claim. Without such a header it is the peer.
func (p Proxies) client(peer netip.Addr, forwarded []string) netip.Addr {
	if !p.contains(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	from := peer
	for i := len(hops) - 1; i >= 0 && len(hops)-i <= maxForwarded; i-- {
		hop, err := parseHop(strings.TrimSpace(hops[i]))
		if err != nil {
			return from
		}
		if from = hop; !p.contains(hop) {
			return from
		}
	}
	return from
}

// behindProxy reads the PROXY protocol's header from the connections of proxies, where that is wanted, and refuses others.
func (s *Server) behindProxy(l net.Listener) net.Listener {
	if !s.proxyProtocol {
		return l
	}
	return &proxyproto.Listener{Listener: l, ReadHeaderTimeout: headerTimeout, ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		peer, err := netip.ParseAddrPort(o.Upstream.String())
		if err != nil || !s.proxies.contains(peer.Addr()) {
			return proxyproto.REJECT, proxyproto.ErrInvalidUpstream // closes the connection
		}
		return proxyproto.REQUIRE, nil
	}}
}

// counted returns the connection that limitConnections counts, below what reads the PROXY protocol.
func counted(c net.Conn) *limitedConn {
	if behind, ok := c.(*proxyproto.Conn); ok {
		c = behind.Raw()
	}
	limited, _ := c.(*limitedConn)
	return limited
}

// parseHop reads one entry of X-Forwarded-For; some proxies write a port behind the address.
func parseHop(text string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap(), nil
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap(), err
}

// handler gives next each request with the client's address in RemoteAddr.
func (p Proxies) handler(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			if from := p.client(peer.Addr(), r.Header.Values("X-Forwarded-For")); from != peer.Addr() {
				r.RemoteAddr = net.JoinHostPort(from.String(), "0")
			}
		}
		next.ServeHTTP(w, r)
	})
}
