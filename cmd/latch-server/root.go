package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/version"
)

// defaultData is where a packaged server keeps its data.
const defaultData = "/var/lib/latch-server"

// program is what all commands share.
type program struct {
	cli.Printer
	data       string
	understood bool // the command line was; what fails later is no usage error
}

// run runs one command line and returns the exit status.
func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second one ends the program at once
	// Cobra may find that the command line is wrong before it has seen --json.
	p := &program{Printer: cli.Printer{Program: "latch-server", JSON: slices.Contains(args, "--json"), Out: out, Err: errOut}}
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(store.WithActor(ctx, commandActor()))
	if err == nil {
		return int(cli.ExitOK)
	}
	return int(p.Fail(p.explain(err)))
}

// explain gives an error its exit status and says what to do about it, both by its type alone.
func (p *program) explain(err error) error {
	var known *cli.Error
	switch {
	case errors.As(err, &known):
		return err
	case !p.understood:
		return cli.WithHint(cli.ExitUsage, err, "see latch-server --help")
	case errors.Is(err, store.ErrNotInitialized):
		return cli.WithHint(cli.ExitError, err, "run latch-server init, or name the directory with --data")
	case errors.Is(err, store.ErrNotPaired):
		return cli.WithHint(cli.ExitNotPaired, err, "make a pairing code with latch-server code USER, then run latch pair CODE on the host")
	}
	for _, h := range hints {
		if errors.Is(err, h.is) {
			return cli.WithHint(cli.ExitError, err, h.hint)
		}
	}
	return err
}

// hints say what to do about an error, the first that fits.
var hints = []struct {
	is   error
	hint string
}{
	{store.ErrUserDisabled, "run latch-server user enable USER first"},
	{store.ErrPhoneLost, "a recovery code brings them back, or a link that latch-server user reset USER makes"},
	{store.ErrNoUser, "see latch-server user list, or make one with latch-server user add NAME"},
	{store.ErrNoApplication, "see latch-server app list, or make one with latch-server app add NAME"},
	{store.ErrNoOperation, "see latch-server operation list APP"},
	{store.ErrNoSecret, "see latch-server app secret list APP"},
	{store.ErrNoControl, "see latch-server control list APP"},
	{store.ErrNoAPIUser, "see latch-server api-user list"},
	{store.ErrDamaged, "look at the disk; put a backup into an empty directory with latch-server restore FILE --data DIR"},
	{store.ErrKey, "put " + store.KeyFile + " back that lay beside this database; every backup holds it"},
	{syscall.EADDRINUSE, "another process listens there, perhaps this server already; name another address with --listen"},
	{fs.ErrPermission, "run it as root or as the owner of the data directory; what the server reads must be readable for that owner"},
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "latch-server",
		Short: "a Latch server of one's own",
		Long: `latch-server keeps people's latches and answers the hosts that ask about them.

Start with init and serve; then app add, user add and code pair the first host.
The commands work while the server serves.
` + cli.ExitHelp,
		Example:       "  latch-server init --url https://latch.example.org\n  latch-server serve --listen :8443 --tls-self-signed",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			p.understood = true
		},
	}
	root.Version = version.String()
	root.SetVersionTemplate("latch-server {{.Version}}\n")
	root.InitDefaultVersionFlag() // before the search for the command, which must know that it takes no value
	root.PersistentFlags().StringVar(&p.data, "data", defaultData, "directory of the database and its key")
	root.PersistentFlags().BoolVar(&p.JSON, "json", p.JSON, "print one JSON object")
	root.AddCommand(
		newInit(p), newServe(p), newApp(p), newUser(p), newCode(p), newOpen(p), newClose(p), newStatus(p), newChoose(p), newSchedule(p), newToken(p),
		newOperation(p), newControl(p), newAPIUser(p), newHistory(p), newNotice(p), newAudit(p), newPrune(p), newRetain(p), newCheck(p), newBackup(p), newRestore(p), newImportCloud(p), newVersion(p),
		cli.NewCompletion(&p.Printer, "latch-server"),
	)
	root.CompletionOptions.DisableDefaultCmd = true
	return root
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: short + ".\n" + cli.ExitHelp, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Usage("%s needs a subcommand; see %s --help", c.CommandPath(), c.CommandPath())
		}}
	c.AddCommand(commands...)
	return c
}

// withStore runs fn on the open database, as the user that owns it.
func (p *program) withStore(fn func(store.Backend) error) (err error) {
	if err := actAsOwner(p.data); err != nil {
		return err
	}
	s, err := store.Open(p.data, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return fn(s)
}

// reportCredentials writes what belongs in a configuration file, ready to paste.
func (p *program) reportCredentials(idName, id, secret, name string) error {
	if p.JSON {
		return p.Report(map[string]any{idName: id, "secret_key": secret, "name": name}, "")
	}
	_, err := fmt.Fprintf(p.Out, "%s = %s\nsecret_key = %s\n", idName, id, secret)
	return err
}
