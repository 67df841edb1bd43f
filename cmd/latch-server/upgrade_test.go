package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/server/store"
)

// What testdata/schema1.tar.gz holds: the backup of a server of version 0.1.0, schema 1, with ana closed, one operation of
// bob's closed, and eve disabled.
const (
	oldApp       = "hKpV8wsarpNj4cM3UCAY"
	oldSecret    = "hgUBBms3i7s9ZHRT7BTYXJLd4Mj37sJR3d76tdjs" // web1's
	oldOperation = "ZaHb2Fm8GdLTXDQvvrTR"
	oldAna       = "qXtCyVJfDyGJbQyihvyRpZJnBRkVuZZPLuuuFzRmAAiLiZHJaJeTD76PvJArrYB8"
	oldBob       = "YVkGXikJBbYRjbCB84UwKELvNW2Lc8UjN2mpuAGUBjby8bcuEi6kWTyFUscyQFFC"
	oldEve       = "yKXCZUAtcJvccu98XcDcYns2zn2ayL4cwa4Xve4Y4LQWzPGnvYiwZGxfwAdFTK4w"
)

// oldTar is the backup as that server wrote it.
func oldTar(t *testing.T) io.Reader {
	t.Helper()
	f, err := os.Open("testdata/schema1.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// inPlace is a data directory as the old server left it.
func inPlace(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(oldTar(t)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return b
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, h.Name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnOldDatabaseIsUpgradedInPlace: hosts are answered as before, by the same secrets, and what is new works on it.
func TestAnOldDatabaseIsUpgradedInPlace(t *testing.T) {
	b := inPlace(t)
	s := b.serve()
	c := api.Credentials{ID: oldApp, Secret: oldSecret}
	for path, want := range map[string]string{
		oldAna: `"` + oldApp + `":{"status":"off"`, oldBob: `"` + oldApp + `":{"status":"on"`, oldEve: `"` + oldApp + `":{"status":"off"`,
		oldBob + "/op/" + oldOperation: `"` + oldOperation + `":{"status":"off"`,
	} {
		if got := s.get(c, "status/"+path); !strings.Contains(got, want) {
			t.Errorf("%s is answered %s, want %s", path, got, want)
		}
	}
	b.ok("user", "role", "bob", "admin")
	b.ok("user", "reset", "bob")
	b.ok("app", "secret", "rotate", "servers", "web1")
	s.stop(syscall.SIGTERM)
	if list := b.ok("user", "list"); !strings.Contains(list, "admin") || !strings.Contains(list, "ana") {
		t.Errorf("people are\n%s", list)
	}
	if history := b.ok("history", "ana"); !strings.Contains(history, "paired") {
		t.Errorf("her history is\n%s", history)
	}
	// What had happened before the upgrade is counted, and not logged again.
	if log := s.log.String(); strings.Contains(log, "msg=change") || strings.Count(log, "msg=attempt") != 4 {
		t.Errorf("the log is\n%s", log)
	}
}

// TestANewServerRestoresAnOldBackup, and its own hold the tables that are new.
func TestANewServerRestoresAnOldBackup(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "old.tar")
	text, err := io.ReadAll(oldTar(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, dir: filepath.Join(dir, "data")}
	b.ok("restore", file, "--keep-open")
	b.ok("user", "role", "bob", "auditor")
	ours := filepath.Join(dir, "new.tar")
	b.ok("backup", ours)
	b = &bed{t: t, dir: filepath.Join(dir, "again")}
	b.ok("restore", ours, "--keep-open")
	acts, err := b.store().Acts(store.AuditQuery{Act: "person.change"})
	if err != nil || len(acts) != 1 || acts[0].Target != "bob" {
		t.Errorf("the audit log is %+v, %v", acts, err)
	}
}
