package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// storeTimeout bounds the wait for other writers of the same file.
const storeTimeout = 30 * time.Second

type pairOptions struct {
	importFrom  string
	anyUID, yes bool
	context     contextChoice
}

func newPair(a *app) *cobra.Command {
	var o pairOptions
	c := &cobra.Command{
		Use:   "pair [CODE]",
		Short: "pair a user with a phone, by link or by the code that it shows",
		Long: `pair exchanges a pairing code for an account of the Latch server and stores it for a user of
this machine: --user, else who called sudo, else who logged in. In a root shell --user is
needed. The uid is stored with the name, so that a name that passes to somebody else does
not take the latch along. If the account cannot be stored, the pairing is undone at the
server. The server is told a name for the pairing: this machine's and the user's.

Without a code, and where the server is latch-server, pair shows a link and its QR code. The
phone opens it, shows who asks, and confirms; pair waits for that, five minutes at most, and
finishes by itself. Interrupted after the confirmation, it finishes when it is run again.

latch-server can also be told which login a question is about (host_context in
latch.conf(5)). pair shows what that is and asks, once; without a terminal the answer is no,
and --host-context gives it.

Called as pairSYS or pairOVPN, "CODE -f FILE" first copies app_id and secret_key (and
latch_host and ca_file, if FILE has them) from FILE into the profile's own configuration. Where
users are paired with another application there, that refuses them: it asks first.

--import reads pairings that "latch list --export" wrote on another machine with the same
application. Every user must exist here and have the uid that they have there (or, with
--any-uid, any), and nobody who is paired with another account is touched: else nothing is
imported.
` + cli.ExitHelp,
		Example: "  sudo latch pair\n  sudo latch pair AbC7xY\n  sudo latch pair --user ana AbC7xY\n  ssh web1 sudo latch list --export | sudo latch pair --import -",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.importFrom != "" && len(args) == 0 && a.user == "":
				return a.importPairings(c.Context(), o.importFrom, o.anyUID)
			case o.importFrom != "" || o.anyUID:
				return cli.Usage("pair takes a code or nothing, or --import FILE [--any-uid]")
			case len(args) == 1 && !api.ValidCode(args[0]):
				return errBadCode
			}
			if err := o.context.check(); err != nil {
				return err
			}
			return a.pair(c.Context(), strings.Join(args, ""), o)
		},
	}
	c.Flags().StringVar(&o.importFrom, "import", "", "read exported pairings from `FILE`, - for standard input")
	c.Flags().StringVar((*string)(&o.context), "host-context", "", "`yes or no`: whether latch-server is told which login a question is about")
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "as pairSYS or pairOVPN: change the application of paired users without asking")
	c.Flags().BoolVar(&o.anyUID, "any-uid", false, "with --import: the names are the same people, whatever their uids")
	return c
}

var errBadCode = cli.WithHint(cli.ExitUsage, errors.New("a pairing code has six letters and digits, none of them S, 5, l, 1, 0 or O"),
	"ask the phone for a new code; large and small letters differ")

// pair pairs by a code that has the form of one, or by link where it is "".
func (a *app) pair(ctx context.Context, code string, o pairOptions) error {
	who, err := a.whoToPair()
	if err != nil {
		return err
	}
	_, path, err := a.files()
	if err != nil {
		return err
	}
	f, err := pairings.Load(path)
	if err != nil {
		return err
	}
	if p, paired := pairedAs(f, who); paired {
		return a.alreadyPaired(who, p)
	}
	if a.asLink && a.config != "" {
		if err := a.installCredentials(ctx, a.config, o.yes); err != nil {
			return err
		}
		a.config = ""
	}
	pairing := a.pairByLink
	if code != "" {
		pairing = func(ctx context.Context, who person, path string) (pairedBy, error) {
			return a.pairByCode(ctx, who, path, code)
		}
	}
	made, err := pairing(ctx, who, path)
	if err != nil {
		return err
	}
	if err := a.keep(ctx, made, who, path); err != nil {
		return err
	}
	return a.offerContext(ctx, made.client, made.config, o.context, who.name)
}

