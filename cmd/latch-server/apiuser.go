package main

import (
	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newAPIUser(p *program) *cobra.Command {
	add := &cobra.Command{
		Use: "add NAME", Short: "make an API user; its secret is shown once", Args: cobra.ExactArgs(1),
		Long: "add makes an id and a secret that may make and change applications of their own.\n" + cli.ExitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				u, secret, err := s.AddAPIUser(c.Context(), args[0])
				if err != nil {
					return err
				}
				return p.reportCredentials("user_id", u.ID, secret, u.Name)
			})
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "list API users", Args: cobra.NoArgs, Long: "list shows names and ids, never a secret.\n" + cli.ExitHelp,
		RunE: func(*cobra.Command, []string) error {
			return p.withStore(func(s store.Backend) error {
				list, err := s.APIUsers()
				if err != nil {
					return err
				}
				rows := make([]cli.Row, 0, len(list))
				for _, u := range list {
					rows = append(rows, cli.Row{{Name: "user_id", Value: u.ID}, {Name: "name", Value: u.Name}, {Name: "created", Value: rfc3339(u.Created)}})
				}
				return p.Table("api_users", rows)
			})
		},
	}
	remove := &cobra.Command{
		Use: "remove NAME", Short: "remove an API user", Args: cobra.ExactArgs(1),
		Long: "remove makes its secret useless at once; its applications stay.\n" + cli.ExitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				if err := s.RemoveAPIUser(c.Context(), args[0]); err != nil {
					return err
				}
				return p.Report(map[string]any{"name": args[0]}, "removed %s", args[0])
			})
		},
	}
	return group("api-user", "who may manage applications through the API", add, list, remove)
}
