package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the SQL of each step; the first one leads to version 1.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted, and the names are numbered
	if err != nil {
		return nil, err
	}
	steps := make([]string, 0, len(names))
	for _, name := range names {
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, string(text))
	}
	return steps, nil
}

// migrate brings the schema up to date, each step in a transaction of its own. Two processes may
// start at once: the version is read again under the write lock.
func migrate(conn *sql.Conn) error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	return migrateTo(conn, steps)
}

func migrateTo(conn *sql.Conn, steps []string) error {
	for {
		version, err := schemaVersion(conn)
		if err != nil {
			return err
		}
		if version > len(steps) {
			return fmt.Errorf("database has schema %d, this latch-server knows %d: use a newer latch-server", version, len(steps))
		}
		if version == len(steps) {
			return nil
		}
		if err := migrateStep(conn, version, steps[version]); err != nil {
			return err
		}
	}
}

func migrateStep(conn *sql.Conn, from int, step string) (err error) {
	ctx := context.Background()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer func() {
		if err != nil {
			conn.ExecContext(ctx, "ROLLBACK")
		}
	}()
	version, err := schemaVersion(conn)
	if err != nil {
		return err
	}
	if version == from {
		if _, err := conn.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", from+1, err)
		}
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", from+1)); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", from+1, err)
		}
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("migrate to schema %d: %w", from+1, err)
	}
	return nil
}

func schemaVersion(conn *sql.Conn) (version int, err error) {
	err = conn.QueryRowContext(context.Background(), "PRAGMA user_version").Scan(&version)
	if err != nil {
		err = fmt.Errorf("read schema version: %w", err)
	}
	return version, err
}
