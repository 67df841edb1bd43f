// Package notify delivers what people are told of attempts at their latches and changes of them: by Web Push, ntfy, e-mail and
// the webhook of the Latch API.
//
// The store keeps what has to be told (see store.Fanout) and to whom it was told; a Worker takes it from there, beside the
// answers and never before them: no login waits for a receiver. Delivery is at least once. A receiver that fails is tried
// again later and later, and one that is slow holds up nobody but itself.
package notify

import (
	"context"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// Limits of delivering.
const (
	pollEvery    = 300 * time.Millisecond // how often the history is looked at; one cheap question each
	summaryEvery = 5 * time.Second
	parallel     = 32               // deliveries under way at a time
	sendLimit    = 20 * time.Second // for one delivery; less than the store's claim lasts
	troublePause = 5 * time.Second  // after the database failed
)

// Problems: words for what can go wrong with a receiver. The pages have a text for each.
const (
	ProblemTimeout     = "timeout"     // no answer in time
	ProblemUnreachable = "unreachable" // no connection, or it broke
	ProblemName        = "name"        // the name is not known
	ProblemForbidden   = "forbidden"   // the address is one that notices must not go to
	ProblemCertificate = "certificate" // TLS failed
	ProblemRedirect    = "redirect"    // it sent us elsewhere
	ProblemDenied      = "denied"      // it wants another token, password or key
	ProblemGone        = "gone"        // the browser ended its subscription
	ProblemMissing     = "missing"     // there is nothing at that address
	ProblemBusy        = "busy"        // it wants to be left alone for a while
	ProblemServer      = "server"      // it failed itself
	ProblemRejected    = "rejected"    // it does not take this notice
	ProblemAnswer      = "answer"      // it answered something else than it should
	ProblemNoMail      = "nomail"      // the server has no settings for e-mail
	ProblemNoTLS       = "notls"       // the mail server offers no encryption
	ProblemNoAuth      = "noauth"      // the mail server offers no way to sign in that we have
	ProblemSettings    = "settings"    // what is stored of the receiver is of no use
)

// Problems lists the words.
func Problems() []string {
	return []string{ProblemTimeout, ProblemUnreachable, ProblemName, ProblemForbidden, ProblemCertificate, ProblemRedirect, ProblemDenied,
		ProblemGone, ProblemMissing, ProblemBusy, ProblemServer, ProblemRejected, ProblemAnswer, ProblemNoMail, ProblemNoTLS, ProblemNoAuth, ProblemSettings}
}

// Options of a sender.
type Options struct {
	Store store.Backend
	URL   string           // the stored address of the pages, the only source of links; "" makes notices without links
	Now   func() time.Time // nil means the system's clock
	Log   *slog.Logger     // nil means none
	Words Words            // the texts
	Roots *x509.CertPool   // whom receivers' certificates may come from; nil means the system's
}

// Sender delivers notices.
type Sender struct {
	store store.Backend
	url   string
	now   func() time.Time
	log   *slog.Logger
	words Words
	roots *x509.CertPool
	limit time.Duration // for one delivery

	public, private *receiverClient
}

// New returns a sender.
func New(o Options) *Sender {
	s := &Sender{store: o.Store, url: o.URL, now: o.Now, log: o.Log, words: o.Words, roots: o.Roots, limit: sendLimit}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.public, s.private = newReceiverClient(o.Roots, false), newReceiverClient(o.Roots, true)
	return s
}

// Run delivers until ctx is done. Several processes may run it on one database.
func (s *Sender) Run(ctx context.Context) {
	w := worker{Sender: s, ended: make(chan struct{}, parallel)}
	defer w.under.Wait()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if err := w.turn(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("notices", "error", err)
			if !sleep(ctx, troublePause) {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.ended: // a channel is free again and may have more to take
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// worker is one Run.
type worker struct {
	*Sender
	seen    int64     // how far into the history it has looked
	summed  time.Time // when it last looked for summaries
	under   sync.WaitGroup
	ended   chan struct{}
	mu      sync.Mutex
	running int
}

// turn makes notices of what is new and starts to deliver what is due.
func (w *worker) turn(ctx context.Context) error {
	if time.Since(w.summed) >= summaryEvery {
		w.summed = time.Now()
		if err := w.store.Summaries(ctx); err != nil {
			return err
		}
	}
	for more := true; more; {
		var err error
		if w.seen, more, err = w.store.Fanout(ctx, w.seen); err != nil {
			return err
		}
	}
	w.mu.Lock()
	free := parallel - w.running
	w.mu.Unlock()
	if free == 0 {
		return nil
	}
	list, err := w.store.Claim(ctx, free)
	for _, d := range list {
		w.start(ctx, d)
	}
	return err
}

func (w *worker) start(ctx context.Context, d store.Delivery) {
	w.mu.Lock()
	w.running++
	w.mu.Unlock()
	w.under.Go(func() {
		if err := w.deliver(ctx, d); err != nil && ctx.Err() == nil {
			w.log.Warn("notices", "error", err)
		}
		w.mu.Lock()
		w.running--
		w.mu.Unlock()
		select {
		case w.ended <- struct{}{}:
		default:
		}
	})
}

// deliver sends one notice and notes what came of it. A server that stops notes nothing: the next one sends it again.
func (s *Sender) deliver(ctx context.Context, d store.Delivery) error {
	r := s.send(ctx, d)
	if r.Problem != "" && ctx.Err() != nil {
		return s.store.Release(context.WithoutCancel(ctx), d)
	}
	if r.Problem != "" {
		s.log.Info("notice not delivered", "channel", d.Channel.Row, "kind", d.Channel.Kind, "problem", r.Problem)
	}
	return s.store.Delivered(context.WithoutCancel(ctx), d, r)
}

// Test sends a test to a channel of a person (app 0) or an application (user 0) and returns the problem, "" if it arrived. It waits
// for the receiver, up to sendLimit. Many tests within some minutes give a *store.TooManyError.
func (s *Sender) Test(ctx context.Context, user, app, channel int64) (problem string, err error) {
	d, err := s.store.TestDelivery(ctx, user, app, channel)
	if err != nil {
		return "", err
	}
	r := s.send(ctx, d)
	return r.Problem, s.store.Delivered(context.WithoutCancel(ctx), d, r)
}

func (s *Sender) send(ctx context.Context, d store.Delivery) store.Result {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	switch d.Channel.Kind {
	case store.ChannelPush:
		return s.push(ctx, d)
	case store.ChannelNtfy:
		return s.ntfy(ctx, d)
	case store.ChannelMail:
		return s.mail(ctx, d)
	case store.ChannelWebhook:
		return s.webhook(ctx, d)
	}
	return store.Result{Problem: ProblemSettings, Drop: true}
}
