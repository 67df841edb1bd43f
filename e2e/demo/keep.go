package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/latch-linux/latch/e2e/fixture"
)

// keepVariable makes the demo stay after its table, with the page to try, until it is interrupted.
const keepVariable = "DEMO_KEEP"

// keep shows the page and tries a login whenever a line comes from in. It ends with ctx.
func (s *stage) keep(ctx context.Context, in io.Reader) error {
	// A name, since no browser makes passkeys for an address.
	if err := s.server.Publish("localhost"); err != nil {
		return err
	}
	out, err := s.server.Run("user", "invite", s.user, "--json")
	if err != nil {
		return err
	}
	var invitation struct{ Link string }
	if err := json.Unmarshal(out, &invitation); err != nil || invitation.Link == "" {
		return fmt.Errorf("latch-server user invite printed %q: %w", out, err)
	}
	s.out.heading("The page")
	s.out.text("address   " + s.server.Public + "/")
	s.out.text("sign in   " + invitation.Link)
	s.out.text("The link works once: choose a password there. The browser warns of the certificate, which the demo made itself.")
	s.out.text("Press Enter to try a login; Ctrl-C ends the demo and takes everything away.")
	lines := make(chan struct{})
	go func() {
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			select {
			case lines <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lines:
			if err := s.knock(); err != nil {
				return err
			}
		}
	}
}

// knock tries one login.
func (s *stage) knock() error {
	login := fixture.Transaction{Dir: s.path("pam.d"), Service: service, User: s.user,
		Answer: func(string) (string, error) { return s.readPhone() }}
	outcome, err := login.Run()
	if err != nil {
		return err
	}
	r := row{what: "login as " + s.user, expected: refused, seen: refused}
	if outcome.In() {
		r.expected, r.seen = in, in
	}
	s.out.outcome(r)
	return nil
}

// untilInterrupted is done by Ctrl-C or SIGTERM.
func untilInterrupted() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
