package notify

import (
	"context"
	"net/http"
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

// TestReceiverThatNeverAnswersDelaysNobody: logins are answered while one is waited for, and other receivers get theirs. Only
// the end of this test ends the wait.
func TestReceiverThatNeverAnswersDelaysNobody(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dead := b.silence()
	b.channel(store.ChannelNtfy, store.ChannelSettings{URL: dead.URL + "/dead"})
	well := b.receive(nil)
	b.channel(store.ChannelNtfy, store.ChannelSettings{URL: well.URL + "/well"})
	b.run()
	b.attempt()
	dead.next() // it hangs from here on
	well.next()
	for range 50 {
		b.attempt()
	}
	if len(dead.got) > 0 {
		t.Error("the receiver is not waited for")
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
	dead.next()
	stop() // returns, although the receiver never answers
	if c := b.state(row); c.Failures != 0 {
		t.Errorf("the receiver is blamed: %+v", c)
	}
	b.run()
	dead.next()
}

// TestReceiverThatRecovers: a notice that failed comes when the receiver is back, once, and the next one after it.
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
	stop := b.run()
	first := r.next()
	eventually(func() bool { return b.state(row).Failures == 1 })
	b.clock.pass(time.Minute)
	second := r.next()
	if string(first.body) != string(second.body) {
		t.Errorf("sent %s and then %s", first.body, second.body)
	}
	eventually(func() bool { c := b.state(row); return c.Failing == 0 && c.LastOK != 0 })
	b.set(false)
	if third := r.next(); string(third.body) == string(first.body) {
		t.Errorf("sent again: %s", third.body)
	}
	b.stopped(stop, r)
}

// stopped stops a worker, which ends what is under way, and wants a receiver to have got nothing more.
func (b *bed) stopped(stop func(), r *receiver) {
	b.t.Helper()
	stop()
	if len(r.got) > 0 {
		b.t.Errorf("one notice too many: %s", (<-r.got).body)
	}
}

// TestTwoProcessesDeliverOnce: two servers on one database share the work, and nobody is told twice.
func TestTwoProcessesDeliverOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(nil)
	b.channel(store.ChannelWebhook, store.ChannelSettings{URL: r.URL})
	other, err := store.Open(b.dir, store.Options{Now: b.clock.now})
	b.must(err)
	second := *b
	second.store, second.sender = other, b.newSender(other)
	stop := []func(){b.run(), second.run()}
	t.Cleanup(func() { other.Close() })
	const changes = 40
	for i := range changes {
		b.set(i%2 == 1)
	}
	last := ""
	for i := range changes {
		q := r.next()
		if string(q.body) == last {
			t.Errorf("change %d came twice", i)
		}
		last = string(q.body)
		if want := []string{`"off"`, `"on"`}[i%2]; !strings.Contains(last, want) {
			t.Errorf("change %d says %s, want %s", i, last, want)
		}
	}
	for _, end := range stop {
		b.stopped(end, r)
	}
}
