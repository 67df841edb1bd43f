// Package openvpn proves `latch install openvpn` with a real OpenVPN server and real clients, on a machine of the tests'
// own (fixture.Isolate). Everything here needs root.
package openvpn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

const (
	cli      = "/usr/local/bin/latch"
	confFile = "/etc/latch/openvpn.conf"
	keys     = "/etc/openvpn/keys"
	vpnConf  = "/etc/openvpn/server/vpn.conf"
	pamFile  = "/etc/pam.d/openvpn"
)

// Local users. All have fixture.Password; ana and bob are paired, eva is not.
const ana, bob, eva = "ana", "bob", "eva"

// nowhere is an address on this machine's own loopback where nobody listens.
const nowhere = "https://127.0.0.1:1"

var bed struct {
	server *fixture.Server
	app    fixture.App
	conf   fixture.Conf
	log    *fixture.Syslog
}

func TestMain(m *testing.M) {
	_, _ = pidsGroup() // the test that needs it tells what was wrong
	os.Exit(fixture.Main(m, func() { _ = bed.server.Stop() }, install, serve, makeUsers, makeKeys, makeTun))
}

func run(program string, args ...string) error {
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, out)
	}
	return nil
}

func install() (err error) {
	if bed.log, err = fixture.ListenSyslog(); err != nil {
		return err
	}
	// pam_unix waits two seconds after a wrong password, which tells nothing here.
	if err := run("sed", "-i", "s/pam_unix.so nullok/pam_unix.so nullok nodelay/", "/etc/pam.d/common-auth"); err != nil {
		return err
	}
	return fixture.MakeInstall()
}

func serve() (err error) {
	if bed.server, err = fixture.StartServer("/usr/local/bin/latch-server", "/run/latch-server"); err != nil {
		return err
	}
	if bed.app, err = bed.server.AddApp("vpn"); err != nil {
		return err
	}
	bed.conf = fixture.NewConf(bed.server, bed.app)
	_, err = bed.conf.Write(confFile)
	return err
}

// makeUsers pairs as the how-to guides say, with pairOVPN.
func makeUsers() error {
	for i, name := range []string{ana, bob, eva} {
		if _, err := fixture.AddUser(name, 7201+i); err != nil {
			return err
		}
		if err := bed.server.AddUser(name); err != nil {
			return err
		}
	}
	for _, name := range []string{ana, bob} {
		code, err := bed.server.Code(name)
		if err != nil {
			return err
		}
		if err := run("/usr/local/bin/pairOVPN", code, "--user", name); err != nil {
			return err
		}
	}
	return nil
}

// makeKeys makes an authority, and a certificate for the server and one for all clients.
func makeKeys() error {
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return err
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "VPN"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := certify("ca", authority, authority, key, key); err != nil {
		return err
	}
	for name, usage := range map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth} {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(2 + int64(usage)), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
			KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter}
		if err := certify(name, template, authority, own, key); err != nil {
			return err
		}
	}
	return nil
}

func certify(name string, template, authority *x509.Certificate, own, signer *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, template, authority, &own.PublicKey, signer)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(keys, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(keys, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600)
}

// makeTun lays the device that the machine of the tests' own does without.
func makeTun() error {
	if err := os.MkdirAll("/dev/net", 0o755); err != nil {
		return err
	}
	return syscall.Mknod("/dev/net/tun", syscall.S_IFCHR|0o666, 10<<8|200)
}

// latch runs the installed program as root and returns what it wrote, and its exit status.
func latch(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(cli, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must runs latch and expects success.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, status := latch(t, args...)
	if status != 0 {
		t.Fatalf("latch %q: %d\n%s", args, status, out)
	}
	return out
}

// configure changes the configuration for the time of a test.
func configure(t *testing.T, c fixture.Conf) {
	t.Helper()
	t.Cleanup(func() {
		if _, err := bed.conf.Write(confFile); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.Write(confFile); err != nil {
		t.Fatal(err)
	}
}

// closeLatch closes a latch for the time of a test.
func closeLatch(t *testing.T, user string) {
	t.Helper()
	t.Cleanup(func() {
		if err := bed.server.Open(user); err != nil {
			t.Error(err)
		}
	})
	if err := bed.server.Close(user); err != nil {
		t.Fatal(err)
	}
}
