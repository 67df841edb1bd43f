package store

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// kept are the files of a data directory that a backup holds besides the database. Only the key has
// to be there.
var kept = []string{KeyFile, publicFile, "ca.key"}

// publicFile is the one that others may read: hosts are given it.
const publicFile = "ca.pem"

// Backup writes a tar file of the database as it is at one moment, with the key that opens it and
// the certificate authority, and syncs it. Changes go on meanwhile.
func (s *Store) Backup(ctx context.Context, to *os.File) error {
	dir, done, err := s.scratch()
	if err != nil {
		return err
	}
	defer done()
	snapshot := filepath.Join(dir, DatabaseFile)
	if _, err := s.reads.db.ExecContext(ctx, `VACUUM INTO ?`, snapshot); err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	w := tar.NewWriter(to)
	if err := addFile(w, snapshot); err != nil {
		return err
	}
	for _, name := range kept {
		err := addFile(w, filepath.Join(s.dir, name))
		if errors.Is(err, fs.ErrNotExist) && name != KeyFile {
			continue
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), to.Sync())
}

const scratchPrefix = ".backup-"

// scratch makes a directory beside the database and removes those of backups that were killed. A live one is locked,
// and none is made while another process looks for dead ones.
func (s *Store) scratch() (dir string, done func(), err error) {
	data, err := lockedDir(s.dir, syscall.LOCK_EX)
	if err != nil {
		return "", nil, err
	}
	defer data.Close()
	old, err := filepath.Glob(filepath.Join(s.dir, scratchPrefix+"*"))
	if err != nil {
		return "", nil, err
	}
	for _, path := range old {
		if dead, err := lockedDir(path, syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			os.RemoveAll(path)
			dead.Close()
		}
	}
	if dir, err = os.MkdirTemp(s.dir, scratchPrefix); err != nil {
		return "", nil, err
	}
	live, err := lockedDir(dir, syscall.LOCK_EX)
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() { os.RemoveAll(dir); live.Close() }, nil
}

func lockedDir(path string, how int) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	return f, nil
}

// syncDir puts the names of new files on disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func addFile(w *tar.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	err = w.WriteHeader(&tar.Header{Name: filepath.Base(path), Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// Restore puts what Backup wrote into dir, which must hold none of it, and opens it once to see that it is whole. What was used
// up, ended or withdrawn since the backup must not work again, so it is a reset for everybody.
func Restore(ctx context.Context, dir string, from io.Reader) (err error) {
	var made []string
	defer func() {
		if err != nil {
			for _, path := range made {
				os.Remove(path)
			}
		}
	}()
	r := tar.NewReader(from)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read backup: %w", err)
		}
		if h.Typeflag != tar.TypeReg || h.Name != DatabaseFile && !slices.Contains(kept, h.Name) {
			return fmt.Errorf("%q does not belong in a backup", h.Name)
		}
		path := filepath.Join(dir, h.Name)
		if err := restoreFile(path, r); err != nil {
			return err
		}
		made = append(made, path)
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	return errors.Join(s.resetEverybody(ctx), s.Close())
}

func restoreFile(path string, from io.Reader) error {
	mode := fs.FileMode(0o600)
	if filepath.Base(path) == publicFile {
		mode = 0o644
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// Check reads the whole database and returns what is wrong with it, wrapping ErrDamaged. Answers go on meanwhile.
func (s *Store) Check(ctx context.Context) error {
	var answer string
	if err := s.reads.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&answer); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if answer != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, answer)
	}
	return nil
}
