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
	p, err := findPairing(s.reads, r.App.Row, r.AccountID)
	if err != nil {
		return Status{}, err
	}
	answer, err := s.peek(r)
	if err != nil {
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
		if answer, err = s.peek(r); err == nil && !answer.Open {
			_, open = <-changed
		}
	}
	return answer, err
}

// peek reads the state of one node and leaves no trace.
func (s *Store) peek(r StatusRequest) (Status, error) {
	p, err := findPairing(s.reads, r.App.Row, r.AccountID)
	if err != nil {
		return Status{}, err
	}
	tree, err := loadTree(s.reads, r.App, p, s.millis())
	if err != nil {
		return Status{}, err
	}
	node, err := tree.find(s.reads, r.Target)
	return Status{ID: node.id, Open: node.open()}, err
}

func (s *Store) refusedLately(p pairing, node string) (bool, error) {
	var refused bool
	now := s.millis()
	err := s.reads.get([]any{&refused}, `SELECT EXISTS (SELECT 1 FROM history WHERE user = ? AND t BETWEEN ? AND ?
		AND pairing = ? AND node = ? AND action = 'get' AND value = 'off')`,
		p.user, now-awaitAfter.Milliseconds(), now+clockSlack.Milliseconds(), p.row, node)
	return refused, err
}
