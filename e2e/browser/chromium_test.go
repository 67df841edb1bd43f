package browser

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/latch-linux/latch/e2e/fixture"
)

// oldestChromium is the oldest major version that these tests were run with. They make only DevTools calls that it knows:
// of newer ones, and of experimental ones, the parameters change from one version to the next.
const oldestChromium = 131

// chromium is the browser's program, known after findChromium.
var chromium string

// findChromium finds the browser before anything is started, and an error says what to install.
func findChromium() error {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if file, err := exec.LookPath(name); err == nil {
			chromium = file
			break
		}
	}
	if chromium == "" {
		return errors.New("no chromium, chromium-browser or google-chrome in PATH: run scripts/bootstrap test first")
	}
	out, err := exec.Command(chromium, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", chromium, err)
	}
	return checkVersion(string(out))
}

var versionNumber = regexp.MustCompile(`\b(\d+)\.\d+\.\d+\.\d+\b`)

// checkVersion reports why the browser that prints this version cannot run the tests.
func checkVersion(printed string) error {
	found := versionNumber.FindStringSubmatch(printed)
	if found == nil {
		return fmt.Errorf("%s --version prints %q, want a version such as %d.0.0.0", chromium, printed, oldestChromium)
	}
	if major, err := strconv.Atoi(found[1]); err != nil || major < oldestChromium {
		return fmt.Errorf("%s has version %s, want %d or newer: run apt-get update and apt-get install chromium", chromium, found[0], oldestChromium)
	}
	return nil
}

func TestOldChromiumIsRefused(t *testing.T) {
	for printed, right := range map[string]bool{
		"Chromium 148.0.7778.167 built on Debian GNU/Linux 12 (bookworm)\n": true,
		"Google Chrome 131.0.6778.0 \n":                                     true,
		"Chromium 130.0.6723.91 built on Debian\n":                          false,
		"Chromium\n": false,
	} {
		if err := checkVersion(printed); (err == nil) != right {
			t.Errorf("%q: %v", printed, err)
		}
	}
}

// startChromium starts Chromium, which trusts the server's own authority and finds its name on loopback.
func startChromium() error {
	var pins []string
	for _, s := range []*fixture.Server{server, frail, remote} {
		pin, err := authorityPin(s.CA)
		if err != nil {
			return err
		}
		pins = append(pins, pin)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.WSURLReadTimeout(fixture.Patience),
		chromedp.ExecPath(chromium),
		chromedp.NoSandbox,                              // it refuses to have one as root
		chromedp.Flag("disable-component-update", true), // chromedp's own options stop the other talk with the world
		chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(pins, ",")),
		chromedp.Flag("host-resolver-rules", "MAP "+host+" 127.0.0.1"),
		chromedp.Flag("lang", "en"),
		chromedp.Flag("font-render-hinting", "none"),
	)
	allocated, _ := chromedp.NewExecAllocator(context.Background(), options...)
	chrome, _ = chromedp.NewContext(allocated)
	return chromedp.Run(chrome)
}

// authorityPin is the SHA-256 of the public key in a certificate file, as Chromium's flag takes it.
func authorityPin(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", fmt.Errorf("%s holds no certificate", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}
