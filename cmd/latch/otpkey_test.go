package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
)

// TestOTPKey goes from making a key to losing it, and back from the backup.
func TestOTPKey(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes()
	w.fails(cli.ExitError, []string{"no record that needs it", "--create"}, "otp", "key")
	if out := w.ok("otp", "key", "--create"); out != store.KeyFile+"\n" || w.ok("otp", "key", "--create") != "" {
		t.Errorf("printed %q", out)
	}
	if info, err := os.Stat(store.KeyFile); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key has the mode %v, %v", info.Mode(), err)
	}
	before := w.read(store.KeyFile)
	if o := w.object(cli.ExitOK, "otp", "key", "--create"); o["created"] != false || w.read(store.KeyFile) != before {
		t.Errorf("a second key: %v", o)
	}
	w.ok("bypass", "--user", "ana", "--reason", "x")

	key := func() map[string]any {
		t.Helper()
		return w.object(cli.ExitOK, "otp", "key")["key"].([]any)[0].(map[string]any)
	}
	if k := key(); k["backed_up"] != nil || k["records"] != 1.0 || len(k["fingerprint"].(string)) != 16 {
		t.Errorf("%v", k)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	w.write(backup, "no key at all\n")
	w.fails(cli.ExitError, []string{"backup", "Base64"}, "otp", "key", "--compare", backup)
	w.write(backup, before)
	w.ok("otp", "rekey")
	w.fails(cli.ExitError, []string{"is another key"}, "otp", "key", "--compare", backup)
	if k := key(); k["backed_up"] != nil {
		t.Errorf("another key counts as a backup: %v", k)
	}
	w.input = w.read(store.KeyFile)
	w.ok("otp", "key", "--compare", "-")
	if k := key(); k["backed_up"] == nil || k["by"] != "root" {
		t.Errorf("%v", k)
	}
	w.ok("otp", "rekey")
	if k := key(); k["backed_up"] != nil {
		t.Errorf("a backup of the key of before counts: %v", k)
	}
	w.ok("otp", "key", "--backed-up")
	if k := key(); k["backed_up"] == nil {
		t.Errorf("%v", k)
	}

	w.write(backup, w.read(store.KeyFile))
	w.must(os.Remove(store.KeyFile))
	w.fails(cli.ExitError, []string{"restore it from a backup"}, "otp", "status", "--user", "ana")
	w.fails(cli.ExitError, []string{"restore it from a backup"}, "otp", "key", "--create")
	w.fails(cli.ExitError, []string{"there is no " + store.KeyFile, "put it there"}, "otp", "key", "--compare", backup)
	w.write(store.KeyFile, w.read(backup))
	w.ok("otp", "status", "--user", "ana")

	w.must(os.Remove(store.KeyFile)) // for ever
	w.fails(cli.ExitError, []string{"--local"}, "otp", "remove", "--user", "ana")
	w.ok("otp", "remove", "--local", "--user", "ana")
	w.ok("otp", "key", "--create")
	w.ok("bypass", "--user", "ana", "--reason", "x")
	w.fails(cli.ExitUsage, nil, "otp", "key", "--create", "--backed-up")
	w.fails(cli.ExitUsage, nil, "otp", "key", "--compare", backup, "--backed-up")
}

// TestOTPClear enrols in the clear, as latch.conf wants it, and seals that later.
func TestOTPClear(t *testing.T) {
	w := newWorld(t)
	store := w.withCodes("otp_encrypt = no")
	_, secret, o := w.enrolling("--user", "ana").proves()
	if o.status != cli.ExitOK || !strings.Contains(w.read(filepath.Join(store.Dir, "ana")), secret) {
		t.Fatalf("%v", o)
	}
	w.withCodes("otp_refuse_clear = yes")
	w.fails(cli.ExitError, []string{"is not sealed", "otp encrypt"}, "otp", "status", "--user", "ana")
	w.fails(cli.ExitUsage, nil, "otp", "encrypt")
	w.fails(cli.ExitUsage, nil, "otp", "encrypt", "--all", "--user", "ana")
	if out := w.ok("otp", "encrypt", "--all"); out != "records sealed: 1\n" {
		t.Errorf("printed %q", out)
	}
	if out := w.ok("otp", "encrypt", "--user", "ana"); out != "records sealed: 0\n" {
		t.Errorf("printed %q", out)
	}
	w.fails(cli.ExitError, []string{"has no one-time passwords"}, "otp", "encrypt", "--user", "bob")
	if strings.Contains(w.read(filepath.Join(store.Dir, "ana")), secret) {
		t.Error("the seed is still there")
	}
	if s := w.object(cli.ExitOK, "otp", "status", "--user", "ana")["otp"].(map[string]any); s["sealed"] != true {
		t.Errorf("status %v", s)
	}
	w.withCodes("otp_encrypt = no")
	if o := w.run("otp", "encrypt", "--all"); o.status != cli.ExitOK || !strings.Contains(o.err, "in the clear again") {
		t.Errorf("%v", o)
	}
}
