package client

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// connectionTable is where the kernel tells how many connections it keeps track of, and how many it can. Machines
// without a firewall have no such place.
const connectionTable = "/proc/sys/net/netfilter"

// tableFull reports whether fewer than one in twenty places of the table are free. The kernel drops the packets of
// new connections when none is, and any user can see to that: what follows looks like a server's silence.
func tableFull(dir string) bool {
	count, limit := number(filepath.Join(dir, "nf_conntrack_count")), number(filepath.Join(dir, "nf_conntrack_max"))
	return limit > 0 && count >= limit-limit/20
}

// number is 0 for what is not there or none.
func number(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// lacksIPv6 reports whether err is about an IPv6 address on a machine where IPv6 is switched off. The kernel then
// gives the error number of local ports used up (EADDRNOTAVAIL), but nobody has used anything up.
func lacksIPv6(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Addr != nil && isIPv6(op.Addr) && !hasIPv6()
}

func isIPv6(a net.Addr) bool {
	host, _, err := net.SplitHostPort(a.String())
	return err == nil && strings.Contains(host, ":")
}

// hasIPv6 says yes where it cannot tell.
func hasIPv6() bool {
	addresses, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(addresses, func(a net.Addr) bool {
		network, ok := a.(*net.IPNet)
		return !ok || network.IP.To4() == nil
	})
}
