package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// closings is how often a latch is closed on the page and a login tried after it.
const closings = 25

// closing measures the time from "close" on a person's page to a login that is refused: the request of the form, the answer to it, and
// then a login in a process of its own.
func (b *bed) closing() error {
	if err := giveAddress(b.server); err != nil {
		return err
	}
	k, err := b.closingService()
	if err != nil {
		return err
	}
	p, err := b.personsPage()
	if err != nil {
		return err
	}
	var forms, all []time.Duration
	for range closings {
		started := time.Now()
		if err := p.setLatch(b.conf["app_id"], "no"); err != nil {
			return err
		}
		forms = append(forms, time.Since(started))
		if err := b.refused(k); err != nil {
			return err
		}
		all = append(all, time.Since(started))
		if err := p.setLatch(b.conf["app_id"], "yes"); err != nil {
			return err
		}
	}
	b.say("\nFrom \"close\" on the page to a login that is refused, %d times: the page's request took %s ms (p50, p95 %s), the refusal came %s ms "+
		"after the touch (p95 %s).", closings, ms(durationAt(forms, 0.5)), ms(durationAt(forms, 0.95)), ms(durationAt(all, 0.5)), ms(durationAt(all, 0.95)))
	return nil
}

// closingService is the service that the logins use.
func (b *bed) closingService() (kind, error) {
	stack, err := b.latchLine("latch-closing", b.conf)
	if err != nil {
		return kind{}, err
	}
	return kind{service: "latch-closing", user: paired}, b.writeStack("latch-closing", stack)
}

func (b *bed) personsPage() (*page, error) {
	s, err := store.Open(b.server.Data, store.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	ticket, err := signIn(s, paired)
	if err != nil {
		return nil, err
	}
	to, err := targetOf(b.server)
	if err != nil {
		return nil, err
	}
	return newPage(to, b.server.URL, ticket), nil
}

// setLatch sends the form of a padlock.
func (p *page) setLatch(app, open string) error {
	form := url.Values{"app": {app}, "open": {open}}
	resp, err := p.do(context.Background(), http.MethodPost, "/latch", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("POST /latch: %s", resp.Status)
	}
	return nil
}

// refused makes one login, which must be refused by the module.
func (b *bed) refused(k kind) error {
	out, err := exec.Command(b.host, b.confdir(), k.service, k.user, "one", "").CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || !strings.Contains(string(out), ": code ") {
		return fmt.Errorf("a login after closing: %v, %s", err, out)
	}
	return nil
}
