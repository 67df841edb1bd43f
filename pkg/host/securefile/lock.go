package securefile

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockDir lies beside the files it serves. Its mode 0700 keeps everybody else from holding a lock, and
// with it up every writer.
const lockDir = ".lock"

// WithLock runs fn while no other process, and no other call in this one, runs WithLock for the same
// path. It waits as long as ctx allows. The lock goes with the process that holds it, however it ends;
// unfinished copies that a killed writer of path left are removed before fn runs. Every writer of path
// must hold its lock; readers need none.
func WithLock(ctx context.Context, path string, fn func() error) error {
	return withLock(ctx, path, func(parent int, base string) error {
		sweep(parent, path, base)
		return fn()
	})
}

// Held is a path that is locked.
type Held struct{ path, base string }

// Hold is WithLock for a directory of many files, which it does not list: fn writes through h, whose unfinished copies have one
// name, and the next one to hold the lock removes it.
func Hold(ctx context.Context, path string, fn func(h Held) error) error {
	return withLock(ctx, path, func(parent int, base string) error {
		_ = unix.Unlinkat(parent, temporaryPrefix(base), 0) // most often there is none; Write says what is wrong
		return fn(Held{path, base})
	})
}

// Write is the package's Write.
func (h Held) Write(data []byte, mode fs.FileMode) error {
	return replace(h.path, temporaryPrefix(h.base), data, mode)
}

func withLock(ctx context.Context, path string, fn func(parent int, base string) error) error {
	parent, base, err := openParent(path)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	lock, err := openLock(parent, filepath.Dir(path), base)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := acquire(ctx, lock); err != nil {
		return fmt.Errorf("waiting for the lock of %q: %w", path, err)
	}
	return fn(parent, base)
}

// openLock opens the file that is locked in place of dir/base, which itself is replaced at every write.
func openLock(parent int, dir, base string) (*os.File, error) {
	at := filepath.Join(dir, lockDir)
	if err := unix.Mkdirat(parent, lockDir, 0o700); err != nil && err != unix.EEXIST {
		return nil, &fs.PathError{Op: "mkdir", Path: at, Err: err}
	}
	locks, err := openat(parent, lockDir, unix.O_PATH|unix.O_DIRECTORY, at)
	if err != nil {
		return nil, err
	}
	defer unix.Close(locks)
	if err := judge(locks, at, unix.S_IFDIR); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(locks, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: at, Err: err}
	}
	if st.Mode&0o077 != 0 {
		return nil, &TrustError{at, fmt.Sprintf("is open to others (mode %04o)", st.Mode&0o7777), "chmod 700 " + ShellWord(at)}
	}
	at = filepath.Join(at, base)
	fd, err := unix.Openat(locks, base, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: at, Err: err}
	}
	return os.NewFile(uintptr(fd), at), nil
}

// acquire tries again and again instead of waiting in the kernel, where no context could end it.
func acquire(ctx context.Context, lock *os.File) error {
	pause := time.Millisecond
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return &fs.PathError{Op: "lock", Path: lock.Name(), Err: err}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}
