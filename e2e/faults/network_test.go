package faults

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Addresses that nobody answers at. 192.0.2.0/24 belongs to nobody (RFC 5737), and the machine has no way there.
const (
	deaf       = "127.0.0.3" // of the loopback: refuses
	nowhere    = "192.0.2.1"
	prohibited = "192.0.2.65" // as a firewall of this machine's own prohibits
	swallowed  = "192.0.2.66"
	rejected   = "192.0.2.67"
	walled     = "127.0.0.4"   // of the loopback, behind a firewall that drops what goes there
	elsewhere6 = "2001:db8::1" // of nobody's (RFC 3849), and IPv6 is switched off on this machine
)

// firewall drops packets to walled: the kernel says EPERM of a datagram, and nothing of a connection. It keeps track of
// connections, as most do.
const firewall = "table ip latch { chain out { type filter hook output priority 0; ct state new ip daddr " + walled + " drop; }; }"

// table is where the kernel tells how many connections it keeps track of.
const table = "/proc/sys/net/netfilter/"

// layNetwork adds what the isolated machine's network lacks: refusing routes, a firewall, and a name server. It has no IPv6,
// like many a server.
func layNetwork() error {
	for address, kind := range map[string]string{prohibited: "prohibit", swallowed: "blackhole", rejected: "unreachable"} {
		if out, err := exec.Command("ip", "route", "add", kind, address+"/32").CombinedOutput(); err != nil {
			return fmt.Errorf("ip route add %s: %w: %s", kind, err, out)
		}
	}
	if out, err := exec.Command("nft", firewall).CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	for _, on := range []string{"all", "default", "lo"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+on+"/disable_ipv6", []byte("1"), 0o644); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := os.Remove("/etc/resolv.conf"); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.WriteFile("/etc/resolv.conf", []byte("nameserver "+nameServer+"\n"), 0o644); err != nil {
		return err
	}
	return startNameServer()
}

// networkRows are the faults of the way. There is always a good server on 127.0.0.1 that must not be reached through them.
func networkRows() []row {
	var all []row
	for name, address := range map[string]string{"no route": nowhere, "route prohibits": prohibited, "route swallows": swallowed,
		"route rejects": rejected, "nobody listens": deaf, "a firewall swallows": walled} {
		all = append(all, row{"network: " + name, func(t *testing.T) place { return atHost(t, address) }})
	}
	all = append(all, row{"network: a firewall's table is full", func(t *testing.T) place {
		at := atHost(t, walled)
		// Any user can fill it by connections to this machine's own addresses.
		at.instead = map[string]string{table + "nf_conntrack_count": file(t, "65000\n"), table + "nf_conntrack_max": file(t, "65536\n")}
		return at
	}})
	for name := range names {
		all = append(all, row{"name: " + name, func(t *testing.T) place { return atHost(t, hostOf(name)) }})
	}
	for name, resolv := range map[string]string{
		"nobody listens":         "nameserver " + deaf + "\n",
		"no route":               "nameserver " + nowhere + "\n",
		"route prohibits":        "nameserver " + prohibited + "\n",
		"a firewall swallows":    "nameserver " + walled + "\n",
		"none stated":            "",
		"the second one is good": "nameserver " + deaf + "\nnameserver " + nameServer + "\n",
		"prohibited, good":       "nameserver " + prohibited + "\nnameserver " + nameServer + "\n",
	} {
		all = append(all, row{"name server: " + name, func(t *testing.T) place {
			at := atHost(t, hostOf("good"))
			at.instead = map[string]string{"/etc/resolv.conf": file(t, resolv)}
			return at
		}})
	}
	slices.SortFunc(all, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return all
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// atHost is a good server's port at another host.
func atHost(t *testing.T, host string) place {
	t.Helper()
	at := serve(t, "none")
	u, err := url.Parse(at.url)
	must(t, err)
	at.url = "https://" + host + ":" + u.Port()
	return at
}
