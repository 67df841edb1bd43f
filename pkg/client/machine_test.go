package client

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// TestLocalPortsUsedUp: any user can use up the ports to one address, of IPv6 too. Only where IPv6 is switched off does the
// same error number say nothing. The tests of hosts switch it off; this one takes the machine as it is.
func TestLocalPortsUsedUp(t *testing.T) {
	for address, local := range map[string]bool{"192.0.2.1": true, "2001:db8::1": hasIPv6()} {
		err := fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(address), Port: 443},
			Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)})
		if isFault(err) != local {
			t.Errorf("%s: a fault of this machine %v, want %v", address, isFault(err), local)
		}
		if want := map[bool]Kind{true: KindLocal, false: KindNoAnswer}[local]; kindOfTransport(err, false) != want {
			t.Errorf("%s: %v, want %v", address, kindOfTransport(err, false), want)
		}
	}
}
