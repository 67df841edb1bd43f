package notify

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// silence is a receiver that takes a request and never answers, until the test ends.
func (b *bed) silence() *receiver {
	over, end := context.WithCancel(context.Background())
	r := b.receive(func(_ http.ResponseWriter, q *http.Request) {
		select {
		case <-q.Context().Done():
		case <-over.Done():
		}
	})
	b.t.Cleanup(end) // before the receiver is closed, which waits for its requests
	return r
}

// logins times n questions, in the middle of all.
func (b *bed) logins(n int) time.Duration {
	b.t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		b.attempt()
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	return took[n/2]
}

// TestReceiverThatNeverAnswersDelaysNobody: logins take as long beside one as without any, and other receivers get theirs.
func TestReceiverThatNeverAnswersDelaysNobody(t *testing.T) {
	b := newBed(t)
	const n = 200
	without := b.logins(n)
	dead := b.silence()
	b.channel(store.ChannelNtfy, store.ChannelSettings{URL: dead.URL + "/dead"})
	well := b.receive(nil)
	b.channel(store.ChannelNtfy, store.ChannelSettings{URL: well.URL + "/well"})
	b.run()
	b.attempt()
	dead.next(t) // it hangs from here on
	well.next(t)
	with := b.logins(n)
	t.Logf("median of %d logins: %v without notices, %v beside a receiver that never answers", n, without, with)
	if with > 5*without+time.Second {
		t.Errorf("a login takes %v beside a receiver that never answers, %v without", with, without)
	}
}

func TestReceiverThatNeverAnswersIsLeft(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	row := b.channel(store.ChannelNtfy, store.ChannelSettings{URL: b.silence().URL + "/dead"})
	b.sender.limit = time.Second
	b.tested(row, ProblemTimeout)
	if c := b.state(row); c.Failures != 1 || c.Problem != ProblemTimeout || c.GivenUp {
		t.Errorf("the channel is %+v", c)
	}
}

// TestStopSendsAgain: what is under way when the server stops is sent by the next one, and not held against the receiver.
func TestStopSendsAgain(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dead := b.silence()
	row := b.channel(store.ChannelNtfy, store.ChannelSettings{URL: dead.URL + "/slow"})
	b.attempt()
	stop := b.run()
	dead.next(t)
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if c := b.state(row); c.Failures != 0 {
		t.Errorf("the receiver is blamed: %+v", c)
	}
	b.run()
	dead.next(t)
}

// TestReceiverThatRecovers: a notice that failed comes when the receiver is back, once.
func TestReceiverThatRecovers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	broken := true
	r := b.receive(func(w http.ResponseWriter, _ *http.Request) {
		if broken {
			broken = false
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	row := b.channel(store.ChannelNtfy, store.ChannelSettings{URL: r.URL + "/x"})
	b.attempt()
	b.run()
	first := r.next(t)
	second := r.next(t)
	if string(first.body) != string(second.body) {
		t.Errorf("sent %s and then %s", first.body, second.body)
	}
	eventually(t, "the channel is well again", func() bool { c := b.state(row); return c.Failing == 0 && c.LastOK != 0 })
	select {
	case q := <-r.got:
		t.Errorf("sent again: %s", q.body)
	case <-time.After(3 * pollEvery):
	}
}

// TestTwoProcessesDeliverOnce: two servers on one database share the work, and nobody is told twice.
func TestTwoProcessesDeliverOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(nil)
	b.channel(store.ChannelWebhook, store.ChannelSettings{URL: r.URL})
	other, err := store.Open(b.dir, store.Options{})
	b.must(err)
	second := *b
	second.store, second.sender = other, New(Options{Store: other, URL: pageURL, Words: plainWords{}, Roots: b.roots})
	stop := []func(){b.run(), second.run()}
	t.Cleanup(func() { other.Close() })
	const changes = 40
	for i := range changes {
		b.set(i%2 == 1)
	}
	last := ""
	for i := range changes {
		q := r.next(t)
		if string(q.body) == last {
			t.Errorf("change %d came twice", i)
		}
		last = string(q.body)
		if want := []string{`"off"`, `"on"`}[i%2]; !strings.Contains(last, want) {
			t.Errorf("change %d says %s, want %s", i, last, want)
		}
	}
	select {
	case q := <-r.got:
		t.Errorf("more than was changed: %s", q.body)
	case <-time.After(3 * pollEvery):
	}
	for _, end := range stop {
		end()
	}
}
