package hosts

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/server/httpapi"
	"github.com/latch-linux/latch/pkg/server/schedule"
	"github.com/latch-linux/latch/pkg/server/store"
)

// later is a latch-server in this process whose latches live at another time; requests are signed at the machine's.
type later struct {
	store *store.Store
	url   string
	data  string
	clock atomic.Pointer[time.Time]
}

func (l *later) now() time.Time { return *l.clock.Load() }

func (l *later) at(t *testing.T, utc string) {
	t.Helper()
	now, err := time.Parse(time.DateTime, utc)
	if err != nil {
		t.Fatal(err)
	}
	l.clock.Store(&now)
}

func startLater(t *testing.T) *later {
	t.Helper()
	l := &later{data: filepath.Join(t.TempDir(), "data")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(store.Create(l.data))
	l.at(t, "2026-03-27 12:00:00")
	var err error
	l.store, err = store.Open(l.data, store.Options{Now: l.now})
	must(err)
	t.Cleanup(func() { l.store.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	l.url = "https://" + listener.Addr().String()
	conf, err := httpapi.SelfSigned(l.data, httpapi.LeafNames(listener.Addr(), ""), time.Now)
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- httpapi.New(httpapi.Options{Store: l.store}).Serve(ctx, listener, conf) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestScheduleOverDaylightSaving has a real su refused and let in by the wall clock of Madrid around the night in which it is
// set forward, and by a timed opening in between.
func TestScheduleOverDaylightSaving(t *testing.T) {
	l := startLater(t)
	ctx := context.Background()
	app, secret, err := l.store.AddApplication(ctx, store.Application{Name: "hosts"})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := l.store.Import(ctx, app, []string{opened})
	if err != nil {
		t.Fatal(err)
	}
	keepAccounts(t, opened+": "+ids[0]+"\n")
	ca := "/etc/latch/later.pem" // trusted only where nobody else writes
	pem, err := os.ReadFile(filepath.Join(l.data, "ca.pem"))
	if err == nil {
		err = os.WriteFile(ca, pem, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	configure(t, fixture.NewConf(&fixture.Server{URL: l.url, CA: ca}, fixture.App{ID: app.ID, Secret: secret}).With("action", "close"))

	u, err := l.store.User(opened)
	if err != nil {
		t.Fatal(err)
	}
	week, err := schedule.Parse("Europe/Madrid; daily 08:00-22:00")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.store.SetSchedule(ctx, u.Row, app.ID, store.Target{}, week, store.Attempt{}); err != nil {
		t.Fatal(err)
	}
	try := func(utc string, in bool) {
		t.Helper()
		l.at(t, utc)
		if r := su(unpaired, opened).run(); r.in(opened) != in {
			t.Errorf("at %s UTC: in = %v, want %v\n%s", utc, !in, in, r.stderr)
		}
	}
	try("2026-03-28 06:59:59", false) // winter time
	try("2026-03-28 07:00:00", true)
	try("2026-03-28 21:00:00", false)
	if _, err := l.store.Switch(ctx, store.Switch{User: u.Row, App: app.ID, Open: true, For: 10 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	try("2026-03-28 21:09:59", true)
	try("2026-03-28 21:10:00", false)
	try("2026-03-29 05:59:59", false) // summer time
	try("2026-03-29 06:00:00", true)
	try("2026-03-29 19:59:59", true)
	try("2026-03-29 20:00:00", false)
}

// keepAccounts puts another pairing file in place for the time of one test.
func keepAccounts(t *testing.T, text string) {
	t.Helper()
	before, err := os.ReadFile(accountsFile)
	if err == nil {
		err = os.WriteFile(accountsFile, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(accountsFile, before, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}
