package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Limits of the refused attempts that wait in memory for the disk.
const (
	refusalSpan   = 10 * time.Second // equal attempts within it are summed up
	refusalFlush  = time.Second      // how often the memory is looked through
	refusalKeys   = 10_000           // beyond them attempts are told apart by their latch alone …
	refusalLimit  = 50_000           // … and beyond these they are not recorded
	maxPerSubject = maxBatch / 2     // answers of one secret that wait for the writer at a time
)

// refusals are attempts that were refused. Only "open" needs a record on disk before it is answered: "closed" is answered from a
// read, so that neither a full disk nor another process that holds the database can delay it. The first of several equal
// attempts is recorded at once, for the notice; those within refusalSpan follow as one line with their count.
type refusals struct {
	mu     sync.Mutex
	kept   map[refusalKey]*refusal
	last   int64          // number that was given last
	queued map[string]int // answers that wait for the writer, by secret
	signal chan struct{}  // there is a first one

	flushing sync.Mutex
}

type refusalKey struct {
	account, node, ip, agent, context string
	silent                            bool
}

type refusal struct {
	key         refusalKey
	number      int64 // in the order of their first attempts
	request     StatusRequest
	first, last int64 // milliseconds since 1970 UTC
	recorded    bool  // its first line is on disk
	count       int   // attempts that are on no line yet
}

func newRefusals() *refusals {
	return &refusals{kept: map[refusalKey]*refusal{}, queued: map[string]int{}, signal: make(chan struct{}, 1)}
}

// add counts one refused attempt at a node.
func (f *refusals) add(r StatusRequest, node string, now int64) {
	key := refusalKey{account: r.AccountID, node: node, ip: r.Attempt.IP, agent: r.Attempt.UserAgent, silent: r.Attempt.Silent}
	if text, err := r.Attempt.context(); err == nil && text != nil {
		key.context = text.(string)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kept[key] == nil && len(f.kept) >= refusalKeys {
		key = refusalKey{account: r.AccountID, node: node}
		r.Attempt = Attempt{Silent: r.Attempt.Silent}
	}
	e := f.kept[key]
	if e == nil {
		if len(f.kept) >= refusalLimit {
			return
		}
		f.last++
		e = &refusal{key: key, number: f.last, request: r, first: now}
		f.kept[key] = e
		select {
		case f.signal <- struct{}{}:
		default:
		}
	}
	e.count++
	e.last = now
}

// due takes what has to be recorded now: first lines, and the rest of spans that are over. With all it takes everything.
func (f *refusals) due(now int64, all bool) (list []refusal, back func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var taken []*refusal
	for key, e := range f.kept {
		over := all || now-e.first >= refusalSpan.Milliseconds() || now < e.first
		if e.count > 0 && (over || !e.recorded) {
			list = append(list, *e)
			taken = append(taken, e)
			e.count, e.recorded = 0, true
		}
		if over && e.count == 0 {
			delete(f.kept, key)
		}
	}
	slices.SortFunc(taken, func(a, b *refusal) int { return cmp.Compare(a.number, b.number) })
	slices.SortFunc(list, func(a, b refusal) int { return cmp.Compare(a.number, b.number) })
	return list, func() { f.putBack(list, taken) }
}

// putBack restores what could not be recorded.
func (f *refusals) putBack(list []refusal, taken []*refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, e := range taken {
		e.count += list[i].count
		e.recorded = list[i].recorded
		if newer := f.kept[e.key]; newer != nil && newer != e {
			e.count += newer.count
		}
		f.kept[e.key] = e
	}
}

// enter counts an answer that needs a record, so that the queries of one secret leave room for the others'. leave ends it.
func (f *refusals) enter(subject string) (leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queued[subject] >= maxPerSubject {
		return nil, &TooManyError{After: time.Second}
	}
	f.queued[subject]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.queued[subject]--; f.queued[subject] == 0 {
			delete(f.queued, subject)
		}
	}, nil
}

// refusalLoop records refused attempts until the store closes.
func (s *Store) refusalLoop() {
	defer s.recording.Done()
	tick := time.NewTicker(refusalFlush)
	defer tick.Stop()
	for {
		select {
		case <-s.refused.signal:
		case <-tick.C:
		case <-s.closing:
			return
		}
		s.flushRefusals(false) // what fails is tried again at the next tick
	}
}

// flushRefusals records what is due, or with all everything, and returns when it is on disk.
func (s *Store) flushRefusals(all bool) error {
	s.refused.flushing.Lock()
	defer s.refused.flushing.Unlock()
	list, back := s.refused.due(s.millis(), all)
	if len(list) == 0 {
		return nil
	}
	err := s.write(context.Background(), func(t *tx) error {
		for _, e := range list {
			if err := s.recordRefusal(t, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		back()
	}
	return err
}

// recordRefusal writes the line of attempts that were refused. A latch that is gone meanwhile leaves none.
func (s *Store) recordRefusal(t *tx, e refusal) error {
	p, err := findPairing(t, e.request.App.Row, e.request.AccountID)
	if errors.Is(err, ErrNotPaired) {
		return nil
	}
	if err != nil {
		return err
	}
	tree, err := loadTree(t, e.request.App, p, s.millis())
	if err != nil {
		return err
	}
	node, err := tree.find(t, e.request.Target)
	if errors.Is(err, ErrNoOperation) || errors.Is(err, ErrNoInstance) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.settlePath(t, tree, &node); err != nil {
		return err
	}
	at := e.first
	if e.recorded {
		at = e.last
	}
	return s.record(t, event{
		pairing: p, action: ActionGet, what: "status", value: onOff(false), was: "-", name: node.name, node: node.id,
		attempt: e.request.Attempt, at: at, count: e.count,
	})
}
