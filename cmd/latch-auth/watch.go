package main

import (
	"sync/atomic"
	"time"
)

// A caller who owns the cgroup that a set-uid host runs in can freeze this process until its own clock says
// that the server gave no answer. So the process counts its own ticks: those that it missed are the time for which it
// was kept from running.
const (
	tick      = 50 * time.Millisecond
	lostLimit = 500 * time.Millisecond // from here on "no answer" says nothing about the server
)

// watch ticks until the process ends. It starts before the first question's deadline is set and is read at the end of
// each question, so that there is no moment in between at which a freeze could use up a deadline unseen.
type watch struct {
	ticks atomic.Int64
	since time.Time // of the latest reading, like seen
	seen  int64     // ticks
}

func startWatch() *watch {
	w := &watch{since: time.Now()}
	ticker := time.NewTicker(tick)
	go func() {
		for range ticker.C {
			w.ticks.Add(1)
		}
	}()
	return w
}

// lost returns how much time was lost since it was called last, or since the start.
func (w *watch) lost() time.Duration {
	now, ticks := time.Now(), w.ticks.Load()
	elapsed, counted := now.Sub(w.since), ticks-w.seen
	w.since, w.seen = now, ticks
	return max(0, elapsed-time.Duration(counted+1)*tick)
}
