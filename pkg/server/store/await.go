package store

import (
	"context"
	"time"
)

// awaitAfter is how long after a refusal a host may await that the latch opens: as long as latch.conf can say, and a little.
const awaitAfter = 2 * time.Minute

// AwaitOpen answers a question when the latch is open, or after limit. It belongs to an attempt that was refused and is in the
// history, and leaves no line of its own there; without such an attempt it is a Status like any other, answered at once. It reads
// the database when something of the person changes, and not in between.
func (s *Store) AwaitOpen(ctx context.Context, r StatusRequest, limit time.Duration) (Status, error) {
	p, err := findPairing(s.hosts, r.App.Row, r.AccountID)
	if err != nil {
		return Status{}, err
	}
	answer, err := s.peek(s.hosts, r)
	if err != nil {
		return Status{}, err
	}
	if err := s.flushRefusals(false); err != nil { // the attempt may still be in memory
		return Status{}, err
	}
	refused, err := s.refusedLately(p, answer.ID)
	if err != nil {
		return Status{}, err
	}
	if !refused {
		return s.Status(ctx, r)
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	changed := s.Watch(waiting, p.user)
	for open := true; open && err == nil && !answer.Open; {
		if answer, err = s.peek(s.hosts, r); err == nil && !answer.Open {
			_, open = <-changed
		}
	}
	return answer, err
}

// peek reads the state of one node and leaves no trace. It is no snapshot, and needs none: what reads closed was closed at
// that instant, and "open" is decided in the writer.
func (s *Store) peek(q source, r StatusRequest) (Status, error) {
	p, err := findPairing(q, r.App.Row, r.AccountID)
	if err != nil {
		return Status{}, err
	}
	tree, err := loadTree(q, r.App, p, s.millis())
	if err != nil {
		return Status{}, err
	}
	node, err := tree.find(q, r.Target)
	if err != nil {
		return Status{}, err
	}
	return tree.answer(node), nil
}

func (s *Store) refusedLately(p pairing, node string) (bool, error) {
	var refused bool
	now := s.millis()
	err := s.reads.get([]any{&refused}, `SELECT EXISTS (SELECT 1 FROM history WHERE user = ? AND t BETWEEN ? AND ?
		AND pairing = ? AND node = ? AND action = 'get' AND value = 'off')`,
		p.user, now-awaitAfter.Milliseconds(), now+clockSlack.Milliseconds(), p.row, node)
	return refused, err
}
