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

// restoreOptions are the flags of restore.
type restoreOptions struct {
	owner    string
	closeAll bool
	keepOpen bool
}

func newRestore(p *program) *cobra.Command {
	var o restoreOptions
	c := &cobra.Command{
		Use: "restore FILE", Short: "put a backup into an empty data directory",
		Long: `restore takes a file that backup wrote. It refuses a directory that holds a database. Called by
root, it gives the directory to the user latch-server, if there is one.

It is a reset for everybody: sessions, links, recovery codes, known browsers, pairing codes and
login codes of the backup end, because they may have been used or withdrawn since. Passwords,
passkeys, authenticators, pairings and secrets stay. People get new recovery codes when they sign in.

A latch that was closed after the backup is open again. restore lists the open latches and offers to
close them all.
` + cli.ExitHelp,
		Example: "  latch-server restore /root/latch-2026-11-30.tar --close-all",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return p.restore(c.Context(), args[0], o) },
	}
	c.Flags().StringVar(&o.owner, "owner", "", "user that the server runs as (root only)")
	c.Flags().BoolVar(&o.closeAll, "close-all", false, "close every latch without a question")
	c.Flags().BoolVar(&o.keepOpen, "keep-open", false, "leave the latches as they are in the backup, without a question")
	c.MarkFlagsMutuallyExclusive("close-all", "keep-open")
	return c
}

func (p *program) restore(ctx context.Context, file string, o restoreOptions) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := prepareDir(p.data, o.owner); err != nil {
		return err
	}
	if err := store.Restore(ctx, p.data, f); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return p.withStore(func(s store.Backend) error {
		open, err := openLatches(s)
		if err != nil {
			return err
		}
		closing, err := p.mayCloseAll(ctx, open, o)
		if err != nil {
			return err
		}
		if closing {
			if err := closeAll(ctx, s); err != nil {
				return err
			}
		}
		fields := map[string]any{"data": p.data, "open": open, "closed_all": closing}
		if closing {
			return p.Report(fields, "restored %s; closed every latch (%d were open)", p.data, len(open))
		}
		return p.Report(fields, "restored %s; %d latches are open as in the backup", p.data, len(open))
	})
}

// mayCloseAll lists the open latches and asks whether to close them. Without a terminal they stay as they are, with a hint.
func (p *program) mayCloseAll(ctx context.Context, open []string, o restoreOptions) (bool, error) {
	if o.closeAll || o.keepOpen || len(open) == 0 {
		return o.closeAll, nil
	}
	p.Say("open as in the backup:")
	for _, name := range open {
		p.Say("  %s", name)
	}
	yes, err := cli.Terminal{}.Confirm(ctx, "Close all of them? Their owners can open them again.")
	if errors.Is(err, cli.ErrNoTerminal) {
		p.Say("to close the latches of a person: latch-server close USER --data %s", p.data)
		return false, nil
	}
	return yes, err
}

// openLatches lists the latches that let in, as "ana: servers".
func openLatches(s store.Backend) ([]string, error) {
	people, err := s.Users()
	if err != nil {
		return nil, err
	}
	list := []string{}
	for _, u := range people {
		accounts, err := s.Accounts(u.Name)
		if errors.Is(err, store.ErrNotPaired) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, a := range accounts {
			for _, row := range appendNode(nil, a.AccountID, "", a.Status) {
				if row[1].Value == word(true) {
					list = append(list, fmt.Sprintf("%s: %s", u.Name, row[0].Value))
				}
			}
		}
	}
	return list, nil
}

// closeAll closes every latch of everybody; schedules stay suspended until their owners take them up again.
func closeAll(ctx context.Context, s store.Backend) error {
	people, err := s.Users()
	if err != nil {
		return err
	}
	for _, u := range people {
		_, err := s.Switch(ctx, store.Switch{User: u.Row, Hold: true, Attempt: store.Attempt{Way: store.WayCommand}})
		if err != nil && !errors.Is(err, store.ErrNotPaired) {
			return fmt.Errorf("%q: %w", u.Name, err)
		}
	}
	return nil
}
