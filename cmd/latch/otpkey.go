package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
)

type keyOptions struct {
	create, backedUp bool
	compare          string
}

func newOTPKey(a *app) *cobra.Command {
	var o keyOptions
	c := &cobra.Command{
		Use: "key", Short: "show the key of the records, and note that it is in the backup", Args: cobra.NoArgs,
		Long: `key shows the fingerprint of the key that seals the users' records, how many need it, and whether somebody
said that it is in a backup. Without the key no code passes, and nobody can make another that opens the
records: copy the file to where a backup of the records does not lie, and say so with --backed-up. To try
a copy, hand it to --compare; one that is right counts as said. latch doctor warns as long as nobody did,
and again after latch otp rekey. To restore the key put the file back, root's and with mode 0600.

--create makes the key where there is none, as the first enrolment would, and prints its name if it did.
` + cli.ExitHelp,
		Example: "  sudo latch otp key\n  sudo latch otp key --backed-up\n  ssh vault cat web1/otp.key | sudo latch otp key --compare -",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.create && (o.backedUp || o.compare != "") || o.backedUp && o.compare != "" {
				return cli.Usage("take one of --create, --backed-up and --compare")
			}
			return a.key(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.create, "create", false, "make the key if there is none")
	f.BoolVar(&o.backedUp, "backed-up", false, "note that the key is in a backup")
	f.StringVar(&o.compare, "compare", "", "is this `FILE` (- for standard input) a copy of the key?")
	return c
}

func (a *app) key(ctx context.Context, o keyOptions) error {
	if o.create {
		return a.createKey(ctx)
	}
	store, _, err := a.codes()
	if err != nil {
		return err
	}
	if o.compare != "" {
		if err := a.compareKey(store, o.compare); err != nil {
			return err
		}
	}
	if o.backedUp || o.compare != "" {
		ctx, cancel := storing(ctx)
		defer cancel()
		if err := store.Confirm(ctx, a.caller()); err != nil {
			return err
		}
	}
	return a.showKey(store)
}

func (a *app) showKey(store otpstore.Store) error {
	n, err := store.Sealed()
	if err != nil {
		return err
	}
	print, err := store.Fingerprint()
	if errors.Is(err, otpstore.ErrNoKey) && n == 0 {
		return cli.WithHint(cli.ExitError, fmt.Errorf("there is no %s, and no record that needs it", store.KeyFile), "to make it say --create")
	}
	if err != nil {
		return err
	}
	b, err := store.Backup()
	if err != nil {
		return err
	}
	row := cli.Row{{Name: "file", Value: store.KeyFile}, {Name: "fingerprint", Value: print}, {Name: "records", Value: n},
		{Name: "backed_up", Value: nil}, {Name: "by", Value: nil}}
	if b != nil {
		row[3].Value, row[4].Value = instant(b.At), b.By
	}
	return a.Table("key", []cli.Row{row})
}

// compareKey refuses what is no copy of the key.
func (a *app) compareKey(store otpstore.Store, from string) error {
	data, err := a.readInput(from)
	if err != nil {
		return err
	}
	name := from
	if name == "-" {
		name = "standard input"
	}
	theirs, err := otpstore.FingerprintOf(name, data)
	if err != nil {
		return err
	}
	ours, err := store.Fingerprint()
	if errors.Is(err, otpstore.ErrNoKey) {
		return cli.WithHint(cli.ExitError, fmt.Errorf("there is no %s to compare with; the copy has the fingerprint %s", store.KeyFile, theirs),
			"if it is the key that is lost, put it there, root's and with mode 0600")
	}
	if err == nil && ours != theirs {
		err = cli.WithHint(cli.ExitError, fmt.Errorf("%s is another key: %s, not %s", name, theirs, ours), "copy the key again, after every latch otp rekey")
	}
	return err
}

// createKey works before latch setup, too: make install calls it.
func (a *app) createKey(ctx context.Context) error {
	store, _, err := a.codes()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, config.ErrNotSetUp) {
		store, err = adapters.CodeStore(config.Defaults()), nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := storing(ctx)
	defer cancel()
	created, err := store.CreateKey(ctx)
	if err != nil {
		return err
	}
	if !created && !a.JSON {
		return nil
	}
	return a.Report(map[string]any{"file": store.KeyFile, "created": created}, "%s", store.KeyFile)
}

func newOTPRekey(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rekey", Short: "seal every record with a new key", Args: cobra.NoArgs,
		Long: `rekey draws a new key and seals every user's record with it, while logins go on. Interrupted, it goes on
where it was when it is called again. Copies of the old key open nothing of what is here afterwards, so
the new one has to go into the backup. Records that are not sealed stay as they are.
` + cli.ExitHelp,
		Example: "  sudo latch otp rekey",
		RunE: func(c *cobra.Command, _ []string) error {
			store, conf, err := a.codes()
			if err != nil {
				return err
			}
			n, err := store.Rekey(c.Context())
			if err != nil {
				return err
			}
			a.Say("%s has changed; keep it in the backup, and say so with latch otp key --backed-up", conf.OTPKey)
			return a.Report(map[string]any{"records": n}, "records sealed with the new key: %d", n)
		},
	}
}

func newOTPEncrypt(a *app) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "encrypt", Short: "seal records that lie in the clear", Args: cobra.NoArgs,
		Long: `encrypt seals what otp_encrypt = no left in the clear: the record of the user that --user names, or every
record with --all. What is sealed already stays as it is. Afterwards otp_refuse_clear = yes can be set.
Seeds that lay in the clear are in every backup of that time; enrol again where that counts.
` + cli.ExitHelp,
		Example: "  sudo latch otp encrypt --all",
		RunE: func(c *cobra.Command, _ []string) error {
			if all == (a.user != "") {
				return cli.Usage("encrypt takes --all, or --user NAME")
			}
			return a.encrypt(c.Context(), all)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "the records of all users")
	return c
}

func (a *app) encrypt(ctx context.Context, all bool) error {
	store, c, err := a.codes()
	if err != nil {
		return err
	}
	store.Clear = false
	if err := a.readyKey(ctx, store); err != nil {
		return err
	}
	users, err := store.Users()
	if !all {
		var who person
		_, _, who, err = a.codesOf(a.who)
		users = []string{who.name}
	}
	if err != nil {
		return err
	}
	n := 0
	for _, user := range users {
		sealed, err := store.Encrypt(ctx, user)
		switch {
		case all && errors.Is(err, otpstore.ErrNotEnrolled): // removed meanwhile
		case err != nil:
			return err
		case sealed:
			n++
		}
	}
	if !c.OTPEncrypt {
		a.Say("%s has otp_encrypt = no, so who is enrolled from now on is in the clear again", c.Path)
	}
	return a.Report(map[string]any{"records": n}, "records sealed: %d", n)
}
