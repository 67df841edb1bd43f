package otpstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/otp"
)

// TestNothingInTheClear looks for the seed and for recovery codes on the disk, and at who can read it.
func TestNothingInTheClear(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	b.must(b.SetRecovery(t.Context(), "ana", 1000, []string{"ABCDEFGHJK"}))
	b.must(filepath.WalkDir(b.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		b.must(err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(seed)) || bytes.Contains(data, []byte("ABCDEFGHJK")) {
			t.Errorf("%s: %s", path, data)
		}
		return err
	}))
	if info, err := os.Stat(b.KeyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
}

// TestRecordsAreBoundToTheirUser: a copy of ana's opens nothing for bob.
func TestRecordsAreBoundToTheirUser(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	data, err := os.ReadFile(filepath.Join(b.Dir, "ana"))
	b.must(err)
	for _, text := range []string{string(data), strings.Replace(string(data), `"ana"`, `"bob"`, 1)} {
		b.must(os.WriteFile(filepath.Join(b.Dir, "bob"), []byte(text), 0o600))
		if r, err := b.Load("bob"); err == nil {
			t.Errorf("%+v", r)
		}
	}
}

func TestUntrustedFilesAreNotRead(t *testing.T) {
	for name, spoil := range map[string]func(*bed) error{
		"record":    func(b *bed) error { return os.Chmod(filepath.Join(b.Dir, "ana"), 0o666) },
		"directory": func(b *bed) error { return os.Chmod(b.Dir, 0o777) },
		"key":       func(b *bed) error { return os.Chmod(b.KeyFile, 0o666) },
		"a link": func(b *bed) error {
			path := filepath.Join(b.Dir, "ana")
			return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path))
		},
	} {
		b := newBed(t)
		b.enrol(totp())
		b.must(spoil(b))
		if used, err := b.Use(t.Context(), Try{User: "ana", UID: 1000, Typed: b.code(0)}); !errors.Is(err, securefile.ErrUntrusted) || used.Result != Failed {
			t.Errorf("%s: %v, %v", name, used, err)
		}
	}
}

