package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// ours are the directories that an installed product writes to.
var ours = []string{"/etc/latch", "/var/lib/latch", "/run/latch"}

// here lists what lies in those directories, with the times of the last change.
func here(t *testing.T) (list []string) {
	t.Helper()
	for _, dir := range ours {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Lstat(path)
			if err == nil {
				list = append(list, path+" "+info.ModTime().String())
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return list
}

// TestDemo runs all of it: every login ends as the table says, and the machine is as it was.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	before := here(t)
	if err := run(); err != nil {
		t.Error(err)
	}
	if after := here(t); !slices.Equal(before, after) {
		t.Errorf("before %q, after %q", before, after)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
