// Package store keeps everything that latch-server knows in one SQLite database.
//
// Every change goes through one writer, which puts the changes of all waiting callers into one
// transaction and answers them after it is on disk: many answers, one fsync. Other processes (the
// commands of latch-server) may write to the same file at any time, so nothing read from it is kept
// beyond the request that read it. Times are milliseconds since 1970 UTC unless said otherwise.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	sqlitelib "modernc.org/sqlite/lib"

	"github.com/latch-linux/latch/pkg/seal"
)

// Names of the files in the data directory.
const (
	DatabaseFile = "latch.db"
	KeyFile      = "secret.key"
)

// Errors that a caller can tell apart. They come wrapped with the name that was asked for.
var (
	ErrNoApplication  = errors.New("no such application")
	ErrNoOperation    = errors.New("no such operation")
	ErrNoInstance     = errors.New("no such instance")
	ErrNoUser         = errors.New("no such user")
	ErrNoSecret       = errors.New("no such secret")
	ErrNoTOTP         = errors.New("no such totp")
	ErrNoControl      = errors.New("no such authorization control")
	ErrNoAPIUser      = errors.New("no such api user")
	ErrNoChannel      = errors.New("no such notice channel")
	ErrNoNotice       = errors.New("no such notice")
	ErrNotPaired      = errors.New("account is not paired")
	ErrAlreadyPaired  = errors.New("account and application are already paired")
	ErrCodeUnknown    = errors.New("pairing code is unknown or expired")
	ErrUserDisabled   = errors.New("user is disabled")
	ErrNotAllowed     = errors.New("application may not open latches")
	ErrExists         = errors.New("name is taken")
	ErrAmbiguous      = errors.New("name stands for more than one; use the id")
	ErrPhoneLost      = errors.New("user lost their phone and has not come back")
	ErrOldPassword    = errors.New("the password was changed meanwhile")
	ErrLastAdmin      = errors.New("the last admin stays one")
	ErrNoSession      = errors.New("no such session")
	ErrNoPasskey      = errors.New("no such passkey")
	ErrLinkSpent      = errors.New("link is unknown, used or expired")
	ErrVaultChanged   = errors.New("another browser changed the vault meanwhile")
	ErrStepOver       = errors.New("what was begun here is over")
	ErrWrongCode      = errors.New("code is wrong or was used before")
	ErrTOTPWrong      = errors.New("totp code is wrong or was used before")
	ErrBadName        = errors.New("not a usable name")
	ErrClosed         = errors.New("store is closed")
	ErrTooMany        = errors.New("there are too many already")
	ErrNotInitialized = errors.New("no latch-server data here")
	ErrDamaged        = errors.New("the database is damaged")
	ErrKey            = errors.New("the database cannot be read without its own key file")
)

// TooManyError says that guessing has to pause.
type TooManyError struct {
	After time.Duration // how long from now
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many wrong guesses, try again in %d s", int(e.After.Seconds()+1))
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	dir   string
	box   *seal.Box
	now   func() time.Time
	reads *reader
	conn  *sql.Conn // the writer's own connection
	db    *sql.DB   // holds conn
	tx    *tx
	watch watching

	jobs    chan *job
	stop    chan struct{} // closed by Close
	gone    chan struct{} // closed when the writer has ended
	stopped sync.WaitGroup

	hosts     *reader // the connections of hosts' queries, apart from those of pages and searches
	refused   *refusals
	closing   chan struct{}  // closed before stop
	recording sync.WaitGroup // refusalLoop
	once      sync.Once
}

// Options changes how a database is opened; the zero value is right outside tests.
type Options struct {
	Now func() time.Time // the clock; nil means the system's
}

// Create makes the directory (0700), the sealing key and an empty database. It refuses a directory
// that holds either of the two.
func Create(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	for _, name := range []string{DatabaseFile, KeyFile} {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%q is there already: %w", path, fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := createKey(filepath.Join(dir, KeyFile)); err != nil {
		return err
	}
	// SQLite gives its side files the mode of the database file.
	f, err := os.OpenFile(filepath.Join(dir, DatabaseFile), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if err := errors.Join(f.Close(), syncDir(dir)); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	err = s.write(context.Background(), func(t *tx) error {
		return t.exec(`INSERT INTO settings (name, value) VALUES (?, ?), (?, ?)`, SettingKeepHistory, defaultHistoryDays, SettingHistoryLines, defaultHistoryLines)
	})
	return errors.Join(err, s.Close())
}

// Open opens the database in dir and brings its schema up to date. A directory without one gives
// ErrNotInitialized; a schema made by a newer latch-server is refused.
func Open(dir string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	dir, err := filepath.Abs(dir) // SQLite takes a relative path in a URI for a host
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, DatabaseFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q: %w", dir, ErrNotInitialized)
	} else if err != nil {
		return nil, err
	}
	key, err := readKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return nil, err
	}
	box, err := seal.New(key)
	if err != nil {
		return nil, fmt.Errorf("%q: %w; %w", filepath.Join(dir, KeyFile), err, ErrKey)
	}
	s := &Store{
		dir: dir, box: box, now: o.Now,
		jobs: make(chan *job, maxBatch), stop: make(chan struct{}), gone: make(chan struct{}),
		refused: newRefusals(), closing: make(chan struct{}),
	}
	if err := s.connect(path); err != nil {
		if hasCode(err, sqlitelib.SQLITE_CORRUPT) || hasCode(err, sqlitelib.SQLITE_NOTADB) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, fmt.Errorf("open database %q: %w", path, err)
	}
	s.stopped.Add(1)
	go s.writeLoop()
	s.recording.Add(1)
	go s.refusalLoop()
	return s, nil
}

func (s *Store) connect(path string) (err error) {
	if s.db, err = openDatabase(path, writerCacheKiB, 1); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.db.Close()
		}
	}()
	if s.conn, err = s.db.Conn(context.Background()); err != nil {
		return err
	}
	if err := migrate(s.conn); err != nil {
		return err
	}
	s.tx = &tx{statements{prepare: s.conn.PrepareContext}, false}
	if err := s.checkKey(); err != nil {
		return err
	}
	// From here on begin waits for the write lock, and more often than SQLite does.
	if _, err := s.conn.ExecContext(context.Background(), "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	for _, pool := range []**reader{&s.reads, &s.hosts} {
		db, err := openDatabase(path, readerCacheKiB, readerCount)
		if err != nil {
			return err
		}
		*pool = &reader{statements{prepare: db.PrepareContext}, db}
	}
	return nil
}

// Close waits for the changes under way and closes the database.
func (s *Store) Close() error {
	var unrecorded error
	s.once.Do(func() {
		close(s.closing)
		s.recording.Wait()
		unrecorded = s.flushRefusals(true)
		close(s.stop)
	})
	s.stopped.Wait()
	s.watch.end()
	err := unrecorded
	for _, r := range []*reader{s.reads, s.hosts} {
		r.close()
		err = errors.Join(err, r.db.Close())
	}
	s.tx.close()
	return errors.Join(err, s.conn.Close(), s.db.Close())
}

func (s *Store) millis() int64 { return s.now().UnixMilli() }