func TestNames(t *testing.T) {
	b := newBed(t)
	names := []string{"%2E", ".lock", "..", "a/b", "ana", "ÄÖ ü", "x@REALM"}
	for _, name := range names {
		b.must(b.Enrol(t.Context(), name, -1, totp()))
	}
	if users, err := b.Users(); err != nil || !slices.Equal(users, slices.Sorted(slices.Values(names))) {
		t.Errorf("%q, %v", users, err)
	}
	for _, name := range names {
		if r, err := b.Load(name); err != nil || r.User != name {
			t.Errorf("%q: %v", name, err)
		}
		b.must(b.Remove(t.Context(), name))
		if err := b.Remove(t.Context(), name); !errors.Is(err, ErrNotEnrolled) {
			t.Errorf("%q removed twice: %v", name, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("/", 100)} {
		if err := b.Enrol(t.Context(), name, -1, totp()); err == nil {
			t.Errorf("%.20q was enrolled", name)
		}
	}
}

func TestEnrolRefusesWhatIsWrong(t *testing.T) {
	b := newBed(t)
	for name, spoil := range map[string]func(*Authenticator){
		"seed":   func(a *Authenticator) { a.Secret = "not base32!" },
		"digits": func(a *Authenticator) { a.Digits = 7 },
		"window": func(a *Authenticator) { a.Window = 51 },
	} {
		a := totp()
		spoil(&a)
		err := b.Enrol(t.Context(), "ana", 1000, a)
		if err == nil || strings.Contains(err.Error(), a.Secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, id := range []string{"", "a/../b", "x?y"} {
		if err := b.EnrolRemote(t.Context(), "ana", 1000, "app", id, "123456"); err == nil {
			t.Errorf("id %q was stored", id)
		}
	}
	if _, err := b.Load("ana"); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("a record was left: %v", err)
	}
}

func TestCreateKey(t *testing.T) {
	b := newBed(t)
	before, err := os.ReadFile(b.KeyFile)
	b.must(err)
	if created, err := b.CreateKey(t.Context()); created || err != nil {
		t.Errorf("a second key: %v, %v", created, err)
	}
	if after, err := os.ReadFile(b.KeyFile); err != nil || !bytes.Equal(before, after) {
		t.Error("the key was replaced")
	}
	b.enrol(totp())
	b.must(os.Remove(b.KeyFile))
	if created, err := b.CreateKey(t.Context()); created || !errors.Is(err, ErrNoKey) {
		t.Errorf("a new key beside old records: %v, %v", created, err)
	}
	b.must(os.WriteFile(b.KeyFile, []byte("short\n"), 0o600))
	if _, err := b.Load("ana"); err == nil || !strings.Contains(err.Error(), "Base64") {
		t.Errorf("a broken key: %v", err)
	}
}

// TestRekey goes on where it was killed, and logins go on meanwhile.
func TestRekey(t *testing.T) {
	b := newBed(t)
	users := []string{"ana", "bob", "eva"}
	for _, u := range users {
		b.must(b.Enrol(t.Context(), u, 1000, totp()))
	}
	before, err := os.ReadFile(b.KeyFile)
	b.must(err)
	// As killed after ana's record.
	b.must(writeNewKey(b.KeyFile + nextKey))
	b.must(b.change(t.Context(), "ana", false, func(*Record) (bool, error) { return true, nil }))
	for _, u := range users {
		if _, err := b.Load(u); err != nil {
			t.Errorf("in the middle: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var logins sync.WaitGroup
	logins.Go(func() {
		for ctx.Err() == nil {
			if _, err := b.Use(t.Context(), Try{User: "bob", UID: 1000, Typed: "000000", Unlimited: true}); err != nil {
				t.Errorf("while the key changes: %v", err)
				return
			}
		}
	})
	if n, err := b.Rekey(t.Context()); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for range 20 {
		_, err := b.Rekey(t.Context())
		b.must(err)
	}
	cancel()
	logins.Wait()
	after, err := os.ReadFile(b.KeyFile)
	b.must(err)
	if _, err := os.Lstat(b.KeyFile + nextKey); !errors.Is(err, fs.ErrNotExist) || bytes.Equal(before, after) {
		t.Errorf("the old key stands, or the next one: %v", err)
	}
	b.must(os.WriteFile(b.KeyFile, before, 0o600))
	if _, err := b.Load("eva"); !errors.Is(err, ErrOtherKey) {
		t.Errorf("with the old key: %v", err)
	}
}

// TestNoRecordBeginsWithAnOldKey: a change of keys, which knows the users of its beginning, lets none begin until its end.
func TestNoRecordBeginsWithAnOldKey(t *testing.T) {
	b := newBed(t)
	b.must(securefile.WithLock(t.Context(), b.KeyFile, func() error {
		for name, begin := range map[string]func(context.Context) error{
			"enrol":    func(ctx context.Context) error { return b.Enrol(ctx, "ana", 1000, totp()) },
			"remote":   func(ctx context.Context) error { return b.EnrolRemote(ctx, "ana", 1000, "app", "id", "123456") },
			"recovery": func(ctx context.Context) error { return b.SetRecovery(ctx, "ana", 1000, []string{"code"}) },
			"bypass":   func(ctx context.Context) error { return b.Excuse(ctx, "ana", 1000, Bypass{Reason: "why"}, time.Hour) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := begin(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	}))
	if users, err := b.Users(); err != nil || len(users) > 0 {
		t.Errorf("%q, %v", users, err)
	}
}

func TestBypass(t *testing.T) {
	b := newBed(t)
	give := func(reason string, lasts time.Duration) error {
		return b.Excuse(t.Context(), "ana", 1000, Bypass{Reason: reason, By: "root"}, lasts)
	}
	for _, lasts := range []time.Duration{0, -1, MaxBypass + 1} {
		if give("x", lasts) == nil {
			t.Errorf("a bypass of %v", lasts)
		}
	}
	if give("", time.Hour) == nil || give(strings.Repeat("x", 201), time.Hour) == nil {
		t.Error("a bypass without a reason, or with a long one")
	}
	b.must(give("lost the phone", MaxBypass))
	r, err := b.Load("ana")
	b.must(err)
	if left, err := r.Bypass.Left(); err != nil || left <= MaxBypass-time.Minute || left > MaxBypass {
		t.Errorf("%v left, %v", left, err)
	}
	_, up, err := uptime()
	b.must(err)
	for name, change := range map[string]func(*Bypass){
		"over":           func(v *Bypass) { v.Until = up - 1 },
		"another boot":   func(v *Bypass) { v.BootID = "another" },
		"never possible": func(v *Bypass) { v.Until = up + 2*MaxBypass.Seconds() },
	} {
		other := *r.Bypass
		change(&other)
		if left, err := other.Left(); left != 0 || err != nil {
			t.Errorf("%s: %v left, %v", name, left, err)
		}
	}
	// The authenticator that comes later leaves it alone; the next user of the name does not inherit it.
	b.enrol(totp())
	if r, err := b.Load("ana"); err != nil || r.Bypass == nil {
		t.Errorf("gone with the enrolment: %v", err)
	}
	b.must(b.Enrol(t.Context(), "ana", 1001, totp()))
	if r, err := b.Load("ana"); err != nil || r.Bypass != nil {
		t.Errorf("inherited: %v", err)
	}
	b.must(give("again", time.Hour))
	b.must(b.EndBypass(t.Context(), "ana"))
	b.must(b.EndBypass(t.Context(), "nobody"))
	if r, err := b.Load("ana"); err != nil || r.Bypass != nil {
		t.Errorf("taken back: %+v, %v", r.Bypass, err)
	}
}

// TestRemote has a server check, which may forget what it took.
func TestRemote(t *testing.T) {
	b := newBed(t)
	b.must(b.EnrolRemote(t.Context(), "ana", 1000, "app", "totp1", "111111"))
	b.must(b.SetRecovery(t.Context(), "ana", 1000, []string{"ABCDEFGHJK"}))
	var asked []string
	answer := RightCode
	try := func(app, typed string, want Result) {
		t.Helper()
		used, err := b.Use(t.Context(), Try{User: "ana", UID: 1000, Typed: typed, App: app, Ask: func(id, code string) Result {
			asked = append(asked, fmt.Sprint(id, " ", code))
			return answer
		}})
		if err != nil || used.Result != want {
			t.Errorf("%q: %v, %v; want %v", typed, used, err, want)
		}
	}
	try("app", "111111", Replayed)
	try("app", "222 222", RightCode)
	try("app", "222222", Replayed)
	try("other", "333 333", RightCode) // of which the server of that application knows, if anybody
	try("app", "x/../..", Wrong)
	try("app", "ABCDE-FGHJK", RightRecovery)
	answer = Failed
	for range 2 * burst {
		try("app", "444444", Failed)
	}
	answer = Wrong
	for range burst {
		try("app", "444444", Wrong)
	}
	try("app", "444444", Paused)
	if want := 2 + 2*burst + burst; len(asked) != want || asked[0] != "totp1 222222" || asked[1] != " 333333" {
		t.Errorf("asked %q", asked)
	}
	b.now = b.now.Add(time.Hour)
	answer = RightCode
	try("app", "222222", RightCode) // the code of another hour
}

// FuzzRecord: whatever lies under the seal is refused or written again as it was read.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"uid":1000,"guesses":{}}`))
	f.Add([]byte(`{"uid":-1,"authenticator":{"kind":"totp","algorithm":"SHA1","digits":6,"period":30,"secret":"` + seed + `","window":1,"next":5,"enrolled":1},"guesses":{"sources":[{"address":"a","failed":[1]}]}}`))
	f.Add([]byte(`{"uid":0,"remotes":{"a":{"id":"b","enrolled":1,"spent":[{"code":"1","at":2}]}},"bypass":{"reason":"r","by":"root","boot_id":"x","until":1.5},"guesses":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parseBody(body, "ana")
		if err != nil {
			if strings.Contains(err.Error(), seed) {
				t.Errorf("the error repeats a seed: %v", err)
			}
			return
		}
		r.Guesses.settle(start.Unix())
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseBody(again, "ana"); err != nil {
			t.Errorf("%s is written as %s: %v", body, again, err)
		}
	})
}

// FuzzEnvelope: whatever lies in the file is refused without a panic, or is in the clear and written again as it was read.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"format":1,"user":"ana","sealed":"AAAA"}`))
	f.Add([]byte(`{"format":1,"user":"ana"}{}`))
	f.Add([]byte(`{"format":1,"user":"ana","clear":{"uid":-1,"guesses":{}}}`))
	f.Add([]byte(`{"format":1,"user":"ana","clear":{"uid":-1,"authenticator":{"kind":"hotp","algorithm":"SHA512","digits":8,"secret":"` + seed + `","window":-1,"lifetime":-1,"next":5,"enrolled":1},"guesses":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parse(data, "ana", keys{})
		switch {
		case err != nil && strings.Contains(err.Error(), seed):
			t.Errorf("the error repeats a seed: %v", err)
		case err != nil:
			return
		case !r.IsClear():
			t.Fatalf("%q was opened without a key: %+v", data, r)
		}
		again, err := r.format(keys{})
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", data, err)
		}
		if _, err := parse(again, "ana", keys{}); err != nil {
			t.Errorf("%q is written as %q: %v", data, again, err)
		}
	})
}

// TestImportIsWholeOrNot writes for three users, of whom the last cannot have a record: what the others had comes back.
func TestImportIsWholeOrNot(t *testing.T) {
	b := newBed(t)
	had := Authenticator{Parameters: otp.Standard(), Secret: otp.Standard().NewSecret(), Window: 3, Next: 7, Enrolled: start.Unix()}
	b.must(b.Import(t.Context(), Enrolment{User: "ana", UID: 1000, Authenticator: had, Recovery: []string{"12345678"}}))
	given := Authenticator{Parameters: otp.Standard(), Secret: otp.Standard().NewSecret(), Window: UsualWindow}
	err := b.Import(t.Context(), Enrolment{User: "ana", UID: 1000, Authenticator: given, Recovery: []string{"87654321", "00000000"}},
		Enrolment{User: "bob", UID: 1001, Authenticator: given}, Enrolment{User: strings.Repeat("x", 300), UID: 1002, Authenticator: given})
	if err == nil || strings.Contains(err.Error(), given.Secret) {
		t.Errorf("a name that is too long: %v", err)
	}
	r, err := b.Load("ana")
	if err != nil || *r.Authenticator != had || r.RecoveryLeft() != 1 || r.UID != 1000 {
		t.Errorf("ana has %+v, %v", r, err)
	}
	if users, err := b.Users(); err != nil || len(users) != 1 {
		t.Errorf("records of %q, %v", users, err)
	}
}
