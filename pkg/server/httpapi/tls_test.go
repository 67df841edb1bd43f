package httpapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pool trusts the authority in dir and nothing else.
func pool(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(data) {
		t.Fatal("no certificate in the authority's file")
	}
	return p
}

func leafOf(t *testing.T, conf *tls.Config) *x509.Certificate {
	t.Helper()
	c, err := conf.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func TestSelfSigned(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	names := LeafNames(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, "latch.example.org")
	conf, err := SelfSigned(dir, names, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, CAKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the authority's key: %v, %v", info, err)
	}
	roots := pool(t, dir)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "192.0.2.1", "latch.example.org"} {
		if _, err := leafOf(t, conf).Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := leafOf(t, conf).Verify(x509.VerifyOptions{DNSName: "example.org", Roots: roots, CurrentTime: now}); err == nil {
		t.Error("the leaf is good for a stranger's name")
	}

	if chain, err := conf.GetCertificate(nil); err != nil || len(chain.Certificate) != 2 || !roots.Equal(poolOf(chain.Certificate[1])) {
		t.Errorf("the authority does not go along, so that no host can show it to a person (%v)", err)
	}

	first := leafOf(t, conf)
	now = now.Add(leafLife - leafRenew - time.Minute)
	if leafOf(t, conf) != first {
		t.Error("the leaf was renewed early")
	}
	for range 50 { // over ten years of renewals
		now = now.Add(60 * 24 * time.Hour)
		if now.After(first.NotBefore.Add(caLife)) {
			break
		}
		if _, err := leafOf(t, conf).Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots, CurrentTime: now}); err != nil {
			t.Fatalf("at %v: %v", now, err)
		}
	}
	if leafOf(t, conf).SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Error("the leaf was never renewed")
	}
}

func poolOf(der []byte) *x509.CertPool {
	p := x509.NewCertPool()
	if cert, err := x509.ParseCertificate(der); err == nil {
		p.AddCert(cert)
	}
	return p
}

func TestTheAuthorityIsKept(t *testing.T) {
	dir := t.TempDir()
	if _, err := SelfSigned(dir, []string{"localhost"}, time.Now); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SelfSigned(dir, []string{"localhost"}, time.Now); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, CAFile)); !slices.Equal(before, after) {
		t.Error("a restart made a new authority")
	}
	for _, name := range []string{CAKeyFile, CAFile} {
		moved := filepath.Join(dir, name)
		if err := os.Rename(moved, moved+".away"); err != nil {
			t.Fatal(err)
		}
		if _, err := SelfSigned(dir, []string{"localhost"}, time.Now); err == nil {
			t.Errorf("without %s a new authority was made", name)
		}
		if err := os.Rename(moved+".away", moved); err != nil {
			t.Fatal(err)
		}
	}
}

// writePair puts a fresh certificate and its key into two files.
func writePair(t *testing.T, certFile, keyFile string) *x509.Certificate {
	t.Helper()
	a, err := makeAuthority(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.issue([]string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c.Leaf
}

// TestHalfAnAuthorityIsNotKept: a first start that fails must not stop the next one.
func TestHalfAnAuthorityIsNotKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(dir, CAFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := SelfSigned(dir, nil, time.Now); err == nil {
		t.Fatal("a link was followed")
	}
	if err := os.Remove(filepath.Join(dir, CAFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := SelfSigned(dir, nil, time.Now); err != nil {
		t.Error(err)
	}
	path := filepath.Join(dir, CAFile)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SelfSigned(dir, nil, time.Now); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("an empty certificate: %v", err)
	}
}

func TestCertificateFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	now, warned := time.Now(), 0
	load := func() (*tls.Config, error) {
		return FromFiles(certFile, keyFile, func() time.Time { return now }, func(error) { warned++ })
	}
	if _, err := load(); err == nil {
		t.Error("missing files were taken")
	}
	first := writePair(t, certFile, keyFile)
	conf, err := load()
	if err != nil {
		t.Fatal(err)
	}
	serves := func(want *x509.Certificate) {
		t.Helper()
		now = now.Add(reloadEvery)
		if got := leafOf(t, conf); !got.Equal(want) {
			t.Errorf("serves serial %v, want %v", got.SerialNumber, want.SerialNumber)
		}
	}
	serves(first)
	second := writePair(t, certFile, keyFile)
	serves(second)
	if warned != 0 {
		t.Errorf("%d warnings about good files", warned)
	}
	if err := os.WriteFile(certFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	serves(second)
	serves(second)
	if warned != 1 {
		t.Errorf("%d warnings about one bad change", warned)
	}
	third := writePair(t, certFile, keyFile)
	serves(third)
}

// slowCall is a call whose answer a test holds back.
type slowCall struct{ begun, finish chan struct{} }

// serve serves b's store over TLS and returns the address, a call "slow", and what ends it.
func (b *bed) serve(dir string) (addr string, slow slowCall, stop func() error) {
	b.t.Helper()
	slow = slowCall{make(chan struct{}), make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	conf, err := SelfSigned(dir, LeafNames(l.Addr(), ""), time.Now)
	b.must(err)
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	s := New(Options{Store: b.store, Now: b.now})
	s.handle("GET slow", s.guard(s.applicationSigner, func(*request) (any, error) {
		close(slow.begun)
		<-slow.finish
		return nil, nil
	}))
	go func() { ended <- s.Serve(ctx, l, conf) }()
	b.t.Cleanup(cancel)
	return l.Addr().String(), slow, func() error { cancel(); return <-ended }
}

func TestServeStopsGracefully(t *testing.T) {
	b := newBed(t)
	dir := t.TempDir()
	addr, call, stop := b.serve(dir)
	b.url = "https://" + addr
	b.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool(t, dir)}}
	b.is(b.call("GET", "operation", nil), `{"data":{"operations":{}}}`)
	slow, stopped := make(chan string, 1), make(chan error, 1)
	go func() { slow <- b.call("GET", "slow", nil) }()
	<-call.begun
	go func() { stopped <- stop() }()
	eventually(func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	}) // it listens no more, and the call is still under way
	close(call.finish)
	b.is(<-slow, `{}`)
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	b := newBed(t)
	dir := t.TempDir()
	addr, _, _ := b.serve(dir)
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool(t, dir), MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestOneRequestAtATimeOnAConnection(t *testing.T) {
	b := newBed(t)
	dir := t.TempDir()
	addr, _, _ := b.serve(dir)
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool(t, dir), NextProtos: []string{"h2", "http/1.1"}})
	b.must(err)
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("the server speaks %q", got)
	}
}

