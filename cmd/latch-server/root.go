package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/store"
)

// Exit statuses, the same as those of latch.
const (
	exitOK        = 0
	exitError     = 1
	exitUsage     = 2
	exitNotPaired = 5
)

// usageError is a command line that cannot be meant.
type usageError struct{ error }

const exitHelp = `
Exit status: 0 done, 1 error, 2 wrong usage, 5 not paired.`

// defaultData is where a packaged server keeps its data.
const defaultData = "/var/lib/latch-server"

// program is what all commands share.
type program struct {
	data    string
	json    bool
	out     io.Writer // results, and nothing else
	errOut  io.Writer // commentary, each line with the program's name
	started bool      // the command line was understood; what fails later is no usage error
}

// run runs one command line and returns the exit status.
func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p := &program{out: out, errOut: errOut}
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if p.json {
		p.print(map[string]any{"error": err.Error()})
	} else {
		fmt.Fprintf(errOut, "latch-server: %v\n", err)
		if hint := hintFor(err); hint != "" {
			fmt.Fprintf(errOut, "latch-server: hint: %s\n", hint)
		}
	}
	var usage usageError
	switch {
	case !p.started || errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, store.ErrNotPaired):
		return exitNotPaired
	}
	return exitError
}

func hintFor(err error) string {
	switch {
	case errors.Is(err, store.ErrNotInitialized):
		return "run latch-server init, or name the directory with --data"
	case errors.Is(err, store.ErrNotPaired):
		return "make a pairing code with latch-server code USER, then run latch pair CODE on the host"
	case errors.Is(err, store.ErrUserDisabled):
		return "run latch-server user enable USER first"
	}
	return ""
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "latch-server",
		Short: "a Latch server of one's own",
		Long: `latch-server keeps people's latches and answers the hosts that ask about them.

Start with init and serve; then app add, user add and code pair the first host.
The commands work while the server serves.
` + exitHelp,
		Example:       "  latch-server init --url https://latch.example.org\n  latch-server serve --listen :8443 --tls-self-signed",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			p.started = true
		},
	}
	root.PersistentFlags().StringVar(&p.data, "data", defaultData, "directory of the database and its key")
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print one JSON object")
	root.AddCommand(
		newInit(p), newServe(p), newApp(p), newUser(p), newCode(p), newOpen(p), newClose(p), newStatus(p), newChoose(p), newToken(p),
		newOperation(p), newControl(p), newAPIUser(p), newHistory(p), newBackup(p), newRestore(p), newVersion(p),
	)
	return root
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: short + ".\n" + exitHelp, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%s needs a subcommand; see %s --help", c.CommandPath(), c.CommandPath())}
		}}
	c.AddCommand(commands...)
	return c
}

// withStore runs fn on the open database, as the user that owns it.
func (p *program) withStore(fn func(*store.Store) error) (err error) {
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

// print writes one JSON object with the version of its form.
func (p *program) print(fields map[string]any) error {
	fields["version"] = 1
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(fields)
}

// report writes the result: as JSON, or as text.
func (p *program) report(fields map[string]any, format string, args ...any) error {
	if p.json {
		return p.print(fields)
	}
	_, err := fmt.Fprintf(p.out, format+"\n", args...)
	return err
}
