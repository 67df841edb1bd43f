// Package acme proves what latch-server does for a machine on the internet, on a machine of the tests' own
// (fixture.Isolate): certificates from a real authority (Let's Encrypt's own for tests), ports below 1024 without root, and a
// log that reaches syslog. Everything here needs root.
package acme

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

// name is the server's, known to this machine alone.
const name = "latch.example.org"

const (
	directory  = "https://127.0.0.1:14000/dir"
	management = "https://127.0.0.1:15000"
)

var bed struct {
	pebble  string // the authority's program
	server  string // latch-server
	scratch string
	log     *fixture.Syslog
}

func TestMain(m *testing.M) { os.Exit(fixture.Main(m, nil, locate, setUp)) }

func locate() error {
	root, err := fixture.Root()
	if err != nil {
		return err
	}
	bed.pebble = filepath.Join(root, "build", "test", "pebble")
	built, err := fixture.Built()
	bed.server = built.Server
	return err
}

func setUp() (err error) {
	hosts, err := os.OpenFile("/etc/hosts", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer hosts.Close()
	if _, err := fmt.Fprintf(hosts, "127.0.0.1 %s\n", name); err != nil {
		return err
	}
	if bed.log, err = fixture.ListenSyslog(); err != nil {
		return err
	}
	if bed.scratch, err = os.MkdirTemp("/run", "acme-"); err != nil {
		return err
	}
	if err := os.Chmod(bed.scratch, 0o755); err != nil {
		return err
	}
	// Where the tree lies, another user may not be able to go.
	program := filepath.Join(bed.scratch, "latch-server")
	text, err := os.ReadFile(bed.server)
	if err != nil {
		return err
	}
	bed.server = program
	return os.WriteFile(program, text, 0o755)
}

// output is what a process wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// begin starts a process for the time of a test and returns how to end it at once.
func begin(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cmd.Process.Signal(syscall.SIGTERM)
			kill := time.AfterFunc(fixture.Patience, func() { cmd.Process.Kill() })
			cmd.Wait()
			kill.Stop()
		})
	}
	t.Cleanup(stop)
	return stop
}

// authority starts pebble and returns the file of the CA that its directory is trusted by, and how to stop it.
func authority(t *testing.T) (caFile string, stop func()) {
	t.Helper()
	dir := folder(t)
	caFile = selfSigned(t, dir)
	conf, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
		"certificate": caFile, "privateKey": filepath.Join(dir, "key.pem"), "httpPort": 80, "tlsPort": 443,
		"retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bed.pebble, "-config", file)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	stop = begin(t, cmd)
	until(t, "the authority listens", out.String, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:14000")
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return caFile, stop
}

// folder is a fresh one that every user may go into.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(bed.scratch, "test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// selfSigned makes the certificate of the authority's own address.
func selfSigned(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"key.pem": {Type: "PRIVATE KEY", Bytes: keyDER}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert.pem")
}

// roots are what the authority's certificates are trusted by; pebble makes new ones at each start.
func roots(t *testing.T, caFile string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	text, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: fixture.Patience}
	resp, err := client.Get(management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("the authority's root is %q", text)
	}
	return pool
}

// data is a fresh data directory of nobody's, for a server at an address.
func data(t *testing.T, address string) string {
	t.Helper()
	dir := filepath.Join(folder(t), "latch-server")
	run(t, "init", "--data", dir, "--url", address, "--owner", "nobody")
	return dir
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(bed.server, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("latch-server %q: %v, %s", args, err, out)
	}
	return string(out)
}

// server is a latch-server under test.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *output
	stop func()
}

// serve starts one, through the command before it if any, and waits until it is ready.
func serve(t *testing.T, before []string, args ...string) *server {
	t.Helper()
	line := append(append(before, bed.server, "serve"), args...)
	s := &server{t: t, cmd: exec.Command(line[0], line[1:]...), log: &output{}}
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stop = begin(t, s.cmd)
	if first, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(first, "latch-server: ready") {
		t.Fatalf("first line %q, %v, %s", first, err, s.log)
	}
	return s
}

// until waits for something that has to happen.
func until(t *testing.T, what string, state func() string, happened func() bool) {
	t.Helper()
	if !fixture.Await(happened) {
		t.Fatalf("not within %v: %s\n%s", fixture.Patience, what, state())
	}
}

// certificate is what the server shows at a port to who asks for its name and trusts pool.
func (s *server) certificate(port string, pool *x509.CertPool) *x509.Certificate {
	s.t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: fixture.Patience}, "tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: pool, ServerName: name})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}