// TestEveryLimitIsSet: of the limits of time only one is waited for below.
func TestEveryLimitIsSet(t *testing.T) {
	srv := newBed(t).server.httpServer(nil)
	for name, limit := range map[string]int64{
		"header": int64(srv.ReadHeaderTimeout), "body": int64(srv.ReadTimeout), "answer": int64(srv.WriteTimeout),
		"idle": int64(srv.IdleTimeout), "header's size": int64(srv.MaxHeaderBytes),
	} {
		if limit <= 0 {
			t.Errorf("%s: no limit", name)
		}
	}
}

// TestSlowClientsAreCutOff sends a header that never ends, byte by byte, until the server hangs up; a server that does not hangs
// this test. The limit is shorter here than in service.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	srv := b.server.httpServer(nil)
	srv.ReadHeaderTimeout = 100 * time.Millisecond
	go srv.Serve(l)
	defer srv.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	b.must(err)
	defer c.Close()
	for text := "GET /api/1.3/operation HTTP/1.1\r\nHost: x\r\nX-Slow: "; err == nil; text = "x" {
		_, err = io.WriteString(c, text)
		time.Sleep(10 * time.Millisecond)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	b := newBed(t)
	dir := t.TempDir()
	addr, _, _ := b.serve(dir)
	huge, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool(t, dir)})
	b.must(err)
	defer huge.Close()
	go func() {
		io.WriteString(huge, "GET / HTTP/1.1\r\nHost: x\r\nX-Big: ")
		for range 1 << 10 {
			if _, err := huge.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	}()
	answer := make([]byte, 12)
	if _, err := io.ReadFull(huge, answer); err == nil && string(answer) == "HTTP/1.1 200" {
		t.Error("a header of a mebibyte was taken")
	}
}

// TestServersThatStartAtOnceShareTheAuthority: each looks for it and finds none.
func TestServersThatStartAtOnceShareTheAuthority(t *testing.T) {
	dir := t.TempDir()
	var found sync.Map
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			a, err := findAuthority(dir, time.Now())
			if err != nil {
				t.Error(err)
				return
			}
			found.Store(string(a.cert.Raw), true)
		})
	}
	all.Wait()
	n := 0
	found.Range(func(_, _ any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d authorities", n)
	}
}

// TestAStartThatWasKilledStopsNoLaterOne: after each file that it wrote.
func TestAStartThatWasKilledStopsNoLaterOne(t *testing.T) {
	whole := t.TempDir()
	if _, err := findAuthority(whole, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, there := range [][3]string{ // certificate, key, certificate
		{"ca.pem.new"}, {"ca.pem.new", "ca.key.new"}, {"ca.pem.new", "ca.key"}, {"ca.pem", "ca.key", "ca.pem.new"},
	} {
		dir := t.TempDir()
		for j, from := range []string{CAFile, CAKeyFile, CAFile} {
			if there[j] == "" {
				continue
			}
			if err := os.Link(filepath.Join(whole, from), filepath.Join(dir, there[j])); err != nil {
				t.Fatal(err)
			}
		}
		first, err := findAuthority(dir, time.Now())
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		second, err := findAuthority(dir, time.Now())
		if err != nil || !first.cert.Equal(second.cert) {
			t.Errorf("%d: another one at the next start: %v", i, err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || len(left) > 0 {
			t.Errorf("%d: %v is left, %v", i, left, err)
		}
	}
}
