package pollnet

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Files that say how names become addresses.
const (
	hostsFile    = "/etc/hosts"
	resolverFile = "/etc/resolv.conf"
)

// Names is how the names of a few hosts become addresses: by /etc/hosts, else by the name servers of /etc/resolv.conf. NSS and
// its modules are not used, whatever nsswitch.conf says.
type Names struct {
	hosts    map[string][]netip.Addr // by name in lower case
	resolver resolver
}

// resolver is resolv.conf(5).
type resolver struct {
	servers  []netip.AddrPort
	search   []string // each ends in a dot
	ndots    int
	attempts int
	timeout  time.Duration
	rotate   bool
	tcp      bool
}

// ReadNames reads the machine's files as far as they concern these hosts.
func ReadNames(hosts ...string) (*Names, error) {
	table, err := openOrEmpty(hostsFile)
	if err != nil {
		return nil, err
	}
	defer table.Close()
	servers, err := openOrEmpty(resolverFile)
	if err != nil {
		return nil, err
	}
	defer servers.Close()
	return ParseNames(table, servers, hosts...)
}

// openOrEmpty takes a missing file for an empty one, as every resolver does.
func openOrEmpty(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	return f, err
}

// ParseNames reads the texts of hosts(5) and resolv.conf(5) as far as they concern these hosts.
func ParseNames(hosts, resolv io.Reader, wanted ...string) (*Names, error) {
	n := &Names{hosts: map[string][]netip.Addr{}}
	for _, name := range wanted {
		n.hosts[plain(name)] = nil
	}
	if err := lines(hosts, n.hostsLine); err != nil {
		return nil, err
	}
	n.resolver = resolver{ndots: 1, attempts: 2, timeout: 5 * time.Second}
	if err := lines(resolv, n.resolver.line); err != nil {
		return nil, err
	}
	n.resolver.complete()
	return n, nil
}

// lines hands on the words of each line, without comments.
func lines(r io.Reader, line func(words []string)) error {
	for in := bufio.NewReader(r); ; {
		text, err := in.ReadString('\n')
		if end := strings.IndexAny(text, "#;"); end >= 0 {
			text = text[:end]
		}
		if words := strings.Fields(text); len(words) > 0 {
			line(words)
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// plain is a name as names are compared.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func (n *Names) hostsLine(words []string) {
	addr, err := netip.ParseAddr(words[0])
	if err != nil {
		return
	}
	for _, name := range words[1:] {
		name = plain(name)
		if known, wanted := n.hosts[name]; wanted {
			n.hosts[name] = append(known, addr.Unmap())
		}
	}
}

// maxServers is how many name servers count, here as in the C library.
const maxServers = 3

func (r *resolver) line(words []string) {
	values := words[1:]
	switch words[0] {
	case "nameserver":
		if len(values) > 0 && len(r.servers) < maxServers {
			if addr, err := netip.ParseAddr(values[0]); err == nil {
				r.servers = append(r.servers, netip.AddrPortFrom(addr, 53))
			}
		}
	case "domain", "search":
		r.search = nil
		for _, domain := range values {
			if domain = strings.Trim(domain, "."); domain != "" {
				r.search = append(r.search, domain+".")
			}
		}
	case "options":
		for _, option := range values {
			r.option(option)
		}
	}
}

func (r *resolver) option(text string) {
	name, value, _ := strings.Cut(text, ":")
	number, err := strconv.Atoi(value)
	switch {
	case name == "rotate":
		r.rotate = true
	case name == "use-vc":
		r.tcp = true
	case err != nil:
	case name == "ndots":
		r.ndots = max(0, min(number, 15))
	case name == "timeout":
		r.timeout = time.Duration(max(1, min(number, 30))) * time.Second
	case name == "attempts":
		r.attempts = max(1, min(number, 5))
	}
}

// complete fills in what a file without these lines means.
func (r *resolver) complete() {
	if len(r.servers) == 0 {
		r.servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")}
	}
	if r.search != nil {
		return
	}
	var system unix.Utsname
	if unix.Uname(&system) != nil {
		return
	}
	if _, domain, found := strings.Cut(unix.ByteSliceToString(system.Nodename[:]), "."); found && domain != "" {
		r.search = []string{strings.TrimSuffix(domain, ".") + "."}
	}
}

// candidates are the full names that a name may stand for, in the order in which they are tried.
func (r *resolver) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var all []string
	absolute := name + "."
	few := strings.Count(name, ".") < r.ndots
	if !few {
		all = append(all, absolute)
	}
	for _, domain := range r.search {
		all = append(all, absolute+domain)
	}
	if few {
		all = append(all, absolute)
	}
	return all
}

// local returns what needs no name server: addresses, the hosts file, and the names that always mean this machine (RFC 6761,
// section 6.3).
func (n *Names) local(name string) []netip.Addr {
	if addr, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{addr.Unmap()}
	}
	name = plain(name)
	if known := n.hosts[name]; len(known) > 0 {
		return known
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}
	}
	return nil
}

func notFound(name, server string) error {
	return &net.DNSError{Err: "no such host", Name: name, Server: server, IsNotFound: true}
}
