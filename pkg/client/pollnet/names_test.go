package pollnet

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func parsed(t testing.TB, hosts, resolv string, wanted ...string) *Names {
	t.Helper()
	n, err := ParseNames(strings.NewReader(hosts), strings.NewReader(resolv), wanted...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func addrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// TestLocalNames: what needs no name server. localhost does not even need the file.
func TestLocalNames(t *testing.T) {
	const file = "# comment\n127.0.1.1 web1\n192.0.2.7\tlatch.example.org latch # 192.0.2.9 other\n2001:db8::7 LATCH.example.org.\n" +
		"192.0.2.8 other.example.org\nnonsense latch.example.org\n192.0.2.9\n::ffff:192.0.2.10 mapped\n10.0.0.1 pinned.localhost"
	loopback := addrs("::1", "127.0.0.1")
	for name, want := range map[string][]netip.Addr{
		"latch.example.org": addrs("192.0.2.7", "2001:db8::7"), "Latch.Example.ORG.": addrs("192.0.2.7", "2001:db8::7"),
		"mapped": addrs("192.0.2.10"), "elsewhere.example.org": nil,
		"localhost": loopback, "LOCALHOST.": loopback, "latch.localhost": loopback, "notlocalhost": nil, "localhost.example.org": nil,
		"pinned.localhost": addrs("10.0.0.1"),
		"192.0.2.1":        addrs("192.0.2.1"), "::ffff:192.0.2.1": addrs("192.0.2.1"), "2001:db8::1": addrs("2001:db8::1"), "fe80::1%lo": addrs("fe80::1%lo"),
	} {
		if got := parsed(t, file, "", name).local(name); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if n := parsed(t, file, "", "web1"); len(n.hosts) != 1 {
		t.Errorf("names that nobody wants are kept: %v", n.hosts)
	}
}

func TestResolverFile(t *testing.T) {
	n := parsed(t, "", "; comment\n# comment\nnameserver 192.0.2.53\nnameserver fe80::53%eth0\nnameserver nonsense\nnameserver 2001:db8::53 # two\n"+
		"nameserver 192.0.2.99\nsearch ignored.example\ndomain a.example.\nsearch b.example c.example.\n"+
		"options ndots:2 timeout:3 attempts:4 rotate use-vc edns0 ndots:x trust-ad\n")
	r := n.resolver
	if len(r.servers) != 3 || r.servers[0].String() != "192.0.2.53:53" || r.servers[1].Addr().Zone() != "eth0" ||
		r.ndots != 2 || r.timeout != 3*time.Second || r.attempts != 4 || !r.rotate || !r.tcp {
		t.Errorf("read as %+v", r)
	}
	for name, want := range map[string]string{
		"latch":      "latch.b.example. latch.c.example. latch.",
		"latch.lan":  "latch.lan.b.example. latch.lan.c.example. latch.lan.",
		"x.latch.it": "x.latch.it. x.latch.it.b.example. x.latch.it.c.example.",
		"latch.":     "latch.",
	} {
		if got := strings.Join(r.candidates(name), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if empty := parsed(t, "", "").resolver; len(empty.servers) != 2 || empty.ndots != 1 || empty.attempts != 2 || empty.timeout != 5*time.Second {
		t.Errorf("an empty file is %+v", empty)
	}
}

// TestMissingFiles: a container may have neither file, and no resolver minds.
func TestMissingFiles(t *testing.T) {
	r, err := openOrEmpty(t.TempDir() + "/none")
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := openOrEmpty(t.TempDir() + "/none/\x00"); err == nil {
		t.Error("a file that cannot be opened is taken for a missing one")
	}
}
