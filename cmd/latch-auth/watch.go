package main

import "time"

// A caller who owns the cgroup that a set-uid host runs in can freeze this process until its own clock says
// that the server gave no answer. So while a question is out the process counts its own ticks: those that it
// missed are the time for which it was kept from running.
const (
	tick      = 50 * time.Millisecond
	lostLimit = 500 * time.Millisecond // from here on "no answer" says nothing about the server
)

type watch struct {
	start time.Time
	quit  chan struct{}
	count chan int
}

func startWatch() *watch {
	w := &watch{start: time.Now(), quit: make(chan struct{}), count: make(chan int)}
	go func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		n := 0
		for {
			select {
			case <-ticker.C:
				n++
			case <-w.quit:
				w.count <- n
				return
			}
		}
	}()
	return w
}

// stop returns how much time was lost.
func (w *watch) stop() time.Duration {
	close(w.quit)
	return lost(time.Since(w.start), <-w.count)
}

// lost is the time that the ticks seen do not account for.
func lost(elapsed time.Duration, ticks int) time.Duration {
	return max(0, elapsed-time.Duration(ticks+1)*tick)
}
