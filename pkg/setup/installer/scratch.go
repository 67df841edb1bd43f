package installer

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// Scratch runs fn with an empty directory that nobody but root can enter, and removes it. One that a killed command left is
// removed first: it may hold a copy of the configuration.
func (s System) Scratch(ctx context.Context, fn func(dir string) error) error {
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return err
	}
	dir := s.scratchPath()
	return securefile.WithLock(ctx, dir, func() error {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		err := fn(dir)
		return errors.Join(err, os.RemoveAll(dir))
	})
}

func (s System) scratchPath() string { return filepath.Join(s.StateDir, "scratch") }
