package otpstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
)

// text is ana's record as it lies on the disk.
func (b *bed) text() []byte {
	b.Helper()
	data, err := os.ReadFile(filepath.Join(b.Dir, "ana"))
	b.must(err)
	return data
}

// isClear wants ana's record to be readable by anybody who has the file, or by nobody without the key.
func (b *bed) isClear(want bool) {
	b.Helper()
	if got := bytes.Contains(b.text(), []byte(seed)); got != want {
		b.Errorf("the seed can be read: %v", got)
	}
}

// TestClear: a record keeps its form until it is enrolled again or sealed on demand, and is read in either.
func TestClear(t *testing.T) {
	b := newBed(t)
	b.must(os.Remove(b.KeyFile))
	b.Clear = true
	b.enrol(totp())
	b.isClear(true)
	b.uses("", b.code(-1), RightCode)
	b.must(b.SetRecovery(t.Context(), "ana", 1000, []string{"ABCDEFGHJK"}))
	if bytes.Contains(b.text(), []byte("ABCDEFGHJK")) {
		t.Error("a recovery code is kept as it is")
	}

	b.Clear = false // as after a change of the configuration, where there is no key yet
	b.uses("", b.code(0), RightCode)
	b.isClear(true)
	b.RefuseClear = true
	if used, err := b.Use(t.Context(), Try{User: "ana", UID: 1000, Typed: b.code(1)}); !errors.Is(err, ErrClear) || used.Result != Failed {
		t.Errorf("a record that is not sealed: %v, %v", used, err)
	}
	if _, err := b.Encrypt(t.Context(), "ana"); !errors.Is(err, ErrNoKey) {
		t.Errorf("sealed without a key: %v", err)
	}
	if n, err := b.Sealed(); n != 0 || err != nil {
		t.Errorf("%d records need the key, %v", n, err)
	}
	if created, err := b.CreateKey(t.Context()); !created || err != nil {
		t.Errorf("no key beside records that need none: %v", err)
	}
	for _, want := range []bool{true, false} {
		if sealed, err := b.Encrypt(t.Context(), "ana"); sealed != want || err != nil {
			t.Errorf("sealed %v, %v; want %v", sealed, err, want)
		}
	}
	b.isClear(false)
	b.uses("", b.code(0), Replayed)
	b.uses("", b.code(1), RightCode)
	b.uses("", "abcde-fghjk", RightRecovery)

	b.Clear, b.RefuseClear = true, false
	b.uses("", b.code(1), Replayed)
	b.isClear(false)
	if n, err := b.Rekey(t.Context()); n != 1 || err != nil {
		t.Errorf("%d records have the new key, %v", n, err)
	}
	b.enrol(totp())
	b.isClear(true)
	if n, err := b.Rekey(t.Context()); n != 0 || err != nil {
		t.Errorf("%d records have the new key, %v", n, err)
	}
	b.isClear(true)
}

// TestEitherSealedOrClear: nothing that stands beside a seal is looked at.
func TestEitherSealedOrClear(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	sealed := string(b.text())
	for name, text := range map[string]string{
		"both":    strings.Replace(sealed, `"sealed"`, `"clear":{"uid":-1,"guesses":{}},"sealed"`, 1),
		"neither": `{"format":1,"user":"ana"}`,
		"null":    `{"format":1,"user":"ana","clear":null}`,
		"text":    `{"format":1,"user":"ana","clear":"x"}`,
		"bob's":   `{"format":1,"user":"bob","clear":{"uid":-1,"guesses":{}}}`,
	} {
		b.must(os.WriteFile(filepath.Join(b.Dir, "ana"), []byte(text), 0o600))
		if r, err := b.Load("ana"); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestLifetime: what has ended refuses and stays, and recovery codes still pass.
func TestLifetime(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		store time.Duration
		own   int64
		ends  time.Duration
	}{
		"the store's": {90 * day, UsualLifetime, 90 * day},
		"its own":     {90 * day, 3600, time.Hour},
		"for ever":    {90 * day, ForEver, 0},
		"none":        {0, UsualLifetime, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.Lifetime = c.store
			a := totp()
			a.Lifetime = c.own
			b.enrol(a)
			b.must(b.SetRecovery(t.Context(), "ana", 1000, []string{"ABCDEFGHJK"}))
			if c.ends == 0 {
				b.now = b.now.Add(1000 * day)
				b.uses("", b.code(0), RightCode)
				return
			}
			b.now = start.Add(c.ends - time.Second)
			b.uses("", b.code(-1), RightCode)
			b.now = start.Add(c.ends)
			for range 2 * burst { // counted as nothing
				b.uses("", b.code(0), Expired)
				b.uses("", "000000", Expired)
			}
			b.uses("", "ABCDE-FGHJK", RightRecovery)
			for range burst { // which may be a guess at an emergency code
				b.uses("", "00000000", Expired)
			}
			b.uses("", "000000", Paused)
			if r, err := b.Load("ana"); err != nil || r.Authenticator == nil || !b.Expired(r.Authenticator) {
				t.Errorf("the record: %+v, %v", r, err)
			}
			again := a
			again.Enrolled = b.now.Unix()
			b.enrol(again)
			b.uses("198.51.100.1", b.code(0), RightCode)
		})
	}
}

