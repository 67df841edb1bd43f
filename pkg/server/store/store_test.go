package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store/storetest"
)

// clock is a clock that tests set.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.offset.Load()))
}
func (c *clock) pass(d time.Duration) { c.offset.Add(int64(d)) }

// opener is a way to have a database. Every test of this package that does not call sqlite is part of a suite: TestMain runs it over
// each opener, so another backend is proven by adding its own.
type opener struct {
	name   string
	create func(dir string) error
	open   func(dir string, o Options) (Backend, error)
}

var openers = []opener{
	{"SQLite", storetest.Once(Create), func(dir string, o Options) (Backend, error) { return Open(dir, o) }},
}

// over is what the suite runs over.
var over = openers[0]

// suite runs the tests over each opener and returns the exit status.
func suite(m *testing.M) (code int) {
	for _, over = range openers {
		if m.Run() != 0 {
			fmt.Fprintf(os.Stderr, "the suite fails over %s\n", over.name)
			code = 1
		}
	}
	return code
}

// bed is a fresh database with one application.
type bed struct {
	Backend
	t     *testing.T
	ctx   context.Context
	clock *clock
	dir   string
	app   Application
}

// sqlite is for tests of how the SQLite store does it.
func (b *bed) sqlite() *Store { return b.Backend.(*Store) }

func (b *bed) millis() int64 { return b.clock.now().UnixMilli() }

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, ctx: context.Background(), clock: &clock{}, dir: t.TempDir()}
	if err := over.create(b.dir); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	var err error
	if b.app, _, err = b.AddApplication(b.ctx, Application{Name: "servers"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func (b *bed) reopen() {
	b.t.Helper()
	if b.Backend != nil {
		if err := b.Close(); err != nil {
			b.t.Fatal(err)
		}
	}
	var err error
	if b.Backend, err = over.open(b.dir, Options{Now: b.clock.now}); err != nil {
		b.t.Fatal(err)
	}
}

// must fails the test on an error.
func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// refused fails the test unless err is want.
func (b *bed) refused(what string, err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// pair makes a person and pairs them with the bed's application.
func (b *bed) pair(user string) string {
	b.t.Helper()
	_, err := b.AddUser(b.ctx, user)
	b.must(err)
	return b.pairAgain(user)
}

func (b *bed) pairAgain(user string) string {
	b.t.Helper()
	code, _, err := b.NewCode(b.ctx, user)
	b.must(err)
	id, err := b.Pair(b.ctx, PairRequest{App: b.app, Code: code, Subject: "test"})
	b.must(err)
	return id
}

// reload takes up what ChangeApplication changed, as each request does.
func (b *bed) reload() {
	b.t.Helper()
	var err error
	b.app, err = b.Application(b.app.ID)
	b.must(err)
}

func (b *bed) ask(account string) (Status, error) {
	s, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: account})
	b.must(b.sqlite().flushRefusals(false)) // so that lines come in the order of queries
	return s, err
}

// reads checks what a host reads for an account.
func (b *bed) reads(account string, open bool) {
	b.t.Helper()
	s, err := b.ask(account)
	b.must(err)
	if s.Open != open {
		b.t.Errorf("account reads %q, want %q", onOff(s.Open), onOff(open))
	}
}

func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := Create(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, DatabaseFile: 0o600, KeyFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has mode %v (%v), want %v", name, info.Mode().Perm(), err, want)
		}
	}
	key, err := os.ReadFile(filepath.Join(dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second create gave %v", err)
	}
	if again, _ := os.ReadFile(filepath.Join(dir, KeyFile)); !bytes.Equal(again, key) {
		t.Error("a second create changed the key")
	}
}

func TestSideFilesAreAsClosedAsTheDatabase(t *testing.T) {
	b := newBed(t)
	files, err := filepath.Glob(filepath.Join(b.dir, DatabaseFile+"*"))
	b.must(err)
	if len(files) != 3 {
		t.Errorf("found %q, want the database, its log and its index", files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%q has mode %v (%v)", f, info.Mode().Perm(), err)
		}
	}
}

