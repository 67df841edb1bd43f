package httpapi

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Names of the files of our own certificate authority in the data directory.
const (
	CAFile    = "ca.pem"
	CAKeyFile = "ca.key"
)

// Lives of our own certificates. A leaf is made anew, in memory, when less than a third of its life
// is left; hosts trust the authority, so they notice nothing.
const (
	caLife    = 10 * 365 * 24 * time.Hour
	leafLife  = 90 * 24 * time.Hour
	leafRenew = leafLife / 3
	backdate  = time.Hour // for hosts whose clock is behind
)

// tlsConfig is what both kinds of certificate share.
func tlsConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
}

// SelfSigned returns a configuration whose certificate is signed by the authority in dir, which is
// made (10 years, EC P-256, key 0600) if it is not there. names are host names and addresses.
func SelfSigned(dir string, names []string, now func() time.Time) (*tls.Config, error) {
	ca, err := findAuthority(dir, now())
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	l := &leafSource{ca: ca, names: names, now: now}
	if _, err := l.get(nil); err != nil {
		return nil, err
	}
	return tlsConfig(l.get), nil
}

// authority signs leaves.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// findAuthority loads the authority in dir, or makes it. Of several servers that start at once one makes it, and one that was killed
// meanwhile stops no later start.
func findAuthority(dir string, now time.Time) (*authority, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %q: %w", dir, err)
	}
	if err := finishAuthority(dir); err != nil {
		return nil, err
	}
	a, err := loadAuthority(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return makeAuthority(dir, now)
	}
	return a, err
}

func loadAuthority(dir string) (*authority, error) {
	certPEM, certErr := os.ReadFile(filepath.Join(dir, CAFile))
	keyPEM, keyErr := os.ReadFile(filepath.Join(dir, CAKeyFile))
	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		return nil, certErr
	}
	// One without the other is damage: a new authority would lock out every host that trusts the old.
	if certErr != nil {
		return nil, fmt.Errorf("read certificate: %v", certErr)
	}
	if keyErr != nil {
		return nil, fmt.Errorf("read key: %v", keyErr)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%q with %q: %w", filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile), err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%q is not a certificate authority", filepath.Join(dir, CAFile))
	}
	return &authority{cert: pair.Leaf, key: key}, nil
}

func makeAuthority(dir string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "latch-server on " + host},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key}, keepAuthority(dir, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// newSuffix is that of files that are not whole yet, or not in their place.
const newSuffix = ".new"

// keepAuthority puts both files in place, the key first. Who finds the key alone finds the certificate under its other name: it was
// not finished; without that one it was lost.
func keepAuthority(dir string, cert, key []byte) error {
	certFile, keyFile := filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile)
	err := errors.Join(writeNew(certFile+newSuffix, cert, 0o644), writeNew(keyFile+newSuffix, key, 0o600))
	if err != nil {
		return err
	}
	if err := appear(keyFile+newSuffix, keyFile); err != nil {
		return err
	}
	if err := appear(certFile+newSuffix, certFile); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	return nil
}

// finishAuthority puts a certificate in place that only its key has arrived of.
func finishAuthority(dir string) error {
	certFile := filepath.Join(dir, CAFile)
	for _, needed := range []string{certFile + newSuffix, filepath.Join(dir, CAKeyFile)} {
		if _, err := os.Stat(needed); err != nil {
			return nil // loading says what is missing
		}
	}
	err := appear(certFile+newSuffix, certFile)
	if errors.Is(err, fs.ErrExist) {
		err = os.Remove(certFile + newSuffix)
	}
	return err
}

// writeNew writes a file anew, to the disk.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// appear gives a whole file the name that it is found by, which nothing may have yet.
func appear(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	if err := os.Remove(from); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f // positive
	return new(big.Int).SetBytes(b)
}

// leafSource keeps one leaf and replaces it before it expires.
type leafSource struct {
	ca    *authority
	names []string
	now   func() time.Time

	mu   sync.Mutex
	leaf *tls.Certificate
}

func (l *leafSource) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.leaf != nil && now.Before(l.leaf.Leaf.NotAfter.Add(-leafRenew)) && now.After(l.leaf.Leaf.NotBefore) {
		return l.leaf, nil
	}
	leaf, err := l.ca.issue(l.names, now)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	l.leaf = leaf
	return leaf, nil
}

func (a *authority) issue(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "latch-server"},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	// The authority goes along, so that a host can show it to a person and pin it.
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// LeafNames are the names a self-signed leaf is made for: the listen address, the public host, this
// machine's name and localhost, each once.
func LeafNames(listen net.Addr, publicHost string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(publicHost)
	if host, err := os.Hostname(); err == nil {
		add(host)
	}
	if tcp, ok := listen.(*net.TCPAddr); ok && !tcp.IP.IsUnspecified() {
		add(tcp.IP.String())
	} else if ok {
		for _, ip := range machineAddresses() {
			add(ip)
		}
	}
	return names
}

// machineAddresses lists the addresses a server that listens everywhere can be asked at.
func machineAddresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	return list
}

// reloadEvery is how often certificate files are looked at.
const reloadEvery = 10 * time.Second

// FromFiles returns a configuration whose certificate is read again when its files change. A pair
// that cannot be used is not taken: the one in use goes on, and warn is told once.
func FromFiles(certFile, keyFile string, now func() time.Time, warn func(error)) (*tls.Config, error) {
	f := &fileSource{certFile: certFile, keyFile: keyFile, now: now, warn: warn}
	if err := f.load(); err != nil {
		return nil, err
	}
	return tlsConfig(f.get), nil
}

type fileSource struct {
	certFile, keyFile string
	now               func() time.Time
	warn              func(error)

	mu      sync.Mutex
	cert    *tls.Certificate
	content []byte // of both files, as last looked at
	checked time.Time
}

func (f *fileSource) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.checked) >= reloadEvery || now.Before(f.checked) {
		if err := f.load(); err != nil {
			f.warn(err)
		}
	}
	return f.cert, nil
}

func (f *fileSource) load() error {
	f.checked = f.now()
	certPEM, err := os.ReadFile(f.certFile)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(f.keyFile)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	content := slices.Concat(certPEM, []byte{0}, keyPEM)
	if bytes.Equal(content, f.content) {
		return nil
	}
	f.content = content
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("certificate %q with key %q: %w", f.certFile, f.keyFile, err)
	}
	f.cert = &pair
	return nil
}
