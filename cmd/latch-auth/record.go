package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/latch-linux/latch/pkg/host/authlog"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// record writes the one line of this login. Its methods may be called by several goroutines; the first line stands.
type record struct {
	log     authlog.Log
	written sync.Once
	begun   atomic.Pointer[begun]
}

type begun struct {
	greeting relay.Greeting
	at       time.Time
}

// begin knows from here on whose login it is.
func (r *record) begin(g relay.Greeting) { r.begun.Store(&begun{g, time.Now()}) }

// hostGone is for a host that ended in the middle. Whoever has the password could ask again and again, and leave no line.
func (r *record) hostGone() { r.outcome(login.Outcome{Decision: policy.Failed(policy.HostGone)}) }

func (r *record) outcome(o login.Outcome) {
	b := r.begun.Load()
	if b == nil {
		return
	}
	g := b.greeting
	r.written.Do(func() {
		r.log.Verdict(authlog.Entry{Outcome: outcomeWord(o.Verdict), User: nameOf(g), Service: g.Service, Phase: g.Phase.String(),
			Rhost: g.Rhost, Reason: string(o.Reason), Took: time.Since(b.at), Detail: o.Detail, Warn: o.Warn})
	})
}
