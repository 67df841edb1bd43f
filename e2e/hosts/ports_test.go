package hosts

import (
	"net"
	"net/url"
	"os"
	"testing"
)

const portRange = "/proc/sys/net/ipv4/ip_local_port_range"

// Any user can hold every local port towards one address. That is a local failure (EADDRNOTAVAIL), not "no answer". The
// range belongs to the network namespace of the tests.
func TestLocalPortsUsedUp(t *testing.T) {
	configure(t, mostOpen())
	before, err := os.ReadFile(portRange)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(portRange, before, 0o644) })
	if err := os.WriteFile(portRange, []byte("61000 61009"), 0o644); err != nil {
		t.Fatal(err)
	}
	nothingIsWrong(t)
	server, err := url.Parse(bed.tap.URL)
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for range 64 {
		c, err := net.Dial("tcp", server.Host)
		if err != nil {
			break
		}
		defer c.Close()
		held++
	}
	if held == 0 || held == 64 {
		t.Fatalf("could not use up the ports: %d connections", held)
	}
	for _, attempt := range []attempt{su(opened, closed), sudo(closed), su(closed, opened)} {
		if r := attempt.run(); r.in(closed) || r.in(opened) || r.in("root") {
			t.Errorf("%q got in with all local ports in use", attempt.command)
		}
	}
}
