package main

import (
	"context"
	"fmt"

	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// server knows whether this process was kept from running while it asked.
type server struct {
	adapters.Server
	watch *watch
}

// Ask takes no word for "no answer" that somebody may have made by stopping this process.
func (s server) Ask(ctx context.Context, q login.Question) login.Answer {
	return s.judge(s.Server.Ask(ctx, q))
}

// Validate does the same for a code.
func (s server) Validate(ctx context.Context, id, code string) login.Answer {
	return s.judge(s.Server.Validate(ctx, id, code))
}

// ValidateOwn does the same for a code of what the person has enrolled.
func (s server) ValidateOwn(ctx context.Context, accountID, code string) login.Answer {
	return s.judge(s.Server.ValidateOwn(ctx, accountID, code))
}

func (s server) judge(a login.Answer) login.Answer {
	if lost := s.watch.lost(); a.Kind == policy.NoAnswer && lost >= lostLimit {
		return login.Answer{Kind: policy.LocalFailure, Detail: fmt.Sprintf("this process was held up for %v while it asked", lost)}
	}
	return a
}

// host answers what only the host's side knows.
type host struct{ conn *relay.Conn }

// Member asks the module.
func (h host) Member(group string) (bool, error) { return h.conn.Member(group) }

// Lists asks the machine's own file, under limits that no caller has made.
func (h host) Lists(name string) (bool, error) { return adapters.Listed(name) }
