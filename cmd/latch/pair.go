package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/account"
	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/latch"
)

// storeTimeout bounds the wait for other writers of the pairing file.
const storeTimeout = 30 * time.Second

type pairOptions struct {
	importFrom string
}

func newPair(a *app) *cobra.Command {
	var o pairOptions
	c := &cobra.Command{
		Use:   "pair CODE",
		Short: "pair a user with the code that the phone shows",
		Long: `pair exchanges a pairing code for an account of the Latch server and stores it for a user of
this machine: --user, else who called sudo, else who logged in. In a root shell --user is
needed. The uid is stored with the name, so that a name that passes to somebody else does
not take the latch along.

Called as pairSYS or pairOVPN, "CODE -f FILE" first copies app_id and secret_key (and
latch_host, if FILE has one) from FILE into the profile's own configuration.

--import reads pairings that "latch list --export" wrote on another machine; the users must
exist here, and get the uids that they have here.
` + cli.ExitHelp,
		Example: "  sudo latch pair AbC7xY\n  sudo latch pair --user ana AbC7xY\n  ssh web1 sudo latch list --export | sudo latch pair --import -",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.importFrom != "" && len(args) == 0:
				return a.importPairings(c.Context(), o.importFrom)
			case o.importFrom != "" || len(args) == 0:
				return cli.Usage("pair takes a code, or --import FILE")
			}
			return a.pair(c.Context(), args[0])
		},
	}
	c.Flags().StringVar(&o.importFrom, "import", "", "read exported pairings from `FILE`, - for standard input")
	return c
}

func (a *app) pair(ctx context.Context, code string) error {
	if !api.ValidCode(code) {
		return cli.WithHint(cli.ExitUsage, errors.New("a pairing code has six letters and digits, none of them S, 5, l, 1, 0 or O"),
			"ask the phone for a new code; large and small letters differ")
	}
	if a.asLink && a.config != "" {
		if err := a.installCredentials(ctx, a.config); err != nil {
			return err
		}
		a.config = ""
	}
	who, err := a.whoToPair()
	if err != nil {
		return err
	}
	_, path, err := a.files()
	if err != nil {
		return err
	}
	f, err := account.Load(path)
	if err != nil {
		return err
	}
	if _, paired := f.Find(who.name); paired {
		return fmt.Errorf("%q: %w", who.name, account.ErrExists)
	}
	return a.pairAs(ctx, who, code, path)
}

// pairAs asks the server and stores the answer. What cannot be stored is undone at the server.
func (a *app) pairAs(ctx context.Context, who person, code, path string) error {
	client, _, ctx, cancel, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	id, err := client.Pair(ctx, code, "")
	if id == "" {
		return err
	}
	// From here on an interrupt must not leave a pairing that only the server knows.
	ctx = context.WithoutCancel(ctx)
	if failed := store(ctx, path, account.Pairing{User: who.name, AccountID: id, UID: who.uid}); failed != nil {
		return a.undo(ctx, client, id, failed, err != nil)
	}
	return a.Report(map[string]any{"user": who.name, "paired": true}, "%s is paired", who.name)
}

func store(ctx context.Context, path string, p account.Pairing) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return account.Store{Path: path}.Add(ctx, p)
}

// undo takes back what could not be stored, unless the account was paired before.
func (a *app) undo(ctx context.Context, client *latch.Client, id string, failed error, pairedBefore bool) error {
	if pairedBefore {
		return fmt.Errorf("the account was paired already, and its id cannot be stored: %w", failed)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := client.Unpair(ctx, id); err != nil && latch.KindOf(err) != latch.KindNotPaired {
		return cli.WithHint(cli.ExitError, fmt.Errorf("the pairing cannot be stored (%w), and the server could not be told: %w", failed, err),
			"unpair on the phone, mend the cause, and pair again")
	}
	return fmt.Errorf("the pairing cannot be stored, so it was undone at the server: %w", failed)
}

// importPairings checks everything before it changes anything.
func (a *app) importPairings(ctx context.Context, from string) error {
	data, err := a.readInput(from)
	if err != nil {
		return err
	}
	imported, err := account.Parse(from, data)
	if err != nil {
		return err
	}
	_, path, err := a.files()
	if err != nil {
		return err
	}
	present, err := account.Load(path)
	if err != nil {
		return err
	}
	var list []account.Pairing
	for _, p := range imported.All() {
		who, err := a.find(p.User)
		if err != nil {
			return fmt.Errorf("nothing was imported: %w", err)
		}
		if old, ok := present.Find(who.name); ok && old.AccountID != p.AccountID {
			return fmt.Errorf("nothing was imported: %q: %w", who.name, account.ErrExists)
		}
		list = append(list, account.Pairing{User: who.name, AccountID: p.AccountID, UID: who.uid})
	}
	for _, p := range list {
		if err := store(ctx, path, p); err != nil {
			return err
		}
	}
	return a.Report(map[string]any{"imported": len(list)}, "%d pairings imported", len(list))
}

// inputLimit bounds what is read from a pipe or from a file that somebody hands in.
const inputLimit = 16 << 20

func (a *app) readInput(from string) ([]byte, error) {
	if from == "-" {
		return io.ReadAll(io.LimitReader(a.in, inputLimit))
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, inputLimit))
}
