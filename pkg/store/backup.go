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
)

// kept are the files of a data directory that a backup holds besides the database. Only the key has
// to be there.
var kept = []string{KeyFile, "ca.pem", "ca.key"}

// Backup writes a tar file of the database as it is at one moment, with the key that opens it and
// the certificate authority, and syncs it. Changes go on meanwhile.
func (s *Store) Backup(ctx context.Context, to *os.File) error {
	dir, err := os.MkdirTemp(s.dir, ".backup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
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

// Restore puts what Backup wrote into dir, which must hold none of it, and opens it once to see that
// it is whole.
func Restore(dir string, from io.Reader) (err error) {
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
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	return s.Close()
}

func restoreFile(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}