// TestWindows: a store's window holds for who has none of their own, and a change of it brings no code back.
func TestWindows(t *testing.T) {
	b := newBed(t)
	usual := totp()
	usual.Window = UsualWindow
	b.enrol(usual)
	b.Window = 0
	b.uses("", b.code(-1), Wrong)
	b.uses("", b.code(1), Wrong)
	b.Window = 2
	b.uses("", b.code(-2), RightCode)
	b.uses("", b.code(0), RightCode)
	b.uses("1", b.code(3), Wrong)
	b.Window = 10
	b.uses("2", b.code(-1), Replayed)
	b.uses("2", b.code(0), Replayed)
	own := totp()
	own.Window = 0
	b.must(b.Enrol(t.Context(), "bob", 1001, own))
	if used, err := b.Use(t.Context(), Try{User: "bob", UID: 1001, Typed: b.code(1)}); used.Result != Wrong || err != nil {
		t.Errorf("in a window that is not bob's: %v, %v", used, err)
	}
	counting := hotp()
	counting.Window = UsualWindow
	b.must(b.Enrol(t.Context(), "eva", 1002, counting))
	for _, c := range []struct {
		counter int64
		want    Result
	}{{countedAhead + 1, Wrong}, {countedAhead, RightCode}, {1, Replayed}} {
		code, err := counting.Code(seed, c.counter)
		b.must(err)
		if used, err := b.Use(t.Context(), Try{User: "eva", UID: 1002, Typed: code}); used.Result != c.want || err != nil {
			t.Errorf("counter %d: %v, %v; want %v", c.counter, used, err, c.want)
		}
	}
}

// TestSameSeedAgain: enrolling the seed that is there brings no code back; another seed begins anew.
func TestSameSeedAgain(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	b.uses("", b.code(0), RightCode)
	b.enrol(totp())
	b.uses("", b.code(0), Replayed)
	other := totp()
	other.Parameters = otp.Parameters{Kind: otp.TOTP, Algorithm: otp.SHA1, Digits: 6, Period: 60}
	b.enrol(other)
	if r, err := b.Load("ana"); err != nil || r.Authenticator.Next != 0 {
		t.Errorf("steps of another length: %+v, %v", r.Authenticator, err)
	}
}

// TestBackup: what somebody says of a copy holds for that key alone, and a copy that is put back opens everything.
func TestBackup(t *testing.T) {
	b := newBed(t)
	b.enrol(totp())
	confirmed := func(want bool) {
		t.Helper()
		if is, err := b.Backup(); err != nil || (is != nil) != want {
			t.Errorf("the backup is %+v, %v", is, err)
		}
	}
	confirmed(false)
	b.must(b.Confirm(t.Context(), "eva"))
	confirmed(true)
	if is, err := b.Backup(); err != nil || is.By != "eva" || is.At != start.Unix() {
		t.Errorf("%+v, %v", is, err)
	}
	copied, err := os.ReadFile(b.KeyFile)
	b.must(err)
	mine, err := b.Fingerprint()
	b.must(err)
	if got, err := FingerprintOf("copy", copied); err != nil || got != mine || strings.Contains(string(copied), got) {
		t.Errorf("the copy is %q, %v; the key %q", got, err, mine)
	}
	if _, err := FingerprintOf("copy", []byte("something else")); err == nil || !strings.Contains(err.Error(), `"copy"`) {
		t.Errorf("no key: %v", err)
	}

	b.must(os.Remove(b.KeyFile))
	if _, err := b.Fingerprint(); !errors.Is(err, ErrNoKey) {
		t.Errorf("the fingerprint of nothing: %v", err)
	}
	if used, err := b.Use(t.Context(), Try{User: "ana", UID: 1000, Typed: b.code(0)}); !errors.Is(err, ErrNoKey) || used.Result != Failed {
		t.Errorf("without the key: %v, %v", used, err)
	}
	b.must(os.WriteFile(b.KeyFile, copied, 0o600))
	b.uses("", b.code(0), RightCode)
	confirmed(true)

	_, err = b.Rekey(t.Context())
	b.must(err)
	confirmed(false)
	b.must(os.WriteFile(b.KeyFile+backedUp, []byte("{broken"), 0o600))
	confirmed(false)
}
