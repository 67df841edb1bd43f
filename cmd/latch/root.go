package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/account"
	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/latch"
	"github.com/latch-linux/latch/pkg/securefile"
)

// app is what all commands share: the streams, the world outside, and the global flags.
type app struct {
	cli.Printer
	in       io.Reader
	terminal cli.Terminal
	getenv   func(string) string
	uid      int
	find     func(name string) (person, error)

	config, accounts, profile, user string // flags
	asLink                          bool   // called as pairSYS or one of its neighbours
	understood                      bool   // the command line was; what fails later is no usage error
}

// links are the names of the old how-to guides: the command and the profile that each stands for.
var links = map[string][]string{
	"pairSYS":    {"pair", "--profile", "system"},
	"unpairSYS":  {"unpair", "--profile", "system"},
	"pairOVPN":   {"pair", "--profile", "openvpn"},
	"unpairOVPN": {"unpair", "--profile", "openvpn"},
}

// run runs one command line and returns the exit status.
func (a *app) run(ctx context.Context, argv []string) int {
	args := argv[1:]
	if link, ok := links[filepath.Base(argv[0])]; ok {
		a.asLink, a.Program = true, filepath.Base(argv[0])
		args = append(append([]string{}, link...), args...)
	}
	// Cobra parses --json before it may find that the rest is wrong.
	for _, arg := range args {
		a.JSON = a.JSON || arg == "--json"
	}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return cli.ExitOK
	}
	var known *cli.Error
	if !a.understood && !errors.As(err, &known) {
		err = cli.WithHint(cli.ExitUsage, err, "see "+a.Program+" --help")
	}
	if quiet := new(closedError); errors.As(err, &quiet) {
		return cli.ExitClosed
	}
	return a.Fail(explain(err))
}

// closedError ends a command whose result has been printed and was "closed".
type closedError struct{}

func (*closedError) Error() string { return "closed" }

// explain gives an error its exit status and its hint, both by its type alone.
func explain(err error) error {
	var known *cli.Error
	var failed *latch.Error
	var untrusted *securefile.TrustError
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &failed):
		return explainServer(err, failed)
	case errors.As(err, &untrusted) && untrusted.Fix != "":
		return cli.WithHint(cli.ExitError, err, "run: "+untrusted.Fix)
	case errors.Is(err, account.ErrNotPaired):
		return cli.WithHint(cli.ExitNotPaired, err, "run latch pair CODE with the code that the phone shows")
	case errors.Is(err, account.ErrExists):
		return cli.WithHint(cli.ExitError, err, "run latch unpair first")
	case errors.Is(err, fs.ErrPermission):
		return cli.WithHint(cli.ExitError, err, "run it as root, with sudo")
	}
	return err
}

func explainServer(err error, failed *latch.Error) error {
	hint := ""
	if failed.Code != 0 {
		hint = api.Advice(failed.Code)
	}
	switch failed.Kind {
	case latch.KindNoAnswer:
		return cli.WithHint(cli.ExitNoAnswer, err, "check the network, and latch_host in the configuration")
	case latch.KindNotPaired:
		return cli.WithHint(cli.ExitNotPaired, err, hint)
	case latch.KindCertificate:
		hint = "if the server is your own, run latch setup URL to trust its CA"
	}
	return cli.WithHint(cli.ExitError, err, hint)
}

func newRoot(a *app) *cobra.Command {
	var old upstreamFlags
	root := &cobra.Command{
		Use:   "latch",
		Short: "an on/off switch for accounts",
		Long: `latch pairs the people of this machine with a Latch server, shows whether their latches are
open, and opens and closes them.

Start with setup, then pair. The flags -p, -s, -o, -u and -v are those of the original tool.
` + cli.ExitHelp,
		Example:       "  sudo latch setup https://latch.example.org\n  sudo latch pair AbC7xY\n  sudo latch status",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.understood = true
		},
		RunE: func(c *cobra.Command, _ []string) error { return old.run(a, c) },
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.config, "config", "f", "", "configuration `file` (default: the profile's)")
	flags.StringVarP(&a.accounts, "accounts", "a", "", "pairing `file` (default: the profile's)")
	flags.StringVar(&a.profile, "profile", "system", "set of files: system or openvpn")
	flags.StringVar(&a.user, "user", "", "local user `name` (default: who called sudo, else who logged in)")
	flags.BoolVar(&a.JSON, "json", false, "print one JSON object")
	old.add(root)
	root.AddCommand(newPair(a), newUnpair(a), newStatus(a), newList(a), newOpen(a), newClose(a), newHistory(a),
		newOperation(a), newConfig(a), newSetup(a), newVersion(a))
	return root
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: short + ".\n" + cli.ExitHelp, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.WithHint(cli.ExitUsage, fmt.Errorf("%q needs a subcommand", c.CommandPath()), "see "+c.CommandPath()+" --help")
		}}
	c.AddCommand(commands...)
	return c
}

// files returns the configuration and the pairing file to use.
func (a *app) files() (conf, accounts string, err error) {
	p, err := config.ProfileByName(a.profile)
	if err != nil {
		return "", "", cli.WithHint(cli.ExitUsage, err, "")
	}
	conf, accounts = p.Config, p.Accounts
	if a.config != "" {
		conf = a.config
	}
	if a.accounts != "" {
		accounts = a.accounts
	}
	return conf, accounts, nil
}

// load reads the configuration, as a login would.
func (a *app) load() (*config.Config, error) {
	path, _, err := a.files()
	if err != nil {
		return nil, err
	}
	c, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.WithHint(cli.ExitError, err, "run latch setup first, or name the file with --config")
	}
	return c, err
}

// connect reads the configuration and makes a client. The context ends with latch.conf's timeout.
func (a *app) connect(ctx context.Context) (*latch.Client, *config.Config, context.Context, context.CancelFunc, error) {
	c, err := a.load()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	client, err := newClient(c)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	return client, c, ctx, cancel, nil
}

func newClient(c *config.Config) (*latch.Client, error) {
	return latch.New(latch.Options{
		Host: c.Host, Credentials: api.Credentials{ID: c.AppID, Secret: c.SecretKey.Reveal()}, APIVersion: c.APIVersion,
		Retries: c.Retries, CAFile: c.CAFile, Proxy: c.Proxy,
	})
}

// pairing finds the pairing of the user that the command is about.
func (a *app) pairing() (person, account.Pairing, error) {
	who, err := a.who()
	if err != nil {
		return person{}, account.Pairing{}, err
	}
	_, path, err := a.files()
	if err != nil {
		return who, account.Pairing{}, err
	}
	f, err := account.Load(path)
	if err != nil {
		return who, account.Pairing{}, err
	}
	p, ok := f.Find(who.name)
	if !ok {
		return who, account.Pairing{}, fmt.Errorf("%q: %w", who.name, account.ErrNotPaired)
	}
	return who, p, nil
}

// word is how a state is called everywhere.
func word(open bool) string {
	if open {
		return "open"
	}
	return "closed"
}

func day(ms int64) string { return time.UnixMilli(ms).Format(time.RFC3339) }

// operationID returns the id for --operation: a name of latch.conf, or an id.
func operationID(c *config.Config, name string) (string, error) {
	if name == "" || (api.ValidAppID(name) && c.Operations[name] == "") {
		return name, nil
	}
	id, err := c.Operation(name)
	if err != nil {
		return "", cli.WithHint(cli.ExitError, err, "the names are: "+strings.Join(operationNames(c), ", "))
	}
	return id, nil
}
