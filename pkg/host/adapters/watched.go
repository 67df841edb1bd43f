package adapters

import (
	"context"
	"fmt"
	"time"

	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
)

// Watch measures, in a process that a caller may be able to stop, how much of a query's time was lost. Time is lost unless it
// was spent waiting for the network, which package pollnet counts.
type Watch struct {
	Timeout   time.Duration // of each query, its repetitions included
	Delegated func() string // returns a cgroup that a caller controls, or ""
}

// Shares of a query's time. An answering server is waited for only as long as its answer takes, so a query that waited for less
// than the first share was not silence, whatever kept this process from running.
const (
	leastWaited = 10 // one in so many
	mostLost    = 4
	neverLost   = 500 * time.Millisecond // less than this is nobody's fault, however short the query
)

// failed turns a failure into an answer.
func (s Server) failed(ctx context.Context, err error) login.Answer {
	a := Answered(client.Status{}, err)
	deadline, bounded := ctx.Deadline()
	if s.Watch == nil || !bounded || a.Kind != policy.NoAnswer {
		return a
	}
	if why := s.Watch.fault(time.Until(deadline), s.Client.Waited(deadline), client.IsSilence(err)); why != "" {
		return login.Answer{Kind: policy.LocalFailure, Detail: why + ": " + a.Detail}
	}
	return a
}

// fault says why "no answer" says nothing about the server, or "".
func (w *Watch) fault(left, waited time.Duration, silence bool) string {
	elapsed := w.Timeout - left
	lost := elapsed - waited
	if silence && waited < elapsed/leastWaited {
		return fmt.Sprintf("this machine waited for the server for only %v of %v", waited.Round(time.Millisecond), elapsed.Round(time.Millisecond))
	}
	if lost <= max(neverLost, w.Timeout/mostLost) {
		return ""
	}
	if dir := w.Delegated(); dir != "" {
		return fmt.Sprintf("this process was held up for %v, and its caller may control the cgroup %s", lost.Round(time.Millisecond), dir)
	}
	return ""
}
