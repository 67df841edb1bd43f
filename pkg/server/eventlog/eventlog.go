// Package eventlog writes every attempt, change and act that the database holds to the server's log, so that a log kept
// elsewhere proves what happened.
//
// It follows the database and not the requests: no answer waits for it, a log that hangs holds up nobody, the acts of other
// processes are in it, and what could not be written is written later. After a crash the lines of the last second may come
// twice; their ids tell. Nothing that it reads holds a secret.
package eventlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// lockFile is locked by the one process of a data directory that writes the journal.
const lockFile = "journal.lock"

// How the database is followed.
const (
	batch    = 500                    // lines of each kind that are read at a time
	pollWait = 250 * time.Millisecond // how late a line is at most, where the log keeps up
	keepWait = time.Second            // how often the position is kept: lines that may come twice after a crash
	failWait = 2 * time.Second        // after the log or the database failed
	lockWait = 2 * time.Second        // between tries to take over from another process
)

// Run writes to to what happens in s, until ctx is done and everything is written that had happened by then. Of several
// processes on one data directory (dir) one writes; another takes over when that one ends. problem is told what went wrong;
// it is tried again.
func Run(ctx context.Context, dir string, s store.Records, to slog.Handler, problem func(error)) {
	lock := awaitLock(ctx, filepath.Join(dir, lockFile), problem)
	if lock == nil {
		return
	}
	defer lock.Close()
	f := follower{store: s, to: to}
	for {
		err := f.step(ctx)
		if err != nil {
			problem(err)
		}
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil:
			pause(ctx, failWait)
		case !f.behind:
			pause(ctx, pollWait)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// awaitLock returns the locked file, nil when ctx was done before.
func awaitLock(ctx context.Context, path string, problem func(error)) *os.File {
	for {
		f, err := tryLock(path)
		if f != nil {
			return f
		}
		if err != nil {
			problem(err)
		}
		if pause(ctx, lockWait); ctx.Err() != nil {
			return nil
		}
	}
}

// tryLock returns nil without an error while another process has the lock.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %q: %w", path, err)
}

// follower writes line after line and knows how far it has come.
type follower struct {
	store  store.Records
	to     slog.Handler
	known  bool           // whether at is
	at     store.Position // written up to here
	kept   store.Position // and this is what the database knows of it
	keptAt time.Time
	behind bool // there may be more to write at once
}

// step writes one batch. The position is kept once in a while, and at the end.
func (f *follower) step(ctx context.Context) error {
	f.behind = false
	if !f.known {
		at, err := f.store.Logged()
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		f.at, f.kept, f.known = at, at, true
	}
	j, err := f.store.JournalAfter(f.at, batch)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	writeErr := f.write(j)
	f.behind = writeErr == nil && (len(j.Entries) == batch || len(j.Acts) == batch)
	if f.at == f.kept || ctx.Err() == nil && time.Since(f.keptAt) < keepWait {
		return writeErr
	}
	if err := f.store.KeepLogged(context.WithoutCancel(ctx), f.at); err != nil {
		return errors.Join(writeErr, fmt.Errorf("journal: %w", err))
	}
	f.kept, f.keptAt = f.at, time.Now()
	return writeErr
}

// write writes both kinds in the order of their times and notes each line that was written.
func (f *follower) write(j store.Journal) error {
	type line struct {
		record slog.Record
		reach  func()
	}
	lines := make([]line, 0, len(j.Entries)+len(j.Acts))
	for _, e := range j.Entries {
		lines = append(lines, line{entryRecord(e), func() { f.at.Entry = e.ID }})
	}
	for _, a := range j.Acts {
		lines = append(lines, line{actRecord(a), func() { f.at.Act = a.ID }})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.record.Time.UnixMilli(), b.record.Time.UnixMilli()) })
	for _, l := range lines {
		if err := f.to.Handle(context.Background(), l.record); err != nil {
			return fmt.Errorf("journal: write: %w", err)
		}
		l.reach()
	}
	return nil
}
