package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newUser(p *program) *cobra.Command {
	return group("user", "add, invite, disable and remove people",
		newUserAdd(p), newUserList(p), newUserRole(p), newUserInvite(p), newUserReset(p), newUserLost(p), newUserImport(p),
		newUserChange(p, "disable", "close all latches of a person", func(ctx context.Context, s store.Backend, name string) error {
			return s.SetUserDisabled(ctx, name, true)
		}),
		newUserChange(p, "enable", "give a disabled person the latches back as they were", func(ctx context.Context, s store.Backend, name string) error {
			return s.SetUserDisabled(ctx, name, false)
		}),
		newUserRemove(p),
	)
}

func newUserRemove(p *program) *cobra.Command {
	var yes bool
	return yesOption(newUserChange(p, "remove", "close all latches of a person for ever", func(ctx context.Context, s store.Backend, name string) error {
		accounts, err := s.Accounts(name)
		if err != nil && !errors.Is(err, store.ErrNotPaired) {
			return err
		}
		if err := p.consent(ctx, int64(len(accounts)), yes, "every host refuses %s for ever, in %d pairings", name, len(accounts)); err != nil {
			return err
		}
		return s.RemoveUser(ctx, name)
	}), &yes)
}

func newUserAdd(p *program) *cobra.Command {
	var word string
	var invited bool
	c := &cobra.Command{
		Use: "add NAME", Short: "add a person", Args: cobra.ExactArgs(1),
		Long: `add makes a person who can then pair with code. With --invite, or another role than person, it prints a link
and a QR code of it by which they choose a password, once, within a week.
` + cli.ExitHelp,
		Example: "  latch-server user add ana\n  latch-server user add eve --role admin",
		RunE: func(c *cobra.Command, args []string) error {
			role, err := store.ParseRole(word)
			if err != nil {
				return cli.Usage("--role: %w", err)
			}
			return p.withStore(func(s store.Backend) error {
				return p.addUser(c.Context(), s, args[0], role, invited)
			})
		},
	}
	c.Flags().StringVar(&word, "role", store.RolePerson.String(), "what they may do at the pages: person, auditor or admin")
	c.Flags().BoolVar(&invited, "invite", false, "print a link by which they choose a password")
	return c
}

func (p *program) addUser(ctx context.Context, s store.Backend, name string, role store.Role, invited bool) error {
	u, err := s.AddUser(ctx, name)
	if err != nil {
		return err
	}
	if role != store.RolePerson {
		if err := s.ChangeProfile(ctx, u.Row, store.ProfileChange{Role: &role}); err != nil {
			return err
		}
		u.Role = role
	}
	if invited || role != store.RolePerson {
		return p.invite(ctx, s, u, nil, "added "+u.Name)
	}
	return p.Report(map[string]any{"user": u.Name}, "added %s", u.Name)
}

func newUserList(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list people", Long: "list shows everybody with the number of their pairings.\n" + cli.ExitHelp, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return p.withStore(func(s store.Backend) error {
				list, err := s.Users()
				if err != nil {
					return err
				}
				rows := make([]cli.Row, 0, len(list))
				for _, u := range list {
					rows = append(rows, cli.Row{{Name: "user", Value: u.Name}, {Name: "role", Value: u.Role.String()}, {Name: "pairings", Value: u.Pairings}, {Name: "disabled", Value: u.Disabled}, {Name: "created", Value: rfc3339(u.Created)}})
				}
				return p.Table("users", rows)
			})
		},
	}
}

// importBatch is how many people go into one transaction.
const importBatch = 5000

func newUserImport(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "import APP", Short: "add and pair many people at once",
		Long: `import reads one name per line from standard input, adds who is not there yet, pairs everybody
with the application without a code, and prints "NAME: ACCOUNT" lines as latch.accounts has them.
` + cli.ExitHelp,
		Example: "  getent group staff | cut -d: -f4 | tr , '\\n' | latch-server user import servers", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				return p.importPeople(c.Context(), s, a, c.InOrStdin())
			})
		},
	}
}

func (p *program) importPeople(ctx context.Context, s store.Backend, a store.Application, in io.Reader) error {
	var names []string
	accounts := map[string]string{}
	out := bufio.NewWriter(p.Out)
	flush := func() error {
		ids, err := s.Import(ctx, a, names)
		for i, id := range ids {
			if p.JSON {
				accounts[names[i]] = id
			} else {
				fmt.Fprintf(out, "%s: %s\n", names[i], id)
			}
		}
		names = names[:0]
		return errors.Join(err, out.Flush())
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if name := strings.TrimSpace(lines.Text()); name != "" {
			names = append(names, name)
		}
		if len(names) == importBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(flush(), lines.Err()); err != nil || !p.JSON {
		return err
	}
	return p.Report(map[string]any{"accounts": accounts}, "")
}

func newUserChange(p *program, verb, short string, change func(context.Context, store.Backend, string) error) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Args: cobra.ExactArgs(1),
		Long: "Hosts go on asking about a disabled or removed person's accounts; the answer is \"closed\",\nnever \"not paired\", which could open there.\n" + cli.ExitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				if err := change(c.Context(), s, args[0]); err != nil {
					return err
				}
				return p.Report(map[string]any{"user": args[0]}, "%sd %s", verb, args[0])
			})
		},
	}
}
