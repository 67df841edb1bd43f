package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp/otpfile"
)

type importOptions struct {
	replace, dryRun bool
	entry           string
}

func newOTPImport(a *app) *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use: "import FILE…", Short: "take over authenticators of other programs", Args: cobra.MinimumNArgs(1),
		Long: `import takes over authenticators from the files of other programs, so that people keep their phones.
The format is recognized:

  otpauth:// and otpauth-migration:// URIs   one in each line, as a scanner reads them out of QR codes:
                                             of any app that shows one, of Google Authenticator's export
                                             (all of its QR codes), of the export of Latch's app
  Aegis, 2FAS                                JSON exports without a password
  users.oath                                 of pam_oath
  .google_authenticator                      of google-authenticator's PAM module, with its emergency
                                             codes, which pass here as recovery codes

A .google_authenticator is its owner's, and users.oath names the users. Other files name accounts: each goes
to the local user of that name (ana, or ana@HOST of this host). --user names another one; where a file holds
several authenticators --entry chooses one, by its number or name.

A file is taken over as a whole or not at all, and one that cannot be keeps no other from it. --dry-run shows
what would happen and changes nothing. Seeds are never arguments: - reads standard input.

Remove the files and the PAM lines of the other module afterwards: a code would pass there once more. For the
seeds of hardware tokens see latch otp enroll --seed-file.
` + cli.ExitHelp,
		Example: `  sudo latch otp import /home/*/.google_authenticator
  sudo latch otp import --dry-run /etc/users.oath
  zbarimg -q --raw export.png | sudo latch otp import --user ana --entry 'Latch web1:ana' -`,
		RunE: func(c *cobra.Command, files []string) error { return a.importCodes(c.Context(), files, o) },
	}
	c.Flags().BoolVar(&o.replace, "replace", false, "in place of authenticators that the users have")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would happen, and change nothing")
	c.Flags().StringVar(&o.entry, "entry", "", "take over only this one, a `number` or name of an authenticator in the file")
	return c
}

func (a *app) importCodes(ctx context.Context, files []string, o importOptions) error {
	for _, file := range files {
		if strings.HasPrefix(strings.ToLower(file), "otpauth") {
			return cli.WithHint(cli.ExitUsage, errors.New("a seed must not be an argument: every user of this machine could read it"),
				"put it into a file, or name - and type it on standard input; take it out of the shell's history")
		}
	}
	switch {
	case a.user != "" && len(files) > 1:
		return cli.Usage("--user names whose one file is")
	case o.entry != "" && len(files) > 1:
		return cli.Usage("--entry chooses from one file")
	}
	store, c, err := a.codes()
	if err != nil {
		return err
	}
	if !o.dryRun {
		if err := a.readyKey(ctx, store); err != nil {
			return err
		}
	}
	if err := a.importFiles(ctx, store, files, o); err != nil || o.dryRun {
		return err
	}
	a.sayUnused(c, "totp")
	return nil
}

func (a *app) importFiles(ctx context.Context, store otpstore.Store, files []string, o importOptions) error {
	var rows []cli.Row
	var left []string
	from := map[string]string{} // user to file
	formats := map[otpfile.Format]bool{}
	for _, file := range files {
		format, list, err := a.importFile(ctx, store, file, from, o)
		if err != nil && len(files) == 1 {
			return err
		}
		if err != nil {
			left = append(left, file)
			a.sayWhy(err)
			list = []planned{{}}
		}
		formats[format] = true
		for _, p := range list {
			rows = append(rows, a.importRow(file, p, o, err))
		}
	}
	if err := a.Table("files", rows); err != nil {
		return err
	}
	if len(left) > 0 {
		return &undoneError{"not imported: " + strings.Join(left, ", ")}
	}
	if o.dryRun {
		a.Say("nothing was changed (--dry-run)")
		return nil
	}
	a.Say("when this works, remove the files: they hold the seeds%s", modules(formats))
	return nil
}

// modules names the PAM lines that would take the same codes once more.
func modules(formats map[otpfile.Format]bool) string {
	text := ""
	if formats[otpfile.Google] {
		text += "; and the PAM lines with pam_google_authenticator.so"
	}
	if formats[otpfile.UsersOATH] {
		text += "; and the PAM lines with pam_oath.so"
	}
	return text
}

