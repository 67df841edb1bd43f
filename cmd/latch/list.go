package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

func newList(a *app) *cobra.Command {
	var export bool
	c := &cobra.Command{
		Use:   "list",
		Short: "list the pairings of this machine",
		Long: `list shows who is paired here. It asks nobody. --export writes the pairings with their account
ids, for "latch pair --import" on another machine with the same application; treat that as
you treat the pairing file.
` + cli.ExitHelp,
		Example: "  sudo latch list\n  sudo latch list --export > pairings",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, path, err := a.files()
			if err != nil {
				return err
			}
			f, err := pairings.Load(path)
			if err != nil {
				return err
			}
			if export && !a.JSON {
				return a.export(f)
			}
			return a.listPairings(f, export)
		},
	}
	c.Flags().BoolVar(&export, "export", false, "with account ids, to be read by pair --import")
	return c
}

func (a *app) listPairings(f *pairings.File, export bool) error {
	var rows []cli.Row
	for _, p := range f.All() {
		row := cli.Row{{Name: "user", Value: p.User}, {Name: "uid", Value: uidText(p.UID)}}
		if export {
			row = append(row, cli.Cell{Name: "account_id", Value: p.AccountID})
		}
		rows = append(rows, row)
	}
	return a.Table("pairings", rows)
}

// uidText is the uid as a number, or nil where none is recorded.
func uidText(uid int64) any {
	if uid < 0 {
		return nil
	}
	return uid
}

// export writes lines that account.Parse reads.
func (a *app) export(f *pairings.File) error {
	for _, p := range f.All() {
		if p.UID >= 0 {
			fmt.Fprintf(a.Out, "#uid %s %d\n", p.User, p.UID)
		}
		if _, err := fmt.Fprintf(a.Out, "%s: %s\n", p.User, p.AccountID); err != nil {
			return err
		}
	}
	return nil
}
