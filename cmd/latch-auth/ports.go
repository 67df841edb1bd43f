package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/latch-linux/latch/pkg/account"
	"github.com/latch-linux/latch/pkg/audit"
	"github.com/latch-linux/latch/pkg/authn"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/gate"
	"github.com/latch-linux/latch/pkg/latch"
	"github.com/latch-linux/latch/pkg/relay"
	"github.com/latch-linux/latch/pkg/seen"
)

// pairings reads the pairing file when somebody asks: an exempt user needs none.
type pairings struct {
	path string
	err  error // why it could not be read, for the log
}

func (p *pairings) Find(canonical string) (authn.Pairing, bool, error) {
	f, err := p.load()
	if err != nil {
		return authn.Pairing{}, false, err
	}
	found, ok := f.Find(canonical)
	return authn.Pairing{AccountID: found.AccountID, UID: found.UID}, ok, nil
}

func (p *pairings) FindLoosely(given string) (authn.Pairing, bool, error) {
	f, err := p.load()
	if err != nil {
		return authn.Pairing{}, false, err
	}
	found, ok, err := f.FindLoose(given)
	p.err = err
	return authn.Pairing{AccountID: found.AccountID, UID: found.UID}, ok, err
}

func (p *pairings) load() (*account.File, error) {
	f, err := account.Load(p.path)
	p.err = err
	return f, err
}

// server asks through pkg/latch, and knows whether this process was kept from running meanwhile.
type server struct {
	client *latch.Client
	watch  *watch
}

// Ask turns every failure into an answer of the gate's.
func (s server) Ask(ctx context.Context, q authn.Question) authn.Answer {
	status, err := s.client.Status(ctx, latch.Query{AccountID: q.AccountID, OperationID: q.OperationID, NoOTP: q.NoToken, Silent: q.Silent})
	lost := s.watch.lost()
	detail := ""
	if off := status.Offset.Round(time.Second); off != 0 {
		detail = fmt.Sprintf("this machine's clock is off by %v", -off)
	}
	if err != nil {
		a := authn.Answer{Kind: kindOf(err), Detail: detailOf(err)}
		if a.Kind == gate.NoAnswer && lost >= lostLimit {
			a = authn.Answer{Kind: gate.LocalFailure, Detail: fmt.Sprintf("this process was held up for %v while it asked", lost)}
		}
		return a
	}
	if !status.Open {
		return authn.Answer{Kind: gate.Off, Detail: detail}
	}
	return authn.Answer{Kind: gate.On, Token: status.Token, Made: status.TokenTime, Detail: detail}
}

// host answers what only the host's side knows.
type host struct{ conn *relay.Conn }

// Member asks the module.
func (h host) Member(group string) (bool, error) { return h.conn.Member(group) }

// Lists looks for exactly this name in /etc/passwd.
func (h host) Lists(name string) (bool, error) {
	data, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return false, err
	}
	line := append([]byte(name), ':')
	return bytes.HasPrefix(data, line) || bytes.Contains(data, append([]byte{'\n'}, line...)), nil
}

// memory is seen.Memory in the gate's words.
type memory struct{ seen.Memory }

func newMemory(c *config.Config, log audit.Log) memory {
	warn := func(err error) { log.Warn("cannot remember what was seen: " + err.Error()) }
	return memory{seen.Memory{StateDir: c.StateDir, RunDir: c.RunDir, Now: time.Now, Warn: warn}}
}

// Last returns what was seen last.
func (m memory) Last(accountID, operationID string) gate.Seen {
	switch m.Memory.Last(accountID, operationID) {
	case seen.Open:
		return gate.SeenOpen
	case seen.Closed:
		return gate.SeenClosed
	}
	return gate.Never
}

type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
