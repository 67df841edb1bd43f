package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

const caMode = 0o644

// chooseAuthority decides which CAs the configuration will trust: those of --ca-file, the system's, those that it
// trusts already, or the one that the server shows and the person confirms.
func (a *app) chooseAuthority(ctx context.Context, p *plan, c *config.Config, o setupOptions) error {
	if err := os.MkdirAll(filepath.Dir(p.path), directoryMode); err != nil {
		return err
	}
	if o.caFile != "" {
		data, err := a.readInput(o.caFile)
		if err != nil {
			return err
		}
		first, rest := pem.Decode(data)
		if first == nil || !x509.NewCertPool().AppendCertsFromPEM(data) {
			return fmt.Errorf("%s holds no certificate", o.caFile)
		}
		if next, _ := pem.Decode(rest); o.caSHA256 != "" && (next != nil || !sameDigest(o.caSHA256, first.Bytes)) {
			return fmt.Errorf("%s holds something else than the CA with the SHA-256 %s", o.caFile, o.caSHA256)
		}
		p.pin(data)
		return nil
	}
	if c.Proxy != nil {
		a.Say("the CA: behind a proxy it is not fetched; name it with --ca-file if the server has its own")
		return nil
	}
	fetching, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	top, trusted, err := client.FetchAuthority(fetching, c.Host.Hostname(), portOf(c))
	if err != nil {
		return err
	}
	return a.judgeAuthority(ctx, p, top, trusted, o.caSHA256)
}

func (a *app) judgeAuthority(ctx context.Context, p *plan, top *x509.Certificate, trusted bool, want string) error {
	switch {
	case want == "" && p.trusts(top):
		a.Say("the CA: the one that is trusted already, SHA-256 %s", digest(top.Raw))
		return nil
	case want == "" && trusted:
		a.Say("the CA: one that this machine trusts")
		if p.old != nil && p.old.CAFile != "" {
			p.set["ca_file"] = ""
		}
		return nil
	case want == "" && !top.IsCA && p.old != nil && p.old.CAFile != "":
		// Few servers show their root. The trial shows whether this is the right one.
		a.Say("the CA: the one in %s", p.old.CAFile)
		return nil
	case !top.IsCA:
		return cli.WithHint(cli.ExitError, errors.New("the server's certificate is not trusted, and it does not show its CA"),
			"copy the CA's certificate from the server and name it with --ca-file")
	case want != "" && !sameDigest(want, top.Raw):
		return cli.WithHint(cli.ExitError, fmt.Errorf("the server's CA has the SHA-256 %s, not the one that was named", digest(top.Raw)),
			"compare it on the server itself; if they differ, somebody is in between")
	case want == "":
		if err := a.confirmAuthority(ctx, top); err != nil {
			return err
		}
	}
	p.pin(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: top.Raw}))
	return nil
}

func (a *app) confirmAuthority(ctx context.Context, top *x509.Certificate) error {
	a.Say("the CA: not one that this machine knows")
	a.Say("  subject  %s", top.Subject)
	a.Say("  valid    until %s", top.NotAfter.Format(time.DateOnly))
	a.Say("  SHA-256  %s", digest(top.Raw))
	yes, err := a.terminal.Confirm(ctx, "Is this the CA of your server?")
	if err == nil && !yes {
		err = errors.New("the CA was not confirmed; nothing was written")
	}
	return needs(err, "name the digest with --ca-sha256, or the file with --ca-file")
}

// pin plans to store CAs beside the configuration. Each profile has its own file: ca.pem, openvpn.ca.pem.
func (p *plan) pin(data []byte) {
	name := "ca.pem"
	if stem := strings.TrimSuffix(filepath.Base(p.path), ".conf"); stem != "latch" {
		name = stem + ".ca.pem"
	}
	p.ca, p.set["ca_file"] = data, filepath.Join(filepath.Dir(p.path), name)
}

// trusts reports whether the ca_file that is configured holds the certificate.
func (p *plan) trusts(cert *x509.Certificate) bool {
	if p.old == nil || p.old.CAFile == "" {
		return false
	}
	data, err := securefile.Read(p.old.CAFile, inputLimit)
	if err != nil {
		return false
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if bytes.Equal(block.Bytes, cert.Raw) {
			return true
		}
	}
	return false
}

// storeAuthority writes CAs where logins look for them. As long as the old configuration may be read, its CAs stay
// beside the new ones.
func storeAuthority(path string, data []byte, old *config.Config) error {
	if old != nil && old.CAFile == path {
		before, err := securefile.Read(path, inputLimit)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		data = append(append(bytes.Clone(data), '\n'), before...)
	}
	return securefile.Write(path, data, caMode)
}

// digest is the SHA-256 of a certificate as openssl writes fingerprints.
func digest(der []byte) string {
	sum := sha256.Sum256(der)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// sameDigest compares a digest that somebody typed, with or without colons.
func sameDigest(typed string, der []byte) bool {
	sum := sha256.Sum256(der)
	return strings.EqualFold(strings.NewReplacer(":", "", " ", "").Replace(typed), hex.EncodeToString(sum[:]))
}
