package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// begin starts the program for the time of a test and returns its standard output.
func begin(t *testing.T, cmd *exec.Cmd) io.Reader {
	t.Helper()
	cmd.Env = append(os.Environ(), "LATCH_SERVER_TEST=run")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return out
}

func TestReadyLineAsJSON(t *testing.T) {
	b := newBed(t)
	cmd := exec.Command(os.Args[0], "serve", "--json", "--data", b.dir, "--listen", "127.0.0.1:0", "--tls-self-signed")
	out := begin(t, cmd)
	var ready struct {
		URL     string
		Version int
	}
	if err := json.NewDecoder(out).Decode(&ready); err != nil || ready.Version != 1 || !strings.HasPrefix(ready.URL, "https://127.0.0.1:") {
		t.Errorf("%+v, %v", ready, err)
	}
}

// TestTheAddressCanBeChanged: init is long ago when a server moves to another name.
func TestTheAddressCanBeChanged(t *testing.T) {
	b := newBed(t)
	b.serve("--tls-self-signed", "--url", "https://latch.example.org:8443").stop(syscall.SIGTERM)
	s := b.serve()
	defer s.stop(syscall.SIGTERM)
	if names := s.certificate().DNSNames; !strings.Contains(strings.Join(names, " "), "latch.example.org") {
		t.Errorf("the certificate is for %v", names)
	}
}

// certificate is the server's own.
func (s *serving) certificate() *x509.Certificate {
	s.b.t.Helper()
	resp, err := s.client.Get(s.url)
	if err != nil {
		s.b.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.TLS.PeerCertificates[0]
}

func TestAddressInUse(t *testing.T) {
	b := newBed(t)
	s := b.serve()
	defer s.stop(syscall.SIGTERM)
	b.fails(1, "name another address with --listen", "serve", "--tls-self-signed", "--listen", strings.TrimPrefix(s.url, "https://"))
}

// TestKeyThatTheOwnerCannotRead: root can, but the server is not root by the time it reads it again.
func TestKeyThatTheOwnerCannotRead(t *testing.T) {
	fixture.NeedsRoot(t)
	top, run := programOfRoot(t)
	dir, key := filepath.Join(top, "data"), filepath.Join(top, "tls.key")
	if out, err := run("init", "--owner", "nobody", "--data", dir); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run("serve", "--data", dir, "--listen", "127.0.0.1:0", "--tls-cert", key, "--tls-key", key)
	if err == nil || !strings.Contains(out, "must be readable for that owner") {
		t.Errorf("%v, %s", err, out)
	}
}

// TestNoCoreDump: the kernel shows by the owner of its files in /proc that a process makes none.
func TestNoCoreDump(t *testing.T) {
	fixture.NeedsRoot(t)
	top, run := programOfRoot(t)
	dir := filepath.Join(top, "data")
	if out, err := run("init", "--owner", "nobody", "--data", dir); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	cmd := exec.Command(filepath.Join(top, "latch-server"), "serve", "--data", dir, "--listen", "127.0.0.1:0", "--tls-self-signed")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out := begin(t, cmd)
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("it can dump core (%v)", err)
	}
}

func TestALineTooLongIsNoEndOfTheImport(t *testing.T) {
	b := newBed(t)
	b.ok("app", "add", "servers")
	cmd := exec.Command(os.Args[0], "user", "import", "servers", "--data", b.dir)
	cmd.Env = append(os.Environ(), "LATCH_SERVER_TEST=run")
	cmd.Stdin = strings.NewReader("ana\n" + strings.Repeat("x", 1<<17) + "\nbob\n")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	if err := cmd.Run(); err == nil || !strings.Contains(errOut.String(), "too long") {
		t.Errorf("%v, %s", err, errOut.String())
	}
}
