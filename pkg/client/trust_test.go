package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// stock is what crypto/tls makes of a server by itself, in our words.
func stock(t *testing.T, s *latchtest.Server, ca []byte) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots}}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.URL.Host)
	var bad *tls.CertificateVerificationError
	switch {
	case errors.As(err, &bad):
		return "bad-certificate"
	case err != nil:
		return "wrong-answer"
	}
	conn.Close()
	return "open"
}

// TestTrustIsAsStrictAsCryptoTLS: we verify chains ourselves, and come to the verdict of a stock tls.Config.
func TestTrustIsAsStrictAsCryptoTLS(t *testing.T) {
	for _, fault := range latchtest.Names() {
		if fault != "none" && !strings.HasPrefix(fault, "tls: ") {
			continue
		}
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := start(t, fault)
			status, err := ask(clientFor(t, s))
			if got, want := word(status, err), stock(t, s, s.CA); got != want {
				t.Errorf("%s, crypto/tls says %s; %v", got, want, err)
			}
		})
	}
}

// TestTrustInOneCertificate: ca_file may hold any certificate of the chain, as x509.CertPool may.
func TestTrustInOneCertificate(t *testing.T) {
	s := start(t, "tls: chain")
	for i, cert := range chainOf(t, s) {
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
		o := optionsFor(t, s)
		o.CAFile = caFile(t, ca)
		status, err := ask(clientOf(t, o))
		if got, want := word(status, err), stock(t, s, ca); got != want || got != "open" {
			t.Errorf("certificate %d: %s, crypto/tls says %s; %v", i, got, want, err)
		}
	}
}

func chainOf(t *testing.T, s *latchtest.Server) []*x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", s.URL.Host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates
}

// TestBrokenCAFile: what is wrong with a file of this machine is no certificate of the server's.
func TestBrokenCAFile(t *testing.T) {
	s := start(t, "none")
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	for name, text := range map[string][]byte{
		"empty": nil, "text": []byte("no PEM"), "cut short": s.CA[:len(s.CA)/2], "a key": key,
		"no certificate inside": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
	} {
		o := optionsFor(t, s)
		o.CAFile = caFile(t, text)
		if status, err := ask(clientOf(t, o)); word(status, err) != "local-failure" {
			t.Errorf("%s: %s, %v", name, word(status, err), err)
		}
	}
	for name, spoil := range map[string]func(path string) error{
		"missing":          os.Remove,
		"others may write": func(path string) error { return os.Chmod(path, 0o666) },
		"a directory":      func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"too large":        func(path string) error { return os.Truncate(path, bundleLimit+1) },
	} {
		o := optionsFor(t, s)
		if err := spoil(o.CAFile); err != nil {
			t.Fatal(err)
		}
		if status, err := ask(clientOf(t, o)); word(status, err) != "local-failure" {
			t.Errorf("%s: %s, %v", name, word(status, err), err)
		}
	}
}

// TestEnvironmentIsIgnored spoils the environment of another process, since Go reads much of it only once.
func TestEnvironmentIsIgnored(t *testing.T) {
	s, stranger := start(t, "none"), start(t, "none")
	keys := filepath.Join(t.TempDir(), "keys")
	nobody := "http://127.0.0.1:1"
	got := runChild(t, "environment",
		"HTTPS_PROXY="+nobody, "https_proxy="+nobody, "HTTP_PROXY="+nobody, "ALL_PROXY="+nobody, "all_proxy="+nobody,
		"SSL_CERT_FILE="+caFile(t, stranger.CA), "SSL_CERT_DIR=/nonexistent", "SSLKEYLOGFILE="+keys, "GODEBUG=tls10server=1,x509sha1=1,netdns=cgo",
		"OWN="+s.URL.String(), "CA="+caFile(t, s.CA), "STRANGER="+stranger.URL.String())
	want := "ours open, stranger's bad-certificate, without ca_file bad-certificate, proxy <nil>; stock: stranger's 200 OK, proxy " + nobody
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := os.Stat(keys); err == nil {
		t.Error("the session's keys were written")
	}
}

// environmentChild tells what our client and, to show that the environment bites, what a stock one makes of it.
func environmentChild() int {
	bundles = []string{os.Getenv("CA")} // in the system's place
	askAt := func(address, ca string) string {
		c, err := New(Options{Host: mustParse(address), Credentials: credentials(), APIVersion: "1.3", CAFile: ca, ReadCAFile: securefile.Read})
		if err != nil {
			return err.Error()
		}
		return word(ask(c))
	}
	own, stranger, ca := os.Getenv("OWN"), os.Getenv("STRANGER"), os.Getenv("CA")
	c, err := New(Options{Host: mustParse(own), CAFile: ca, ReadCAFile: securefile.Read})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	proxy := "none"
	if p := c.transport(&try{local: &Local{}}).Proxy; p == nil {
		proxy = "<nil>"
	}
	verdict := ""
	if resp, err := http.Get(stranger); err == nil {
		verdict = resp.Status
		resp.Body.Close()
	}
	stockProxy, _ := http.ProxyFromEnvironment(&http.Request{URL: mustParse("https://latch.example.org")})
	fmt.Printf("ours %s, stranger's %s, without ca_file %s, proxy %s; stock: stranger's %s, proxy %v\n",
		askAt(own, ca), askAt(stranger, ca), askAt(stranger, ""), proxy, verdict, stockProxy)
	return 0
}

func mustParse(address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u
}

// TestNoDescriptorsLeft: limits of this machine are no server's silence, not even where net's errors hide them.
func TestNoDescriptorsLeft(t *testing.T) {
	s := start(t, "connect: refused")
	got := runChild(t, "descriptors", "OWN="+s.URL.String(), "CA="+caFile(t, s.CA))
	if want := "before no-answer, address local-failure, name local-failure, ca_file local-failure"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func descriptorsChild() int {
	own, ca := os.Getenv("OWN"), os.Getenv("CA")
	client := func(address string) *Client {
		c, err := New(Options{Host: mustParse(address), Credentials: credentials(), APIVersion: "1.3", CAFile: ca, ReadCAFile: securefile.Read, Retries: 1})
		if err != nil {
			panic(err)
		}
		return c
	}
	address, name := client(own), client("https://latch.invalid")
	for _, c := range []*Client{address, name} {
		if err := c.Prepare(context.Background()); err != nil {
			panic(err)
		}
	}
	before := word(ask(address))
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	for {
		if _, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0); err != nil {
			break
		}
	}
	fmt.Printf("before %s, address %s, name %s, ca_file %s\n", before, word(ask(address)), word(ask(name)), word(ask(client(own))))
	return 0
}
