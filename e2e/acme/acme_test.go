package acme

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// capable runs a command as nobody who may listen at ports below 1024, as the systemd unit has it.
var capable = []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all,+net_bind_service",
	"--ambient-caps=-all,+net_bind_service", "--bounding-set=-all,+net_bind_service"}

// TestCertificateAtPort443: TLS-ALPN-01, by the port that people use, without root and without a capability left.
func TestCertificateAtPort443(t *testing.T) {
	ca, stopAuthority := authority(t)
	dir := data(t, "https://"+name)
	args := []string{"--data", dir, "--listen", "127.0.0.1:443", "--acme", "--acme-email", "ops@example.org", "--acme-directory", directory, "--acme-ca", ca}
	s := serve(t, capable, args...)
	until(t, "a certificate", s.log.String, func() bool { return strings.Contains(s.log.String(), "certificate by ACME is there") })
	pool := roots(t, ca)
	cert := s.certificate("443", pool)
	if len(cert.DNSNames) != 1 || cert.DNSNames[0] != name {
		t.Errorf("the certificate is for %v", cert.DNSNames)
	}
	hasNoCapability(t, s)
	isPrivate(t, filepath.Join(dir, "acme"))

	// A restart asks nobody for another one.
	s.stop()
	stopAuthority()
	s = serve(t, capable, args...)
	if again := s.certificate("443", pool); again.SerialNumber.Cmp(cert.SerialNumber) != 0 {
		t.Error("after a restart it is another certificate")
	}
	if _, err := tls.Dial("tcp", "127.0.0.1:443", &tls.Config{InsecureSkipVerify: true, ServerName: "another.example.org"}); err == nil {
		t.Error("it has a certificate for another name")
	}
}

// TestCertificateByPort80: HTTP-01 where port 443 is somebody else's; root gives itself up before the database is touched.
func TestCertificateByPort80(t *testing.T) {
	ca, _ := authority(t)
	dir := data(t, "https://"+name+":8443")
	s := serve(t, nil, "--data", dir, "--listen", "127.0.0.1:8443", "--acme", "--acme-http", "127.0.0.1:80", "--acme-directory", directory, "--acme-ca", ca)
	until(t, "a certificate", s.log.String, func() bool { return strings.Contains(s.log.String(), "certificate by ACME is there") })
	s.certificate("8443", roots(t, ca))
	hasNoCapability(t, s)

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]string{"/signin?next=%2F": "/signin?next=%2F", "//evil.example/": "//evil.example/"} {
		r, err := http.NewRequest("GET", "http://127.0.0.1:80"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.example"
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); to != "https://"+name+":8443"+want {
			t.Errorf("%s leads to %q", path, to)
		}
	}
	resp, err := client.Post("http://127.0.0.1:80/", "text/plain", strings.NewReader("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a POST in the clear is answered %s", resp.Status)
	}
}

// TestAnAuthorityThatIsAway is told in the log, and the server goes on.
func TestAnAuthorityThatIsAway(t *testing.T) {
	ca, stopAuthority := authority(t)
	stopAuthority()
	s := serve(t, nil, "--data", data(t, "https://"+name), "--listen", "127.0.0.1:443", "--acme", "--acme-directory", directory, "--acme-ca", ca)
	until(t, "the log says so", s.log.String, func() bool { return strings.Contains(s.log.String(), "no certificate by ACME") })
	conn, err := net.Dial("tcp", "127.0.0.1:443")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// hasNoCapability looks at every thread of the server, which must be nobody's by now.
func hasNoCapability(t *testing.T, s *server) {
	t.Helper()
	files, err := filepath.Glob("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/task/*/status")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue // a thread that has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			name, value, _ := strings.Cut(line, ":")
			switch name {
			case "CapEff", "CapPrm", "CapInh", "CapAmb":
				if strings.Trim(value, "\t0") != "" {
					t.Errorf("%s has %s", file, line)
				}
			case "Uid":
				if strings.Contains(value, "\t0") {
					t.Errorf("%s has %s", file, line)
				}
			}
		}
	}
}

// isPrivate holds that nobody but its owner reads a directory and what is in it.
func isPrivate(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, path := range append([]string{dir}, names(dir, entries)...) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, info.Mode())
		}
	}
}

func names(dir string, entries []os.DirEntry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, filepath.Join(dir, e.Name()))
	}
	return list
}
