package httpapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestClientBehindProxies: only the word of trusted proxies counts, from the right.
func TestClientBehindProxies(t *testing.T) {
	trusted, err := ParseProxies([]string{"10.0.0.0/8", "127.0.0.1", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		trusted    Proxies
		peer, want string
		forwarded  []string
	}{
		"none is trusted":         {nil, "127.0.0.1:5", "127.0.0.1", []string{"203.0.113.7"}},
		"another peer":            {trusted, "192.0.2.1:5", "192.0.2.1", []string{"203.0.113.7"}},
		"a proxy":                 {trusted, "127.0.0.1:5", "203.0.113.7", []string{"203.0.113.7"}},
		"a chain":                 {trusted, "127.0.0.1:5", "203.0.113.7", []string{"203.0.113.7, 10.1.2.3", "10.0.0.9"}},
		"what the client claims":  {trusted, "127.0.0.1:5", "203.0.113.7", []string{"198.51.100.1", "203.0.113.7"}},
		"a claim of being ours":   {trusted, "127.0.0.1:5", "203.0.113.7", []string{"10.9.9.9, 203.0.113.7"}},
		"no header":               {trusted, "127.0.0.1:5", "127.0.0.1", nil},
		"nonsense":                {trusted, "127.0.0.1:5", "127.0.0.1", []string{"203.0.113.7, unknown"}},
		"with a port":             {trusted, "127.0.0.1:5", "203.0.113.7", []string{"203.0.113.7:4711"}},
		"IPv6":                    {trusted, "[2001:db8::1]:5", "2001:470::7", []string{"2001:470::7"}},
		"IPv6 in brackets":        {trusted, "127.0.0.1:5", "2001:470::7", []string{"[2001:470::7]:99"}},
		"an IPv4 address in IPv6": {trusted, "[::ffff:127.0.0.1]:5", "203.0.113.7", []string{"::ffff:203.0.113.7"}},
		"a very long chain":       {trusted, "127.0.0.1:5", "10.1.1.1", []string{"203.0.113.7" + strings.Repeat(", 10.1.1.1", 99)}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.forwarded
		var got string
		c.trusted.handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = remoteIP(r) })).ServeHTTP(httptest.NewRecorder(), r)
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for _, bad := range []string{"", "example.org", "10.0.0.0/33", "10.0.0.1-10.0.0.9"} {
		if _, err := ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestProxiesKeepTheirConnections: behind a proxy all clients share its address, which is no reason to close its connections
// first.
func TestProxiesKeepTheirConnections(t *testing.T) {
	l := limitConnections(nil, 32, nil)
	l.proxies = Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	add := func(address string) (*limitedConn, *limitedConn) {
		c := &limitedConn{of: l, from: netip.PrefixFrom(netip.MustParseAddr(address), 32)}
		return c, l.add(c)
	}
	for range 20 {
		add("10.0.0.1")
	}
	var first *limitedConn
	for range 12 {
		c, _ := add("192.0.2.1")
		if first == nil {
			first = c
		}
	}
	if _, victim := add("192.0.2.2"); victim != first {
		t.Errorf("the victim is of %v, want the client's oldest", victim.from)
	}
}

// TestProxyProtocol: a trusted proxy names the client before TLS, HTTP/2 included; without its header nothing is answered.
func TestProxyProtocol(t *testing.T) {
	b := newBed(t)
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, remoteIP(r), " ", r.Proto) })
	address := b.pagesBed(pages, func(o *Options) {
		o.Proxies, o.ProxyProtocol = Proxies{netip.MustParsePrefix("127.0.0.0/8")}, true
	})
	get := func(header string) (string, error) {
		client := http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				if err == nil {
					_, err = c.Write([]byte(header))
				}
				return c, err
			}}}
		resp, err := client.Get("https://127.0.0.1/")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	if got, err := get("PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n"); err != nil || got != "203.0.113.7 HTTP/2.0" {
		t.Errorf("with the header: %q, %v", got, err)
	}
	if got, err := get(""); err == nil {
		t.Errorf("without it: %q", got)
	}
}
