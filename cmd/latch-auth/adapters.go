package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/cgroup"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// localReads bounds what this process reads before it asks the server.
type localReads struct{ timer *time.Timer }

// boundReads refuses unless done is called in time. A thread that hangs in a read cannot be woken, so the process ends.
func boundReads(limit time.Duration, conn *relay.Conn, line *record) localReads {
	return localReads{time.AfterFunc(limit, func() {
		line.outcome(failed(policy.Local, fmt.Errorf("the files of this machine were not read within %v; is a disk busy?", limit)))
		_ = conn.Verdict(relay.Refuse)
		os.Exit(0)
	})}
}

// done reports whether it came in time.
func (r localReads) done() bool { return r.timer.Stop() }

// server is asked once all files have been read.
type server struct {
	adapters.Server
	reads localReads
}

func newServer(c *config.Config, client *client.Client, reads localReads) server {
	watch := &adapters.Watch{Timeout: c.Timeout, Delegated: cgroup.Delegated}
	return server{adapters.Server{Client: client, Watch: watch}, reads}
}

// Prepare implements login.Server.
func (s server) Prepare(ctx context.Context) error {
	err := s.Server.Prepare(ctx)
	adapters.KeepProgramInMemory()
	if !s.reads.done() {
		select {} // the process ends
	}
	return err
}

// host answers what only the host's side knows.
type host struct{ conn *relay.Conn }

// Member asks the module.
func (h host) Member(group string) (bool, error) { return h.conn.Member(group) }

// Lists asks the machine's own file, under limits that no caller has made.
func (h host) Lists(name string) (bool, error) { return adapters.Listed(name) }

var _ login.Server = server{}
