package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

// crowd is how many processes run at once, fewer than for `make test-all`.
var crowd = func() int {
	if os.Getenv("LATCH_TEST_ALL") != "" {
		return 50
	}
	return 20
}()

// hurried is one `latch pair` among many.
type hurried struct {
	user  string
	uid   int64
	cmd   *exec.Cmd
	ended chan struct{}
	done  bool // it exited with 0
}

// people makes local users with phones, once.
var people = sync.OnceValues(func() ([]hurried, error) {
	list := make([]hurried, crowd)
	for i := range list {
		list[i] = hurried{user: fmt.Sprintf("person%02d", i), uid: int64(7100 + i)}
		if _, err := fixture.AddUser(list[i].user, 7100+i); err != nil {
			return nil, err
		}
		if _, err := shared.store.AddUser(context.Background(), list[i].user); err != nil {
			return nil, err
		}
	}
	return list, nil
})

// newCrowd prepares a process for everybody.
func newCrowd(w *world) []*hurried {
	w.t.Helper()
	all, err := people()
	w.must(err)
	list := make([]*hurried, len(all))
	for i := range all {
		h := all[i]
		h.ended = make(chan struct{})
		h.cmd = command("latch", "pair", w.code(h.user), "--user", h.user, "--config", w.conf, "--accounts", w.accounts)
		list[i] = &h
	}
	return list
}

// run starts everybody at once, lets meddle act on each, and returns when all have ended.
func run(w *world, list []*hurried, meddle func(*hurried)) {
	w.t.Helper()
	var wait sync.WaitGroup
	for _, h := range list {
		w.must(h.cmd.Start())
		wait.Go(func() { h.done = h.cmd.Wait() == nil; close(h.ended) })
		if meddle != nil {
			wait.Go(func() { meddle(h) })
		}
	}
	wait.Wait()
}

// watch reads the pairing file again and again, as logins do, and complains of every state that is not valid, until it is
// stopped. made is how many pairings it saw last.
func watch(w *world) (made *atomic.Int32, stop func()) {
	made = new(atomic.Int32)
	var end atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !end.Load() {
			f, err := pairings.Load(w.accounts)
			if err != nil {
				w.t.Errorf("the file is not valid while pairings are written: %v", err)
				return
			}
			made.Store(int32(len(f.All())))
		}
	}()
	return made, func() { end.Store(true); <-ended }
}

// stored checks that every pairing whose process said so is there, and how many are in all.
func stored(w *world, list []*hurried) int {
	w.t.Helper()
	f, err := pairings.Load(w.accounts)
	w.must(err)
	for _, h := range list {
		p, ok := f.Find(h.user)
		if h.done && !ok {
			w.t.Errorf("the pairing of %s is lost", h.user)
		}
		if !ok {
			continue
		}
		if known := w.atServer(h.user); p.UID != h.uid || len(known) != 1 || known[0].AccountID != p.AccountID {
			w.t.Errorf("stored %+v for the uid %d, the server has %+v", p, h.uid, known)
		}
	}
	return len(f.All())
}

// TestManyPairAtOnce loses none of the pairings that are made at the same time; then it kills such processes, each when some of the
// others are done.
func TestManyPairAtOnce(t *testing.T) {
	w := newWorld(t)
	list := newCrowd(w)
	_, stop := watch(w)
	run(w, list, nil)
	stop()
	if n := stored(w, list); n != crowd {
		t.Errorf("%d pairings of %d", n, crowd)
	}
	for _, h := range list {
		if !h.done {
			t.Errorf("%v", h.cmd)
		}
	}

	w = newWorld(t)
	list = newCrowd(w)
	made, stop := watch(w)
	spared := list[crowd-1]
	run(w, list, func(h *hurried) {
		if h == spared {
			return
		}
		for after := rand.N(int32(crowd / 2)); made.Load() < after; time.Sleep(time.Millisecond) {
			select {
			case <-h.ended:
				return
			default:
			}
		}
		h.cmd.Process.Kill() // SIGKILL; one that has ended already is as good
	})
	stop()
	done := 0
	for _, h := range list {
		if h.done {
			done++
		}
	}
	n := stored(w, list)
	if !spared.done || n < done {
		t.Errorf("spared %v, %d exited with 0, %d are stored", spared.done, done, n)
	}
	t.Logf("%d exited with 0, %d are stored", done, n)

	// Whatever the killed left behind is in nobody's way, and gone with the next change.
	w.pair("ana")
	if o := w.run("list"); o.status != cli.ExitOK {
		t.Errorf("%v", o)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(w.accounts), ".*.new-*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
