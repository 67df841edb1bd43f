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
)

// layNetwork adds what the isolated machine's network lacks: refusing routes, and a name server.
func layNetwork() error {
	for address, kind := range map[string]string{prohibited: "prohibit", swallowed: "blackhole", rejected: "unreachable"} {
		if out, err := exec.Command("ip", "route", "add", kind, address+"/32").CombinedOutput(); err != nil {
			return fmt.Errorf("ip route add %s: %w: %s", kind, err, out)
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
		"route rejects": rejected, "nobody listens": deaf} {
		all = append(all, row{"network: " + name, func(t *testing.T) place { return atHost(t, address) }})
	}
	for name := range names {
		all = append(all, row{"name: " + name, func(t *testing.T) place { return atHost(t, hostOf(name)) }})
	}
	for name, resolv := range map[string]string{
		"nobody listens":         "nameserver " + deaf + "\n",
		"no route":               "nameserver " + nowhere + "\n",
		"route prohibits":        "nameserver " + prohibited + "\n",
		"none stated":            "",
		"the second one is good": "nameserver " + deaf + "\nnameserver " + nameServer + "\n",
		"prohibited, good":       "nameserver " + prohibited + "\nnameserver " + nameServer + "\n",
	} {
		all = append(all, row{"name server: " + name, func(t *testing.T) place {
			at := atHost(t, hostOf("good"))
			at.resolv = filepath.Join(t.TempDir(), "resolv.conf")
			must(t, os.WriteFile(at.resolv, []byte(resolv), 0o644))
			return at
		}})
	}
	slices.SortFunc(all, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return all
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
