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

	"github.com/latch-linux/latch/e2e/fixture"
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
	enrol(t)
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
		if strings.Contains(text, account) || strings.Contains(text, secret) || strings.Contains(text, fixture.Seed) || strings.Contains(name, "otp") {
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

// TestSupportHoldsNoSecretOfBrokenFiles spoils what the secrets are read from.
func TestSupportHoldsNoSecretOfBrokenFiles(t *testing.T) {
	pairings, err := os.ReadFile(accounts)
	if err != nil {
		t.Fatal(err)
	}
	service := pamDir + "/with-a-secret"
	for path, text := range map[string]string{
		accounts: "ana: aVeryShort-Account1\nnonsense\n#uid 0\nroot:\tq1w2e3 r4t5y6\n",
		confFile: "app_id = 1\nsecret_key = notFortyCharacters\n secret_key=again7\n[operations]\n",
		service:  "auth required pam_mysql.so user=root passwd=hunter2 crypt=1\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	out, errs, status := latch(t, nil, "support", "--output", file)
	if err := errors.Join(os.WriteFile(accounts, pairings, 0o600), os.Remove(service)); err != nil {
		t.Fatal(err)
	}
	if _, err := bed.conf.Write(confFile); err != nil {
		t.Fatal(err)
	}
	if status != 0 {
		t.Fatalf("%d %s%s", status, out, errs)
	}
	for name, text := range unpack(t, file) {
		for _, secret := range []string{"aVeryShort", "q1w2e3", "r4t5y6", "notForty", "again7", "hunter2"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s: %s", name, secret, text)
			}
		}
		if name == "pam.d/with-a-secret" && !strings.Contains(text, "crypt=1") {
			t.Errorf("too much is hidden: %s", text)
		}
	}
}