func TestCloseLeavesOneFileToCopy(t *testing.T) {
	b := newBed(t)
	b.pair("ana")
	b.must(b.Close())
	files, err := filepath.Glob(filepath.Join(b.dir, DatabaseFile+"*"))
	if err != nil || len(files) != 1 {
		t.Errorf("close left %q, %v", files, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("an empty directory", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrNotInitialized) {
			t.Errorf("got %v", err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("left %v behind", left)
		}
	})
	for name, spoil := range map[string]func(key string) error{
		"a missing key":      os.Remove,
		"another key":        func(key string) error { return os.WriteFile(key, []byte(strings.Repeat("A", 43)+"=\n"), 0o600) },
		"a key cut short":    func(key string) error { return os.Truncate(key, 20) },
		"a key that is none": func(key string) error { return os.WriteFile(key, []byte("!"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Create(dir); err != nil {
				t.Fatal(err)
			}
			if err := spoil(filepath.Join(dir, KeyFile)); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, Options{})
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), KeyFile) || !errors.Is(err, ErrKey) {
				t.Errorf("error %q does not name %s", err, KeyFile)
			}
		})
	}
	for name, size := range map[string]int64{"a database cut short": 1000, "a database that is none": 0} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Create(dir); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, DatabaseFile)
			err := os.Truncate(path, size)
			if size == 0 {
				err = os.WriteFile(path, bytes.Repeat([]byte("x"), 9000), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, Options{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecretsAreNotReadableInTheFile(t *testing.T) {
	b := newBed(t)
	secret, err := b.AddSecret(b.ctx, b.app.Row, "web1")
	b.must(err)
	account := b.pair("ana")
	code, _, err := b.NewCode(b.ctx, "ana")
	b.must(err)
	mode := Mandatory
	b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{TwoFactor: &mode}))
	b.reload()
	s, err := b.ask(account)
	b.must(err)
	b.must(b.Close())
	data, err := os.ReadFile(filepath.Join(b.dir, DatabaseFile))
	b.must(err)
	for what, text := range map[string]string{"secret": secret, "pairing code": code, "one-time token": s.Token} {
		if text == "" || bytes.Contains(data, []byte(text)) {
			t.Errorf("the database holds the %s %q as it is", what, text)
		}
	}
	if !bytes.Contains(data, []byte(account)) {
		t.Error("the account id, which is no secret, is not in the file: the test looks at the wrong one")
	}
}

func TestASealedRecordOpensOnlyInItsRow(t *testing.T) {
	b := newBed(t)
	_, err := b.AddSecret(b.ctx, b.app.Row, "web1")
	b.must(err)
	b.must(b.sqlite().write(b.ctx, func(t *tx) error {
		return t.exec(`UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'default') WHERE name = 'web1'`)
	}))
	if _, _, err := b.Credentials(b.app.ID); err == nil {
		t.Error("a secret moved to another row was accepted")
	}
}

func TestApplications(t *testing.T) {
	b := newBed(t)
	_, _, err := b.AddApplication(b.ctx, Application{Name: "servers"})
	b.refused("the same name", err, ErrExists)
	for _, name := range []string{"", "  ", "a\nb", "a\x1b[2Jb", "\xff", strings.Repeat("x", 257)} {
		if _, _, err := b.AddApplication(b.ctx, Application{Name: name}); !errors.Is(err, ErrBadName) {
			t.Errorf("name %q: got %v", name, err)
		}
	}
	found, err := b.Application("servers")
	if err != nil || found.ID != b.app.ID {
		t.Errorf("by name: %v, %v", found.ID, err)
	}
	_, err = b.Application("other")
	b.refused("an unknown one", err, ErrNoApplication)

	name, on := "hosts", true
	b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{Name: &name, OpenByAPI: &on}))
	b.reload()
	if b.app.Name != "hosts" || !b.app.OpenByAPI || b.app.TwoFactor != Disabled {
		t.Errorf("after the change: %+v", b.app)
	}
	b.must(b.RemoveApplication(b.ctx, b.app.Row))
	_, err = b.Application(b.app.ID)
	b.refused("a removed one", err, ErrNoApplication)
	_, _, err = b.Credentials(b.app.ID)
	b.refused("its secrets", err, ErrNoApplication)
	b.refused("removing it again", b.RemoveApplication(b.ctx, b.app.Row), ErrNoApplication)
	if list, err := b.Applications(0); err != nil || len(list) != 0 {
		t.Errorf("list is %v, %v", list, err)
	}
}