// pairedAs finds the pairing of a person. Names that the name service does not know are compared as directories do.
func pairedAs(f *pairings.File, who person) (pairings.Pairing, bool) {
	if p, paired := f.Find(who.name); paired || !who.unknown() {
		return p, paired
	}
	for _, p := range f.All() {
		if pairings.Equal(p.User, who.name) {
			return p, true
		}
	}
	return pairings.Pairing{}, false
}

func (a *app) alreadyPaired(who person, p pairings.Pairing) error {
	unpair := "latch unpair --user " + p.User
	if a.profile != "system" {
		unpair += " --profile " + a.profile
	}
	if p.UID >= 0 && who.uid >= 0 && p.UID != who.uid {
		return cli.WithHint(cli.ExitError, fmt.Errorf("%q is already paired, as the user with the uid %d, who is somebody else now", p.User, p.UID),
			"run "+unpair+" first")
	}
	return cli.WithHint(cli.ExitError, fmt.Errorf("%q is already paired", p.User),
		"to pair anew run "+unpair+" first")
}

// pairByCode exchanges a code for an account.
func (a *app) pairByCode(ctx context.Context, who person, path, code string) (pairedBy, error) {
	server, c, asking, done, err := a.connect(ctx)
	if err != nil {
		return pairedBy{}, err
	}
	defer done()
	if err := storable(asking, path, who.name); err != nil {
		return pairedBy{}, fmt.Errorf("the pairing could not be stored, so the code was not sent: %w", err)
	}
	name := ""
	if api.TakesCommonName(c.APIVersion) {
		name = hostname() + ", " + who.name
	}
	id, err := server.Pair(asking, code, name)
	if id == "" {
		return pairedBy{}, lostPairing(err)
	}
	return pairedBy{client: server, config: c, id: id, known: err != nil}, nil
}

// lostPairing tells what may have happened where a pairing was asked for and no answer came.
func lostPairing(err error) error {
	if client.KindOf(err) != client.KindNoAnswer && !errors.Is(err, context.Canceled) {
		return err
	}
	return cli.WithHint(cli.StatusOf(explain(err)), explain(err),
		"if the phone shows a new pairing all the same, pair again with a new code, or unpair on the phone first; else check the network and latch_host")
}

// storable finds out before the code is spent what would keep the pairing from being stored.
func storable(ctx context.Context, path, user string) error {
	if err := pairings.CheckUser(user); err != nil {
		return err
	}
	return securefile.WithLock(ctx, path, func() error { return nil })
}

func storePairings(ctx context.Context, path string, list ...pairings.Pairing) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return pairings.Store{Path: path}.Add(ctx, list...)
}

// undo takes back what could not be stored, but not what was there before: the account may be another user's too.
func (a *app) undo(ctx context.Context, server *client.Client, path, id string, failed error, known bool) error {
	f, err := pairings.Load(path)
	if known || err != nil || holders(f, id, "") > 0 {
		return cli.WithHint(cli.ExitError, fmt.Errorf("the pairing cannot be stored: %w", failed),
			"mend the cause, unpair on the phone if no other user needs the pairing, and pair again; the account is "+id)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := server.Unpair(ctx, id); err != nil && client.KindOf(err) != client.KindNotPaired {
		return cli.WithHint(cli.ExitError, fmt.Errorf("the pairing cannot be stored (%w), and the server could not be told: %w", failed, err),
			"mend the cause, unpair on the phone, and pair again; the account is "+id)
	}
	return cli.WithHint(cli.ExitError, fmt.Errorf("the pairing cannot be stored, so it was undone at the server: %w", failed),
		"mend the cause, and pair again with a new code")
}

// holders counts the users with this account, but for one.
func holders(f *pairings.File, id, but string) int {
	n := 0
	for _, p := range f.All() {
		if p.AccountID == id && p.User != but {
			n++
		}
	}
	return n
}
