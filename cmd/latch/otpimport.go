package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

func newOTPImport(a *app) *cobra.Command {
	var replace bool
	c := &cobra.Command{
		Use: "import FILE…", Short: "take over files of google-authenticator's", Args: cobra.MinimumNArgs(1),
		Long: `import takes over what people have in the files of google-authenticator's PAM module, so that they keep
their phones: the seed, codes by the time or that count, the window, the steps, what is used up, and the
emergency codes, which pass here as recovery codes. A file is its owner's; where root owns it, --user
names whose it is. What has no counterpart here is said. One file that cannot be taken over keeps no
other from it, and changes nothing.

Remove the files and the PAM lines of that module afterwards: a code would pass there once more.
` + cli.ExitHelp,
		Example: "  sudo latch otp import /home/*/.google_authenticator\n  sudo latch otp import --user ana /etc/google-authenticator/ana",
		RunE:    func(c *cobra.Command, files []string) error { return a.importGoogle(c.Context(), files, replace) },
	}
	c.Flags().BoolVar(&replace, "replace", false, "in place of authenticators that the users have")
	return c
}

func (a *app) importGoogle(ctx context.Context, files []string, replace bool) error {
	if a.user != "" && len(files) > 1 {
		return cli.Usage("--user names whose one file is")
	}
	store, _, err := a.codes()
	if err != nil {
		return err
	}
	if err := a.readyKey(ctx, store); err != nil {
		return err
	}
	var rows []cli.Row
	var left []string
	for _, file := range files {
		who, g, err := a.importFile(ctx, store, file, replace)
		if err != nil && len(files) == 1 {
			return err
		}
		if err != nil {
			left = append(left, file)
			a.sayWhy(err)
		}
		rows = append(rows, a.importRow(file, who, g, err))
	}
	if err := a.Table("files", rows); err != nil {
		return err
	}
	if len(left) > 0 {
		return &undoneError{"not imported: " + strings.Join(left, ", ")}
	}
	a.Say("when this works, remove the files, and the PAM lines with pam_google_authenticator.so")
	return nil
}

// sayWhy tells of an error that does not end the command, and what to do.
func (a *app) sayWhy(err error) {
	a.Say("%v", err)
	var known *cli.Error
	if errors.As(err, &known) && known.Hint != "" {
		a.Hint("%s", known.Hint)
	}
}

// importRow is what came of a file; scripts get the error as well.
func (a *app) importRow(file string, who person, g otp.Google, err error) cli.Row {
	row := cli.Row{{Name: "file", Value: file}, {Name: "user", Value: who.name}, {Name: "authenticator", Value: string(g.Kind)},
		{Name: "recovery_codes", Value: len(g.Scratch)}, {Name: "imported", Value: err == nil}}
	if a.JSON && err != nil {
		row = append(row, cli.Cell{Name: "error", Value: err.Error()})
	}
	return row
}

// readGoogle reads a file that belongs to a user, and tells to whom: no link is followed, and no error repeats what it holds.
func readGoogle(file string) (g otp.Google, owner int64, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		err = fmt.Errorf("%s: is a link; name the file itself", file)
	}
	if err != nil {
		return g, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return g, 0, err
	}
	if !info.Mode().IsRegular() {
		return g, 0, fmt.Errorf("%s: is no file", file)
	}
	const limit = 64 << 10
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err == nil {
		g, err = otp.ParseGoogle(data)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return g, int64(info.Sys().(*syscall.Stat_t).Uid), err
}

// ownerOf is whose file it is: --user's, else its owner's.
func (a *app) ownerOf(file string, owner int64) (person, error) {
	if a.user != "" {
		who, err := a.whoToPair()
		if err == nil && owner != 0 && owner != who.uid {
			a.Say("%s: belongs to the uid %d, and is taken for %s's", file, owner, who.name)
		}
		return who, err
	}
	if owner == 0 {
		return person{}, cli.WithHint(cli.ExitError, fmt.Errorf("%s: belongs to root, which does not tell whose it is", file), "name the user with --user NAME")
	}
	who, err := a.find(strconv.FormatInt(owner, 10))
	if err != nil {
		return person{}, fmt.Errorf("%s: belongs to %w", file, err)
	}
	return who, nil
}

// importFile takes one file over.
func (a *app) importFile(ctx context.Context, store otpstore.Store, file string, replace bool) (who person, g otp.Google, err error) {
	g, owner, err := readGoogle(file)
	if err != nil {
		return who, g, err
	}
	if who, err = a.ownerOf(file, owner); err != nil {
		return who, g, err
	}
	_, err = enrollable(store, "", who, enrollOptions{replace: replace})
	if err != nil {
		return who, g, fmt.Errorf("%s: %w", file, err)
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	v := otpstore.Authenticator{Parameters: g.Parameters, Secret: g.Secret, Window: g.Window, Next: g.Next, Enrolled: a.now().Unix()}
	if err := store.Import(ctx, who.name, who.uid, v, g.Scratch); err != nil {
		return who, g, fmt.Errorf("%s: %w", file, err)
	}
	a.audit("enrolled %s (%s, from %s)", who.name, g.Kind, file)
	for _, note := range g.Notes {
		a.Say("%s: %s", file, note)
	}
	return who, g, nil
}
