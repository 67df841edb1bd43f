package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/latch-linux/latch/pkg/client/pollnet"
)

// bundles are where distributions keep the CAs that the machine trusts, in the order of preference. A fixed
// list: crypto/x509 would take other places from the environment.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
	"/etc/ssl/cert.pem",                                 // Alpine
}

const bundleLimit = 8 << 20

// authorities are the CAs of one file, or the system's: DER certificates by their raw subjects. To parse the system's 140-odd
// certificates takes longer than the whole rest of a login, so only those are parsed that the presented chain names.
type authorities map[string][][]byte

// readAuthorities reads a file, or the system's if there is none.
func readAuthorities(file string, read ReadFile) (authorities, error) {
	path, bundle, err := file, []byte(nil), error(nil)
	if file != "" {
		bundle, err = read(path, bundleLimit)
	} else {
		path, bundle, err = systemBundle()
	}
	all := index(bundle)
	if err == nil && len(all) == 0 { // which must not pass for a server's bad certificate
		err = fmt.Errorf("%s holds no PEM certificate", path)
	}
	if err != nil && file != "" {
		err = fmt.Errorf("ca_file: %w", err)
	}
	return all, err
}

func systemBundle() (path string, bundle []byte, err error) {
	for _, path := range bundles {
		if bundle, err := os.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
			return path, bundle, err
		}
	}
	return "", nil, errors.New("this machine has no CA certificates; install ca-certificates or set ca_file")
}

// index decodes a PEM bundle as far as the subjects.
func index(bundle []byte) authorities {
	all := authorities{}
	for der := range certificates(bundle) {
		if subject := string(subjectOf(der)); subject != "" {
			all[subject] = append(all[subject], der)
		}
	}
	return all
}

// config checks the chain itself, with crypto/x509 and as strictly as crypto/tls does, but against the roots that
// the chain needs.
func (a authorities) config(host string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		InsecureSkipVerify: true, // VerifyConnection verifies
		VerifyConnection: func(cs tls.ConnectionState) error {
			return a.verify(cs.PeerCertificates, host, now())
		},
	}
}

func (a authorities) verify(chain []*x509.Certificate, host string, now time.Time) error {
	if len(chain) == 0 {
		return certificateError{errors.New("the server shows no certificate")}
	}
	wanted := map[string]bool{string(chain[0].RawSubject): true} // a server's own certificate may be trusted as such
	intermediates := x509.NewCertPool()
	for i, cert := range chain {
		wanted[string(cert.RawIssuer)] = true
		if i > 0 {
			intermediates.AddCert(cert)
		}
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: a.pick(wanted), Intermediates: intermediates, DNSName: host, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return certificateError{err}
	}
	return nil
}

// pick parses the certificates whose subject is wanted.
func (a authorities) pick(wanted map[string]bool) *x509.CertPool {
	pool := x509.NewCertPool()
	for subject := range wanted {
		for _, der := range a[subject] {
			if cert, err := x509.ParseCertificate(der); err == nil {
				pool.AddCert(cert)
			}
		}
	}
	return pool
}

// certificates yields the PEM blocks that crypto/x509 takes for certificates too.
func certificates(bundle []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" && len(block.Headers) == 0 && !yield(block.Bytes) {
				return
			}
		}
	}
}

// subjectOf returns the raw subject of a DER certificate (RFC 5280, section 4.1), nil for what is none.
func subjectOf(der []byte) []byte {
	var cert, tbs, skipped, subject cryptobyte.String
	input := cryptobyte.String(der)
	ok := input.ReadASN1(&cert, asn1.SEQUENCE) &&
		cert.ReadASN1(&tbs, asn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(asn1.Tag(0).Constructed().ContextSpecific()) && // version
		tbs.SkipASN1(asn1.INTEGER) && // serial number
		tbs.SkipASN1(asn1.SEQUENCE) && // signature algorithm
		tbs.ReadASN1Element(&skipped, asn1.SEQUENCE) && // issuer
		tbs.SkipASN1(asn1.SEQUENCE) && // validity
		tbs.ReadASN1Element(&subject, asn1.SEQUENCE)
	if !ok {
		return nil
	}
	return bytes.Clone(subject)
}

// FetchAuthority connects to an address "host:port" without trusting it and returns the certificate at the top of
// the chain that it shows, for a person to compare and pin. trusted reports whether the system's CAs vouch for
// the server already.
func FetchAuthority(ctx context.Context, host, port string) (top *x509.Certificate, trusted bool, err error) {
	chain, err := FetchChain(ctx, host, port)
	if err != nil {
		return nil, false, err
	}
	system, err := readAuthorities("", nil)
	return chain[len(chain)-1], err == nil && system.verify(chain, host, time.Now()) == nil, nil
}

// FetchChain connects to an address "host:port" without trusting it and returns the certificates that it shows, its
// own first; at least one.
func FetchChain(ctx context.Context, host, port string) ([]*x509.Certificate, error) {
	names, err := pollnet.ReadNames(host)
	if err != nil {
		return nil, &Error{Kind: KindLocal, Err: err}
	}
	raw, err := (&pollnet.Dialer{Names: names, Meter: pollnet.NewMeter(ctx)}).Dial(ctx, net.JoinHostPort(host, port))
	if err != nil {
		return nil, &Error{Kind: kindOfTransport(err, false), Err: err}
	}
	conn := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: host,
		InsecureSkipVerify: true, // nothing but the handshake is sent
	})
	defer conn.Close()
	longer, cancel := extended(ctx)
	defer cancel()
	if err := conn.HandshakeContext(longer); err != nil {
		return nil, &Error{Kind: kindOfTransport(err, true), Err: err}
	}
	chain := conn.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, badAnswer("the server shows no certificate")
	}
	return chain, nil
}
