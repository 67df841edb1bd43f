package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"

	_ "modernc.org/sqlite" // registers the driver
)

// Page caches: what the inner pages of the indexes of a million accounts and the changes of one batch need. Beyond them the
// kernel's page cache serves. The driver's allocator takes 8 KiB for a page of 4 KiB and its header, so they cost twice as much.
const (
	writerCacheKiB = 8 << 10
	readerCacheKiB = 1 << 10
	readerCount    = 4
)

// checkpointPages is how many pages of 4 KiB the log beside the database grows to before they are copied into it. The answers
// of one batch wait for that copying; with SQLite's 1000 it comes ten times a second under load where there are many accounts, since
// each question then changes another page of the history's index.
const checkpointPages = 16000

func openDatabase(path string, cacheKiB, connections int) (*sql.DB, error) {
	q := url.Values{"_pragma": {
		"busy_timeout(10000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages),
		"foreign_keys(ON)",
		fmt.Sprintf("cache_size(-%d)", cacheKiB),
		"temp_store(MEMORY)",
	}}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// statements prepares each SQL text once and keeps it.
type statements struct {
	prepare func(context.Context, string) (*sql.Stmt, error)
	kept    sync.Map // SQL text -> *sql.Stmt
}

func (s *statements) stmt(query string) (*sql.Stmt, error) {
	if st, ok := s.kept.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := s.prepare(context.Background(), query)
	if err != nil {
		return nil, err
	}
	kept, loaded := s.kept.LoadOrStore(query, st)
	if loaded {
		st.Close()
	}
	return kept.(*sql.Stmt), nil
}

// close gives the statements back. SQLite keeps a connection open, and the log beside the database,
// for as long as it has any.
func (s *statements) close() {
	s.kept.Range(func(_, st any) bool {
		st.(*sql.Stmt).Close()
		return true
	})
}

// get reads one row into dest; none is sql.ErrNoRows. No context is passed down: the driver would
// start a goroutine for each statement to watch it, and every statement here is short.
func (s *statements) get(dest []any, query string, args ...any) error {
	st, err := s.stmt(query)
	if err != nil {
		return err
	}
	return st.QueryRow(args...).Scan(dest...)
}

// each calls fn for every row.
func (s *statements) each(fn func(scan func(...any) error) error, query string, args ...any) error {
	st, err := s.stmt(query)
	if err != nil {
		return err
	}
	rows, err := st.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// source is what a query needs: the reader's pool or the transaction of the writer.
type source interface {
	get(dest []any, query string, args ...any) error
	each(fn func(scan func(...any) error) error, query string, args ...any) error
}

// reader is the pool of connections for what only reads.
type reader struct {
	statements
	db *sql.DB
}

// tx is the writer's transaction. wrote tells whether the current job has changed anything.
type tx struct {
	statements
	wrote bool
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.result(query, args...)
	return err
}

// insert returns the row id of the new row.
func (t *tx) insert(query string, args ...any) (int64, error) {
	r, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// change returns how many rows the statement changed.
func (t *tx) change(query string, args ...any) (int64, error) {
	r, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t *tx) result(query string, args ...any) (sql.Result, error) {
	st, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	t.wrote = true
	return st.Exec(args...)
}

func isNoRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }
