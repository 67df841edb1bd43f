package otpstore

import (
	"net/netip"
	"strings"
)

// AddressKey returns what guesses are counted by: the IPv4 address or IPv6 /64 of an SSH_CONNECTION ("client port server
// port") or of an address alone, or "" for a login that came from nowhere. It is never a name: names are the guesser's to choose.
func AddressKey(connection string) string {
	client, _, _ := strings.Cut(connection, " ")
	address, err := netip.ParseAddr(client)
	if err != nil {
		return ""
	}
	if address = address.Unmap().WithZone(""); address.Is4() {
		return address.String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return ""
	}
	return prefix.String()
}
