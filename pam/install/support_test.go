package install

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unpack returns the files of a bundle by name.
func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(header.Name, "latch-support/")] = string(text)
	}
}

func TestSupportHoldsNoSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	must(t, "support", "--output", file)
	bundle := unpack(t, file)
	for _, name := range []string{"doctor.txt", "version.json", "etc/latch/latch.conf", "etc/latch/latch.accounts", "pam.d/sshd"} {
		if bundle[name] == "" {
			t.Errorf("no %s in the bundle", name)
		}
	}
	pairings, err := os.ReadFile(accounts)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(pairings), ana+": ")
	account, _, _ := strings.Cut(line, "\n")
	conf, err := os.ReadFile(confFile)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ = strings.Cut(string(conf), "secret_key = ")
	secret, _, _ := strings.Cut(line, "\n")
	if len(account) != 64 || len(secret) != 40 {
		t.Fatalf("the test found no secrets to look for: %q %q", account, secret)
	}
	for name, text := range bundle {
		if strings.Contains(text, account) || strings.Contains(text, secret) {
			t.Errorf("%s holds a secret", name)
		}
	}
	if _, errs, status := latch(t, nil, "support", "--output", file); status == 0 {
		t.Errorf("it wrote over a file: %s", errs)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}
