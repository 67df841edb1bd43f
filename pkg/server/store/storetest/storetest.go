// Package storetest makes data directories for tests.
package storetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// file is one of those that a data directory is made of.
type file struct {
	name string
	data []byte
	mode fs.FileMode
}

// Once returns a function that makes a data directory as create does. It calls create once and copies what that made, since a
// schema takes longer than most tests.
func Once(create func(dir string) error) func(dir string) error {
	made := sync.OnceValues(func() ([]file, error) { return files(create) })
	return func(dir string) error {
		all, err := made()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		for _, f := range all {
			if err := os.WriteFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
				return err
			}
		}
		return nil
	}
}

// files returns what create makes.
func files(create func(dir string) error) (all []file, err error) {
	dir, err := os.MkdirTemp("", "latch-storetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := create(dir); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, file{entry.Name(), data, info.Mode().Perm()})
	}
	return all, nil
}
