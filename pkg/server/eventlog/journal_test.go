package eventlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/server/store/storetest"
)

// log collects lines; it may be told to fail.
type log struct {
	mu    sync.Mutex
	lines bytes.Buffer
	fail  error
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	return l.lines.Write(p)
}

func (l *log) breaks(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

// objects are the lines so far, each of which has to be one JSON object.
func (l *log) objects(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []map[string]any
	for _, line := range strings.Split(strings.TrimSuffix(l.lines.String(), "\n"), "\n") {
		if line == "" {
			continue
		}
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in line %q", err, line)
		}
		list = append(list, o)
	}
	return list
}

// bed is a database with a person who is paired.
type bed struct {
	store.Backend
	t       *testing.T
	dir     string
	app     store.Application
	account string
}

var createStore = storetest.Once(store.Create)

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, dir: t.TempDir()}
	b.must(createStore(b.dir))
	b.open()
	t.Cleanup(func() { b.Close() })
	ctx := t.Context()
	var err error
	b.app, _, err = b.AddApplication(ctx, store.Application{Name: "servers"})
	b.must(err)
	_, err = b.AddUser(ctx, "ana")
	b.must(err)
	code, _, err := b.NewCode(ctx, "ana")
	b.must(err)
	b.account, err = b.Pair(ctx, store.PairRequest{App: b.app, Code: code, Subject: "test"})
	b.must(err)
	return b
}

func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) open() {
	b.t.Helper()
	var err error
	b.Backend, err = store.Open(b.dir, store.Options{})
	b.must(err)
}

func (b *bed) ask(a store.Attempt) {
	b.t.Helper()
	_, err := b.Status(b.t.Context(), store.StatusRequest{App: b.app, AccountID: b.account, Attempt: a})
	b.must(err)
}

// follow runs the journal for as long as it takes until done says so, and stops it.
func (b *bed) follow(l *log, done func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Run(ctx, b.dir, b.Backend, slog.NewJSONHandler(l, nil), func(error) {})
	}()
	for !done() {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-ended
}

func (b *bed) until(l *log, n int) func() bool {
	return func() bool { return len(l.objects(b.t)) >= n }
}

func TestEveryAttemptAndActIsALine(t *testing.T) {
	b := newBed(t)
	b.ask(store.Attempt{IP: "192.0.2.1", UserAgent: "latch", Context: map[string]string{"host": "web1", "service": "sshd"}})
	_, err := b.SetByUser(t.Context(), "ana", "", "", false)
	b.must(err)
	b.ask(store.Attempt{IP: "192.0.2.1"})
	var l log
	b.follow(&l, b.until(&l, 6))
	var got []string
	for _, o := range l.objects(t) {
		got = append(got, fmt.Sprint(o["msg"], " ", o["level"], " ", o["act"], o["user"], " ", o["what"], " ", o["value"]))
	}
	want := []string{"act INFO application.add<nil> <nil> <nil>", "act INFO person.add<nil> <nil> <nil>",
		"change INFO <nil>ana pairing paired", "attempt INFO <nil>ana status on", "change INFO <nil>ana status off", "attempt WARN <nil>ana status off"}
	// What happened within a millisecond has no order between the two kinds.
	if strings.Join(got[len(got)-2:], "\n") != strings.Join(want[4:], "\n") || len(got) != len(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, o := range l.objects(t) {
		if o["msg"] == "attempt" && o["value"] == "on" && fmt.Sprint(o["host"]) != "map[host:web1 service:sshd]" {
			t.Errorf("the host's words are %v", o["host"])
		}
	}
}

// TestNothingIsMissingOrTwice: not after a restart, not after the log failed for a while.
func TestNothingIsMissingOrTwice(t *testing.T) {
	b := newBed(t)
	var l log
	b.follow(&l, b.until(&l, 3))
	for range batch + 50 { // more than one reading
		b.ask(store.Attempt{})
	}
	l.breaks(errors.New("no space left"))
	f := follower{store: b.Backend, to: slog.NewJSONHandler(&l, nil)}
	if err := f.step(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("a log that fails is %v", err)
	}
	l.breaks(nil)
	b.must(b.Close())
	b.open()
	b.follow(&l, b.until(&l, 3+batch+50))
	seen := map[string]bool{}
	next := 1.0
	for _, o := range l.objects(t) {
		key := fmt.Sprint(o["msg"] == "act", o["id"])
		if seen[key] {
			t.Errorf("%v comes twice", o)
		}
		seen[key] = true
		if o["msg"] != "act" {
			if o["id"] != next {
				t.Fatalf("line %v follows line %v", o["id"], next-1)
			}
			next++
		}
	}
}

// TestOneOfTwoProcessesWrites: the other takes over when it ends.
func TestOneOfTwoProcessesWrites(t *testing.T) {
	b := newBed(t)
	first, err := tryLock(b.dir + "/" + lockFile)
	if err != nil || first == nil {
		t.Fatalf("%v, %v", first, err)
	}
	if second, err := tryLock(b.dir + "/" + lockFile); second != nil || err != nil {
		t.Fatalf("a second one got it: %v, %v", second, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var l log
	Run(ctx, b.dir, b.Backend, slog.NewJSONHandler(&l, nil), func(err error) { t.Error(err) })
	if n := len(l.objects(t)); n != 0 {
		t.Errorf("it wrote %d lines all the same", n)
	}
	first.Close()
	b.follow(&l, b.until(&l, 3))
}

// TestNoLineCanBeForged: what a host, a person or an administrator can choose is one value of one line.
func TestNoLineCanBeForged(t *testing.T) {
	b := newBed(t)
	evil := "x\"}\n{\"msg\":\"attempt\",\"user\":\"root\"\x1b[2J\u202e\u0085\u2028\xff" + strings.Repeat("é", 300)
	b.ask(store.Attempt{IP: evil, UserAgent: evil, Context: map[string]string{"host": evil, evil: "x"}})
	b.must(b.Note(store.WithActor(t.Context(), store.Actor{Via: store.ViaWeb, Name: evil, IP: evil}), evil, evil, map[string]string{evil: evil}))
	for _, format := range []string{FormatJSON, FormatText} {
		var l log
		h, err := NewHandler(format, &l, slog.LevelInfo)
		b.must(err)
		f := follower{store: b.Backend, to: h}
		b.must(f.step(t.Context()))
		text := l.lines.String()
		if n := strings.Count(text, "\n"); n != 5 {
			t.Errorf("%s has %d lines, want 5: %q", format, n, text)
		}
		for _, bad := range []string{"\x1b", "\u202e", "\u0085", "\u2028", "\xff", "\r"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s holds %q", format, bad)
			}
		}
		for _, line := range strings.Split(text, "\n") {
			if len(line) > 16*maxValue {
				t.Errorf("%s has a line of %d bytes", format, len(line))
			}
		}
		b.must(b.KeepLogged(t.Context(), store.Position{})) // the other format says the same
	}
}

func TestCleanCutsBetweenCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                          "plain",
		"a\tb":                           "a\ufffdb",
		strings.Repeat("x", 300):         strings.Repeat("x", maxValue),
		"x" + strings.Repeat("é", 200):   "x" + strings.Repeat("é", 127),
		strings.Repeat("\U0001f512", 70): strings.Repeat("\U0001f512", 63),
	} {
		if got := clean(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
