package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// app is what all commands share: the streams, the world outside, and the global flags.
type app struct {
	cli.Printer
	in       io.Reader
	terminal cli.Terminal
	getenv   func(string) string
	now      func() time.Time
	uid      int
	find     func(nameOrUID string) (person, error)
	login    func() string // name or uid that this session logged in as, "" if it did not
	pam      installer.System

	argv                            []string // the command line
	config, accounts, profile, user string   // flags
	asLink                          bool     // called as pairSYS or one of its neighbours
	understood                      bool     // the command line was; what fails later is no usage error
}

// links are the names of the old how-to guides: the command and the profile that each stands for.
var links = map[string][]string{
	"pairSYS":    {"pair", "--profile", "system"},
	"unpairSYS":  {"unpair", "--profile", "system"},
	"pairOVPN":   {"pair", "--profile", "openvpn"},
	"unpairOVPN": {"unpair", "--profile", "openvpn"},
}

// run runs one command line and returns the exit status.
func (a *app) run(ctx context.Context, argv []string) cli.Exit {
	a.argv = argv
	args := argv[1:]
	if link, ok := links[filepath.Base(argv[0])]; ok {
		a.asLink, a.Program = true, filepath.Base(argv[0])
		args = append(append([]string{}, link...), args...)
	}
	root := newRoot(a)
	// Cobra may find that the command line is wrong before it has seen --json.
	a.JSON = slices.Contains(args, "--json")
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
	if health := new(healthError); errors.As(err, &health) {
		return cli.Exit(health.worst)
	}
	if left := new(undoneError); errors.As(err, &left) && a.JSON {
		return cli.ExitError // the object that was printed says so
	}
	return a.Fail(a.hinted(explain(err)))
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
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelp())
	flags := root.PersistentFlags()
	flags.StringVarP(&a.config, "config", "f", "", "configuration `file` (default: the profile's)")
	flags.StringVarP(&a.accounts, "accounts", "a", "", "pairing `file` (default: the profile's)")
	flags.StringVar(&a.profile, "profile", "system", "`set` of files: system or openvpn")
	flags.StringVar(&a.user, "user", "", "local user `name` (default: who called sudo, else who logged in)")
	flags.BoolVar(&a.JSON, "json", false, "print one JSON object")
	old.add(root)
	root.AddCommand(newPair(a), newUnpair(a), newStatus(a), newList(a), newOpen(a), newClose(a), newHistory(a),
		newOperation(a), newOTP(a), newRecovery(a), newBypass(a), newConfig(a), newSetup(a), newInstall(a), newUninstall(a), newConfirm(a), newRollback(a), newDoctor(a), newExplain(a), newSupport(a),
		newVersion(a), cli.NewCompletion(&a.Printer, "latch"))
	return root
}

// needRoot refuses commands that, without root's rights, would see a part of the machine and draw wrong conclusions. status is how it ends then.
func (a *app) needRoot(status cli.Exit) error {
	if a.uid == 0 {
		return nil
	}
	return cli.WithHint(status, errors.New("must be run as root"), "run it with sudo")
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
	setup := "run latch setup"
	if a.profile != "system" { // install tries OpenVPN's lines with a profile that nobody named
		setup += " --profile " + a.profile
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = cli.WithHint(cli.ExitError, err, setup+" first, or name the file with --config")
	case errors.Is(err, config.ErrNotSetUp):
		err = cli.WithHint(cli.ExitError, err, setup)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// connect reads the configuration and makes a client. The context ends with latch.conf's timeout.
func (a *app) connect(ctx context.Context) (*client.Client, *config.Config, context.Context, context.CancelFunc, error) {
	c, err := a.load()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	client, err := adapters.NewClient(c, nil)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	done := func() {
		cancel()
		if wrong := client.Offset(); wrong != 0 {
			a.Say("this machine's clock is %v; set it (timedatectl set-ntp true)", apart(wrong))
		}
	}
	return client, c, ctx, done, nil
}

// apart tells by how much this machine's clock differs from the server's, which is ahead by offset.
func apart(offset time.Duration) string {
	switch offset = offset.Round(time.Second); {
	case offset > 0:
		return offset.String() + " behind the server's"
	case offset < 0:
		return (-offset).String() + " ahead of the server's"
	}
	return "the same as the server's"
}

// pairing finds the pairing of the user that the command is about, and refuses one that a login would refuse.
func (a *app) pairing() (pairings.Pairing, error) {
	who, p, err := a.anyPairing()
	if err == nil && who.uid >= 0 && p.UID >= 0 && p.UID != who.uid {
		err = cli.WithHint(cli.ExitError,
			fmt.Errorf("%q had the uid %d when it was paired and has %d now, so logins are refused", p.User, p.UID, who.uid),
			"if it is still the same person: latch unpair, then latch pair CODE")
	}
	return p, err
}

// anyPairing finds the pairing even where the name has passed to somebody else.
func (a *app) anyPairing() (person, pairings.Pairing, error) {
	who, err := a.who()
	if err != nil {
		return person{}, pairings.Pairing{}, err
	}
	_, path, err := a.files()
	if err != nil {
		return who, pairings.Pairing{}, err
	}
	f, err := pairings.Load(path)
	if err != nil {
		return who, pairings.Pairing{}, err
	}
	p, ok := f.Find(who.name)
	if !ok && who.unknown() {
		if p, ok, err = f.FindLoose(who.name); err != nil {
			return who, pairings.Pairing{}, err
		}
	}
	if !ok {
		return who, pairings.Pairing{}, fmt.Errorf("%q: %w", who.name, pairings.ErrNotPaired)
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

// operationID returns the id for --operation: a name of latch.conf, or an id.
func operationID(c *config.Config, name string) (string, error) {
	if name == "" || (api.ValidAppID(name) && c.Operations[name] == "") {
		return name, nil
	}
	id, err := c.Operation(name)
	if err != nil {
		hint := "the configuration names none: see latch operation add --save"
		if names := operationNames(c); len(names) > 0 {
			hint = "the names are: " + strings.Join(names, ", ")
		}
		return "", cli.WithHint(cli.ExitError, err, hint)
	}
	return id, nil
}
