// Package pollnet makes the connections of a query. While a query runs it reads no file, and it waits for the network by
// poll(2) in short steps. That separates the time for which the network owed an answer from the time for which this
// process, or one of its threads, was kept from running: a caller may be able to stop both.
package pollnet

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// step is the longest time that counts as waited without asking the kernel again.
const step = 50 * time.Millisecond

// Errors at the deadline. What was received before it is still read.
var (
	// ErrSilent says that everything was sent and all that was received in return was read.
	ErrSilent = errors.New("no answer before the deadline")
	// ErrUnsent says that it was this machine's turn.
	ErrUnsent = errors.New("the deadline passed before this machine had sent its part")
)

// errElapsed ends a wait before the deadline.
var errElapsed = errors.New("the time for this step is over")

// Meter bounds the waiting of connections by the deadline of a context, and adds it up. That the context is cancelled is not its
// concern.
type Meter struct {
	ctx   context.Context
	until time.Time // an earlier deadline; zero for none
	whole *Meter    // which this one is a part of; nil for none

	mu      sync.Mutex
	waited  time.Duration
	counted time.Time // the end of the latest wait that was added
}

// NewMeter makes a meter for one query.
func NewMeter(ctx context.Context) *Meter { return &Meter{ctx: ctx} }

// within returns a meter with an earlier deadline, whose waits count here.
func (m *Meter) within(until time.Time) *Meter { return &Meter{ctx: m.ctx, until: until, whole: m} }

// Waited returns for how long the network, or a pause between two attempts, was waited for. A step during which this
// process did not run counts as no more than a step.
func (m *Meter) Waited() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waited
}

// Deadline returns the deadline, and false where there is none.
func (m *Meter) Deadline() (time.Time, bool) {
	deadline, bounded := m.ctx.Deadline()
	if !m.until.IsZero() && (!bounded || m.until.Before(deadline)) {
		return m.until, true
	}
	return deadline, bounded
}

// Over reports whether the deadline has passed.
func (m *Meter) Over() bool {
	deadline, bounded := m.Deadline()
	return bounded && !time.Now().Before(deadline) || errors.Is(m.ctx.Err(), context.DeadlineExceeded)
}

// add counts a wait. Two that overlap count once.
func (m *Meter) add(from, to time.Time) {
	if m.whole != nil {
		m.whole.add(from, to)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if from.Before(m.counted) {
		from = m.counted
	}
	if to.After(from) {
		m.waited += to.Sub(from)
		m.counted = to
	}
}

// Sleep pauses, until the deadline or the end of ctx at the latest.
func (m *Meter) Sleep(ctx context.Context, d time.Duration) {
	_ = m.wait(nil, time.Now().Add(d), always, ctx.Err)
}

// always is for what the network owes without a condition.
func always() bool { return true }

// wait returns nil when one of the descriptors is ready. due reports whether the network owes the next packet: otherwise the time
// does not count, and the deadline is ErrUnsent. The zero until is no bound.
func (m *Meter) wait(fds []unix.PollFd, until time.Time, due func() bool, ended func() error) error {
	for {
		if err := ended(); err != nil {
			return err
		}
		over := m.Over()
		begun := time.Now()
		ready, err := poll(fds, m.limit(begun, until, over))
		if err != nil {
			return err
		}
		now := time.Now()
		if due() {
			m.add(begun, begun.Add(min(step, now.Sub(begun))))
		}
		switch {
		case ready:
			return nil
		case over && due():
			return ErrSilent
		case over:
			return ErrUnsent
		case !until.IsZero() && !now.Before(until):
			return errElapsed
		}
	}
}

// limit is how long the kernel may be waited for in one step.
func (m *Meter) limit(now, until time.Time, over bool) time.Duration {
	if over {
		return 0
	}
	limit := step
	deadline, _ := m.Deadline()
	for _, end := range []time.Time{deadline, until} {
		if !end.IsZero() {
			limit = min(limit, end.Sub(now))
		}
	}
	return max(0, limit)
}

// poll reports whether one of the descriptors is ready within limit.
func poll(fds []unix.PollFd, limit time.Duration) (bool, error) {
	for i := range fds {
		fds[i].Revents = 0
	}
	timeout := unix.NsecToTimespec(int64(limit))
	n, err := unix.Ppoll(fds, &timeout, nil)
	if err == unix.EINTR {
		return false, nil
	}
	return n > 0, err
}