func TestSecrets(t *testing.T) {
	b := newBed(t)
	secret, err := b.AddSecret(b.ctx, b.app.Row, "web1")
	b.must(err)
	_, err = b.AddSecret(b.ctx, b.app.Row, "web1")
	b.refused("the same name", err, ErrExists)
	_, list, err := b.Credentials(b.app.ID)
	b.must(err)
	if len(list) != 2 || list[1].Secret != secret || list[0].Secret == secret || len(secret) != 40 {
		t.Errorf("credentials are %v", list)
	}
	b.Used(list[1])
	b.must(b.sqlite().write(b.ctx, func(*tx) error { return nil })) // after the note in the queue
	infos, err := b.Secrets(b.app.Row)
	b.must(err)
	if infos[0].LastUse != 0 || infos[1].LastUse != b.millis() {
		t.Errorf("last uses are %+v", infos)
	}
	b.must(b.RevokeSecret(b.ctx, b.app.Row, "web1"))
	b.refused("revoking it again", b.RevokeSecret(b.ctx, b.app.Row, "web1"), ErrNoSecret)
	_, list, err = b.Credentials(b.app.ID)
	if err != nil || len(list) != 1 || list[0].Name != "default" {
		t.Errorf("after the revocation: %v, %v", list, err)
	}
	again, err := b.AddSecret(b.ctx, b.app.Row, "web1")
	if err != nil || again == secret {
		t.Errorf("the name of a revoked secret: %v", err)
	}
}

func TestRandomUsesTheWholeAlphabetEvenly(t *testing.T) {
	count := map[rune]int{}
	for _, c := range random(54 * 1000) {
		count[c]++
	}
	if len(count) != 54 {
		t.Errorf("%d different characters, want 54", len(count))
	}
	for c, n := range count {
		if n < 800 || n > 1200 { // 6 standard deviations
			t.Errorf("%q came %d times in 54000", c, n)
		}
	}
	if strings.ContainsAny(random(10000), "015IOSlo") {
		t.Error("an ambiguous character was drawn")
	}
}

func TestSettings(t *testing.T) {
	b := newBed(t)
	if v, err := b.Setting(SettingURL); v != "" || err != nil {
		t.Errorf("unset: %q, %v", v, err)
	}
	b.must(b.SetSetting(b.ctx, SettingURL, "https://a"))
	b.must(b.SetSetting(b.ctx, SettingURL, "https://b"))
	if v, err := b.Setting(SettingURL); v != "https://b" || err != nil {
		t.Errorf("set: %q, %v", v, err)
	}
}

func TestAPIUsersAndControls(t *testing.T) {
	b := newBed(t)
	u, secret, err := b.AddAPIUser(b.ctx, "terraform")
	b.must(err)
	_, _, err = b.AddAPIUser(b.ctx, "terraform")
	b.refused("the same name", err, ErrExists)
	got, kept, err := b.APIUserCredential(u.ID)
	if err != nil || kept != secret || got.Name != "terraform" {
		t.Errorf("credential: %v, %v", got, err)
	}
	own, _, err := b.AddApplication(b.ctx, Application{Name: "own", Owner: u.Row})
	b.must(err)
	if list, err := b.Applications(u.Row); err != nil || len(list) != 1 || list[0].ID != own.ID {
		t.Errorf("its applications: %v, %v", list, err)
	}
	if use, err := b.Usage(u.Row); err != nil || use.Applications != 1 || use.Operations["own"] != 0 {
		t.Errorf("its usage: %+v, %v", use, err)
	}
	b.must(b.RemoveAPIUser(b.ctx, "terraform"))
	_, _, err = b.APIUserCredential(u.ID)
	b.refused("a removed one", err, ErrNoAPIUser)
	b.refused("removing it again", b.RemoveAPIUser(b.ctx, "terraform"), ErrNoAPIUser)
	if a, err := b.Application("own"); err != nil || a.Owner != 0 {
		t.Errorf("its application: %+v, %v", a, err)
	}

	c, err := b.AddControl(b.ctx, b.app, "night shift")
	b.must(err)
	b.must(b.SetControl(b.ctx, b.app, c.ID, false))
	if got, err := b.Control(b.app, c.ID); err != nil || got.Open {
		t.Errorf("closed control: %+v, %v", got, err)
	}
	_, err = b.Control(own, c.ID)
	b.refused("another application's control", err, ErrNoControl)
	b.must(b.RemoveControl(b.ctx, b.app, c.ID))
	b.refused("a removed control", b.SetControl(b.ctx, b.app, c.ID, true), ErrNoControl)
}

// TestBackendIsWhole: what the SQLite store can do for others stands in an interface, or no other backend could do it.
func TestBackendIsWhole(t *testing.T) {
	all, whole := reflect.TypeFor[*Store](), reflect.TypeFor[Backend]()
	for i := range all.NumMethod() {
		if name := all.Method(i).Name; !hasMethod(whole, name) {
			t.Errorf("%s is in no interface of backend.go", name)
		}
	}
}

func hasMethod(t reflect.Type, name string) bool {
	_, has := t.MethodByName(name)
	return has
}
