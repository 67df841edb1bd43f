package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// Limits of the writer.
const (
	maxBatch  = 256                    // changes in one transaction: bounds how long one answer waits
	busyPoll  = 500 * time.Microsecond // SQLite's own waiting sleeps up to 100 ms and starves beside a busy server
	restAfter = 100 * time.Millisecond // after this much work on end …
	restFor   = 2 * time.Millisecond   // … the lock stays free this long, so that a command gets its turn
)

// busyLimit is how long another process may hold the write lock.
var busyLimit = 10 * time.Second

// job is one caller's change. run may be called more than once (see commit), so it sets its results
// anew each time.
type job struct {
	ctx  context.Context
	run  func(*tx) error
	err  error
	done chan struct{}
}

// write hands run to the writer and returns when its transaction is on disk. run works in the same
// transaction as its neighbours; an error that it returns after a change takes back that change
// only. A caller that gave up while waiting in line is skipped.
func (s *Store) write(ctx context.Context, run func(*tx) error) error {
	j := &job{ctx: ctx, run: run, done: make(chan struct{})}
	select {
	case s.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stop:
		return ErrClosed
	}
	select {
	case <-j.done:
		return j.err
	case <-s.gone:
	}
	// The writer may have finished this job as its last one.
	select {
	case <-j.done:
		return j.err
	default:
		return ErrClosed
	}
}

func (s *Store) writeLoop() {
	defer s.stopped.Done()
	defer close(s.gone)
	busySince := time.Now()
	for {
		select {
		case first := <-s.jobs:
			s.commit(s.collect(first))
		case <-s.stop:
			s.drain()
			return
		}
		if len(s.jobs) == 0 {
			busySince = time.Now()
		} else if time.Since(busySince) > restAfter {
			time.Sleep(restFor)
			busySince = time.Now()
		}
	}
}

// collect takes what is waiting already; it does not wait for more. While one batch is being
// synced the next one gathers by itself.
func (s *Store) collect(first *job) []*job {
	batch := append(make([]*job, 0, 32), first)
	for len(batch) < maxBatch {
		select {
		case j := <-s.jobs:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

func (s *Store) drain() {
	for {
		select {
		case j := <-s.jobs:
			s.commit(s.collect(j))
		default:
			return
		}
	}
}

// commit runs a batch in one transaction. If one job fails after it changed something, the whole
// batch is taken back and each job runs again in a transaction of its own.
func (s *Store) commit(batch []*job) {
	spoiled, err := s.attempt(batch)
	if spoiled && len(batch) > 1 {
		for _, j := range batch {
			s.commit([]*job{j})
		}
		return
	}
	for _, j := range batch {
		if err != nil && j.err == nil {
			j.err = err
		}
		close(j.done)
	}
}

// attempt reports spoiled when it took everything back because of one job's error, and err when the
// database itself failed.
func (s *Store) attempt(batch []*job) (spoiled bool, err error) {
	if err := s.begin(); err != nil {
		return false, err
	}
	for _, j := range batch {
		if j.err = j.ctx.Err(); j.err != nil {
			continue
		}
		s.tx.wrote = false
		if j.err = guard(j.run, s.tx); j.err != nil && s.tx.wrote {
			return true, s.rollback()
		}
	}
	if err := s.control("COMMIT"); err != nil {
		return false, errors.Join(fmt.Errorf("commit: %w", err), s.rollback())
	}
	return false, nil
}

// guard turns a panic into an error that counts as a change, so that the transaction is taken back.
func guard(run func(*tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			t.wrote = true
			err = fmt.Errorf("store: panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run(t)
}

// begin takes the write lock at once: what a job reads is then true until its commit.
func (s *Store) begin() error {
	for start := time.Now(); ; {
		err := s.control("BEGIN IMMEDIATE")
		if !isBusy(err) {
			return err
		}
		if time.Since(start) > busyLimit {
			return fmt.Errorf("another process holds the database: %w", err)
		}
		time.Sleep(busyPoll)
	}
}

// rollback takes the transaction back, if SQLite has not done so itself, as it does when the disk is full: only then is
// ROLLBACK an SQLITE_ERROR.
func (s *Store) rollback() error {
	if err := s.control("ROLLBACK"); err != nil && !hasCode(err, sqlitelib.SQLITE_ERROR) {
		return fmt.Errorf("rollback: %w", err)
	}
	return nil
}

func (s *Store) control(statement string) error {
	st, err := s.tx.stmt(statement)
	if err != nil {
		return err
	}
	_, err = st.Exec()
	return err
}

func isBusy(err error) bool { return hasCode(err, sqlitelib.SQLITE_BUSY) }

func hasCode(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}
