package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newBackup(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "copy everything into one file, while serving",
		Long: `backup writes one tar file (0600) that holds the database as it is at this moment, the key
that opens its secrets and the certificate authority. Whoever reads it can open latches: keep it
where you would keep the server's key. restore FILE puts it back into an empty directory.
` + cli.ExitHelp,
		Example: "  latch-server backup /root/latch-$(date +%F).tar", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.backup(c.Context(), args[0])
		},
	}
}

// backup opens the file before it acts as the data's owner: root may write where the service may not.
func (p *program) backup(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, discard(f))
		}
		err = errors.Join(err, f.Close())
	}()
	err = p.withStore(func(s store.Backend) error { return s.Backup(ctx, f) })
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return p.Report(map[string]any{"file": path}, "wrote %s; it holds the key, keep it safe", path)
}

// discard empties the file, by its descriptor, since root may have become a user who cannot open it: half a backup
// must not pass for one. Where that user cannot remove it either, the error says that it is left.
func discard(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("%s holds half a backup: %w", f.Name(), err)
	}
	if os.Remove(f.Name()) != nil {
		return fmt.Errorf("%s is left, empty; remove it", f.Name())
	}
	return nil
}

func newRestore(p *program) *cobra.Command {
	var owner string
	c := &cobra.Command{
		Use: "restore FILE", Short: "put a backup into an empty data directory",
		Long: `restore takes a file that backup wrote. It refuses a directory that holds a database. Called by
root, it gives the directory to the user latch-server, if there is one.
` + cli.ExitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			if err := prepareDir(p.data, owner); err != nil {
				return err
			}
			if err := store.Restore(p.data, f); err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			return p.Report(map[string]any{"data": p.data}, "restored %s", p.data)
		},
	}
	c.Flags().StringVar(&owner, "owner", "", "user that the server runs as (root only)")
	return c
}
