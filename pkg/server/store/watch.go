package store

import (
	"context"
	"sync"
	"time"
)

// watchPoll is how often the database is looked at for changes, by this process or another, while anybody watches.
const watchPoll = 100 * time.Millisecond

// Everybody is the person to touch for what concerns all.
const Everybody int64 = 0

// touch tells whoever watches a person that something changed. What leaves a line in the history needs none.
func touch(t *tx, user int64) error {
	return t.exec(`INSERT INTO touched (user, number) VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM touched))
		ON CONFLICT DO UPDATE SET number = excluded.number`, user)
}

// watching is who watches. Its poller runs while there is anybody.
type watching struct {
	mu     sync.Mutex
	people map[int64]*watched
	polled bool // a poller runs
	closed bool
	poller sync.WaitGroup
}

// watched is one person that somebody watches.
type watched struct {
	ends map[chan struct{}]struct{}
	due  int64 // when something of the person changes by itself, 0 = never
}

// Watch returns a channel that gets a value when something of a person may have changed: latches, attempts, tokens, codes,
// sessions, settings; in this process or another; also when the clock changes it. Several changes may be one value. The
// channel is closed when ctx ends or the store does. It costs one look at the database every watchPoll, for all who watch together.
func (s *Store) Watch(ctx context.Context, user int64) <-chan struct{} {
	w := &s.watch
	end := make(chan struct{}, 1)
	due := s.nextDue(user)
	seen, err := s.newestRows()
	if err != nil {
		seen = newestRows{} // the first look tells everybody
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		close(end)
		return end
	}
	if !w.polled {
		w.people, w.polled = map[int64]*watched{}, true
		w.poller.Add(1)
		go s.poll(seen)
	}
	p := w.people[user]
	if p == nil {
		p = &watched{ends: map[chan struct{}]struct{}{}, due: due}
		w.people[user] = p
	}
	p.ends[end] = struct{}{}
	context.AfterFunc(ctx, func() { w.leave(user, end) })
	return end
}

func (w *watching) leave(user int64, end chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.people[user]
	if p == nil {
		return
	}
	if _, here := p.ends[end]; !here {
		return
	}
	close(end)
	if delete(p.ends, end); len(p.ends) == 0 {
		delete(w.people, user)
	}
}

// newestRows are the newest numbers of what a poll looks for.
type newestRows struct{ history, touched int64 }

func (s *Store) newestRows() (m newestRows, err error) {
	err = s.reads.get([]any{&m.history, &m.touched},
		`SELECT (SELECT coalesce(max(id), 0) FROM history), (SELECT coalesce(max(number), 0) FROM touched)`)
	return m, err
}

// poll looks for changes until nobody watches or the store is closed.
func (s *Store) poll(seen newestRows) {
	defer s.watch.poller.Done()
	every := time.NewTicker(watchPoll)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-s.stop:
			return
		}
		var changed map[int64]bool
		if newest, err := s.newestRows(); err != nil {
			changed = nil // a question that fails now is asked again
		} else if newest != seen {
			if changed, err = s.changedSince(seen, newest); err == nil {
				seen = newest
			}
		}
		if !s.tell(changed) {
			return
		}
	}
}

// maxNews bounds how many lines one look reads; beyond it everybody is told.
const maxNews = 2000

// changedSince returns whom something changed for. A database whose numbers went back was pruned to the end: everybody.
func (s *Store) changedSince(seen, newest newestRows) (map[int64]bool, error) {
	if newest.history < seen.history || newest.history-seen.history > maxNews || newest.touched < seen.touched {
		return map[int64]bool{Everybody: true}, nil
	}
	changed := map[int64]bool{}
	note := func(scan func(...any) error) error {
		var user int64
		err := scan(&user)
		changed[user] = true
		return err
	}
	err := s.reads.each(note, `SELECT user FROM history WHERE id > ? AND id <= ?`, seen.history, newest.history)
	if err == nil {
		err = s.reads.each(note, `SELECT user FROM touched WHERE number > ? AND number <= ?`, seen.touched, newest.touched)
	}
	return changed, err
}

// tell wakes those whom something changed for, or whose time has come. It reports false, and the poller has to end, when nobody
// watches any more.
func (s *Store) tell(changed map[int64]bool) bool {
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.people) == 0 {
		w.polled = false
		return false
	}
	now := s.millis()
	for user, p := range w.people {
		if !changed[user] && !changed[Everybody] && (p.due == 0 || p.due > now) {
			continue
		}
		p.due = s.nextDue(user)
		for end := range p.ends {
			select {
			case end <- struct{}{}:
			default: // it has not taken the last one yet
			}
		}
	}
	return true
}

// end closes all channels and lets nobody watch any more.
func (w *watching) end() {
	w.mu.Lock()
	w.closed = true
	for _, p := range w.people {
		for end := range p.ends {
			close(end)
		}
	}
	w.people = nil
	w.mu.Unlock()
	w.poller.Wait()
}

// nextDue is when something of a person changes by itself: a latch, a token or a code that expires.
func (s *Store) nextDue(user int64) int64 {
	now := s.millis()
	var due int64
	sooner := func(at int64) {
		if at > now && (due == 0 || at < due) {
			due = at
		}
	}
	apps, err := s.LatchTree(user)
	if err != nil {
		return now + time.Minute.Milliseconds()
	}
	for _, a := range apps {
		a.Status.each(func(n NodeState) { sooner(n.Next.At) })
	}
	var token, code int64
	if err := s.reads.get([]any{&token}, `SELECT coalesce(min(k.made), 0) FROM pairings p JOIN tokens k ON k.pairing = p.id
		WHERE p.user = ? AND k.made > ?`, user, now-TokenLife.Milliseconds()); err == nil && token != 0 {
		sooner(token + TokenLife.Milliseconds())
	}
	if err := s.reads.get([]any{&code}, `SELECT coalesce(min(expires), 0) FROM codes WHERE user = ? AND expires > ?`, user, now); err == nil {
		sooner(code)
	}
	return due
}

// each calls fn for a node and all below it.
func (n NodeState) each(fn func(NodeState)) {
	fn(n)
	for _, child := range n.Children {
		child.each(fn)
	}
}