// sayWhy tells of an error that does not end the command, and what to do.
func (a *app) sayWhy(err error) {
	a.Say("%v", err)
	var known *cli.Error
	if errors.As(err, &known) && known.Hint != "" {
		a.Hint("%s", known.Hint)
	}
}

// importRow is what came of an authenticator, or of a file that could not be taken over; scripts get the error as well.
func (a *app) importRow(file string, p planned, o importOptions, err error) cli.Row {
	code := ""
	if p.entry.Kind != "" {
		code = describe(p.entry.Parameters)
	}
	row := cli.Row{{Name: "file", Value: file}, {Name: "user", Value: p.who.name}, {Name: "entry", Value: p.entry.Name()},
		{Name: "authenticator", Value: string(p.entry.Kind)}, {Name: "code", Value: code},
		{Name: "recovery_codes", Value: len(p.entry.Recovery)}, {Name: "imported", Value: err == nil && !o.dryRun}}
	if a.JSON && err != nil {
		row = append(row, cli.Cell{Name: "error", Value: err.Error()})
	}
	return row
}

// importFile takes one file over, or says what would come of it.
func (a *app) importFile(ctx context.Context, store otpstore.Store, file string, from map[string]string, o importOptions) (otpfile.Format, []planned, error) {
	s, err := a.readSeeds(file)
	if err != nil {
		return "", nil, err
	}
	list, err := a.plan(s, o)
	for _, p := range list {
		if err != nil {
			break
		}
		if other, twice := from[p.who.name]; twice {
			err = fmt.Errorf("%s has an authenticator in %s as well", p.who.name, other)
		} else {
			_, err = enrollable(store, "", p.who, enrollOptions{replace: o.replace})
		}
		err = p.at(err)
	}
	if err == nil && !o.dryRun {
		err = a.storeAll(ctx, store, list)
	}
	if err != nil {
		return s.format, nil, within(s.name, err)
	}
	for _, p := range list {
		from[p.who.name] = s.name
		if !o.dryRun {
			a.audit("enrolled %s (%s, from %s)", p.who.name, p.entry.Kind, s.name)
		}
		for _, note := range p.entry.Notes {
			a.Say("%s: %s", s.name, note)
		}
	}
	return s.format, list, nil
}

// within names the file in an error, and keeps status and hint.
func within(file string, err error) error {
	var known *cli.Error
	if errors.As(err, &known) {
		return cli.WithHint(known.Status, fmt.Errorf("%s: %w", file, err), known.Hint)
	}
	return fmt.Errorf("%s: %w", file, err)
}

func (a *app) storeAll(ctx context.Context, store otpstore.Store, list []planned) error {
	var all []otpstore.Enrolment
	for _, p := range list {
		window := p.entry.Window
		if window == otpfile.UsualWindow {
			window = otpstore.UsualWindow
		}
		v := otpstore.Authenticator{Parameters: p.entry.Parameters, Secret: p.entry.Secret, Window: window, Next: p.entry.Next, Enrolled: a.now().Unix()}
		all = append(all, otpstore.Enrolment{User: p.who.name, UID: p.who.uid, Authenticator: v, Recovery: p.entry.Recovery})
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	return store.Import(ctx, all...)
}

// seedFile is a file of seeds that was read.
type seedFile struct {
	name    string // for messages
	owner   int64  // uid, -1 for standard input
	data    []byte
	format  otpfile.Format
	entries []otpfile.Entry
}

// readSeeds reads a file of authenticators.
func (a *app) readSeeds(file string) (seedFile, error) {
	s, err := a.openSeeds(file)
	if err != nil {
		return s, err
	}
	if s.format, s.entries, err = otpfile.Read(s.data); err != nil {
		return s, fmt.Errorf("%s: %w", s.name, err)
	}
	return s, nil
}

// seedLimit bounds a file of seeds; apps export pictures as well.
const seedLimit = 16 << 20

// openSeeds reads a file that may belong to a user, or standard input: no link is followed.
func (a *app) openSeeds(file string) (seedFile, error) {
	s := seedFile{name: file, owner: -1}
	var err error
	if file == "-" {
		s.name = "standard input"
		s.data, err = io.ReadAll(io.LimitReader(a.in, seedLimit+1))
	} else {
		s.data, s.owner, err = readUsersFile(file, seedLimit+1)
	}
	if err == nil && len(s.data) > seedLimit {
		err = fmt.Errorf("%s: more than %d bytes", s.name, seedLimit)
	}
	return s, err
}
