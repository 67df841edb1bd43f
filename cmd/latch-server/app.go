package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newApp(p *program) *cobra.Command {
	return group("app", "make and change applications",
		newAppAdd(p), newAppList(p), newAppSet(p), newAppRemove(p), newAppSecret(p), newAppWebhook(p))
}

// appOptions are what an application can be given; flags that were not named change nothing.
type appOptions struct {
	name, image, email, phone, twoFactor, lock string
	openByAPI, pairByName, apiUser             string
}

func (o *appOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.image, "image", "", "address of a picture")
	c.Flags().StringVar(&o.email, "contact-email", "", "shown to people")
	c.Flags().StringVar(&o.phone, "contact-phone", "", "shown to people")
	c.Flags().StringVar(&o.twoFactor, "two-factor", "", "one-time token: disabled, opt_in or mandatory")
	c.Flags().StringVar(&o.lock, "lock-on-request", "", "close after use: disabled, opt_in or mandatory")
	c.Flags().StringVar(&o.openByAPI, "open-by-api", "", "yes: whoever holds its secret may open latches; default no")
	c.Flags().StringVar(&o.apiUser, "api-user", "", "API user that may list and change it, by name; none takes it back")
	c.Flags().StringVar(&o.pairByName, "pair-by-name", "", "yes: it may pair people without their code; default no")
}

func (o *appOptions) change(c *cobra.Command) (ch store.ApplicationChange, err error) {
	for flag, to := range map[string]struct {
		value *string
		field **string
	}{
		"name": {&o.name, &ch.Name}, "image": {&o.image, &ch.ImageURL},
		"contact-email": {&o.email, &ch.ContactEmail}, "contact-phone": {&o.phone, &ch.ContactPhone},
	} {
		if c.Flags().Changed(flag) {
			*to.field = to.value
		}
	}
	if ch.TwoFactor, err = modeFlag(c, "two-factor"); err != nil {
		return ch, err
	}
	if ch.LockOnUse, err = modeFlag(c, "lock-on-request"); err != nil {
		return ch, err
	}
	if ch.OpenByAPI, err = yesNoFlag(c, "open-by-api"); err != nil {
		return ch, err
	}
	ch.PairByName, err = yesNoFlag(c, "pair-by-name")
	return ch, err
}

func newAppAdd(p *program) *cobra.Command {
	var o appOptions
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "make an application and its first secret",
		Long: `add makes an application: what hosts sign their questions as. Its id and secret belong in
latch.conf as app_id and secret_key. The secret is shown once; app secret add makes more.
` + cli.ExitHelp,
		Example: "  latch-server app add servers --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ch, err := o.change(c)
			if err != nil {
				return err
			}
			return p.addApp(c.Context(), args[0], ch, o.apiUser)
		},
	}
	o.flags(c)
	return c
}

func (p *program) addApp(ctx context.Context, name string, ch store.ApplicationChange, apiUser string) error {
	return p.withStore(func(s store.Backend) error {
		owner, err := ownerOf(s, apiUser)
		if err != nil {
			return err
		}
		a := store.Application{Name: name, Owner: orZero(owner), ImageURL: orZero(ch.ImageURL), ContactEmail: orZero(ch.ContactEmail),
			ContactPhone: orZero(ch.ContactPhone), TwoFactor: orZero(ch.TwoFactor), LockOnUse: orZero(ch.LockOnUse),
			OpenByAPI: orZero(ch.OpenByAPI), PairByName: orZero(ch.PairByName)}
		a, secret, err := s.AddApplication(ctx, a)
		if err != nil {
			return err
		}
		if (!a.OpenByAPI || !a.PairByName) && !p.JSON {
			p.Hint("opening and pairing by the API are off; latch-server app set %q --open-by-api=yes --pair-by-name=yes allows them", a.Name)
		}
		return p.reportCredentials("app_id", a.ID, secret, a.Name)
	})
}

// ownerOf finds the API user of a name; nil for "", and 0 for "none".
func ownerOf(s store.Backend, name string) (*int64, error) {
	var row int64
	if name == "" {
		return nil, nil
	}
	if name == "none" {
		return &row, nil
	}
	list, err := s.APIUsers()
	if err != nil {
		return nil, err
	}
	for _, u := range list {
		if u.Name == name {
			return &u.Row, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", store.ErrNoAPIUser, name)
}

func newAppList(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list applications", Long: "list shows every application, never a secret.\n" + cli.ExitHelp, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return p.withStore(func(s store.Backend) error {
				list, err := s.Applications(0)
				if err != nil {
					return err
				}
				rows := make([]cli.Row, 0, len(list))
				for _, a := range list {
					rows = append(rows, cli.Row{
						{Name: "app_id", Value: a.ID}, {Name: "name", Value: a.Name}, {Name: "two_factor", Value: a.TwoFactor.String()},
						{Name: "lock_on_request", Value: a.LockOnUse.String()}, {Name: "open_by_api", Value: a.OpenByAPI}, {Name: "pair_by_name", Value: a.PairByName},
						{Name: "contact_email", Value: a.ContactEmail}, {Name: "contact_phone", Value: a.ContactPhone}, {Name: "image", Value: a.ImageURL},
					})
				}
				return p.Table("applications", rows)
			})
		},
	}
}

func newAppSet(p *program) *cobra.Command {
	var o appOptions
	c := &cobra.Command{
		Use: "set APP", Short: "change an application", Long: "set changes what its flags name; APP is an id or a name.\n" + cli.ExitHelp,
		Example: "  latch-server app set servers --two-factor=mandatory --open-by-api=no",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ch, err := o.change(c)
			if err != nil {
				return err
			}
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				if ch.Owner, err = ownerOf(s, o.apiUser); err != nil {
					return err
				}
				if err := s.ChangeApplication(c.Context(), a.Row, ch); err != nil {
					return err
				}
				return p.Report(map[string]any{"app_id": a.ID}, "changed %s", a.Name)
			})
		},
	}
	o.flags(c)
	c.Flags().StringVar(&o.name, "name", "", "new name")
	return c
}

func newAppRemove(p *program) *cobra.Command {
	var yes bool
	return yesOption(&cobra.Command{
		Use: "remove APP", Short: "remove an application; its hosts get an error from then on",
		Long: `remove makes the application's secrets useless at once. Its history stays. It says how many paired people
its hosts would refuse from then on, and asks.
` + cli.ExitHelp, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				if err := p.consentToApp(c.Context(), s, a, yes, "its hosts get an error from then on"); err != nil {
					return err
				}
				if err := s.RemoveApplication(c.Context(), a.Row); err != nil {
					return err
				}
				return p.Report(map[string]any{"app_id": a.ID}, "removed %s", a.Name)
			})
		},
	}, &yes)
}

func (p *program) withApp(idOrName string, fn func(store.Backend, store.Application) error) error {
	return p.withStore(func(s store.Backend) error {
		a, err := s.Application(idOrName)
		if err != nil {
			return err
		}
		return fn(s, a)
	})
}

func newAppSecret(p *program) *cobra.Command {
	add := &cobra.Command{
		Use: "add APP NAME", Short: "make one more secret, shown once", Args: cobra.ExactArgs(2),
		Long: "add makes a secret for one host, so that it can be revoked without the others.\n" + cli.ExitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				secret, err := s.AddSecret(c.Context(), a.Row, args[1])
				if err != nil {
					return err
				}
				return p.reportCredentials("app_id", a.ID, secret, args[1])
			})
		},
	}
	list := &cobra.Command{
		Use: "list APP", Short: "list secrets by name with their last use", Args: cobra.ExactArgs(1),
		Long: "list shows names, never a secret. The last use may be up to an hour behind.\n" + cli.ExitHelp,
		RunE: func(_ *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				list, err := s.Secrets(a.Row)
				if err != nil {
					return err
				}
				rows := make([]cli.Row, 0, len(list))
				for _, k := range list {
					rows = append(rows, cli.Row{{Name: "name", Value: k.Name}, {Name: "created", Value: rfc3339(k.Created)}, {Name: "last_use", Value: rfc3339(k.LastUse)}, {Name: "ends", Value: rfc3339(k.Ends)}, {Name: "revoked", Value: k.Revoked}})
				}
				return p.Table("secrets", rows)
			})
		},
	}
	var yes bool
	revoke := yesOption(&cobra.Command{
		Use: "revoke APP NAME", Short: "make a secret useless at once", Args: cobra.ExactArgs(2),
		Long: "revoke makes a secret useless from the next request on. It asks before the last one goes.\n" + cli.ExitHelp,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				if err := p.consentToRevoke(c.Context(), s, a, args[1], yes); err != nil {
					return err
				}
				if err := s.RevokeSecret(c.Context(), a.Row, args[1]); err != nil {
					return err
				}
				return p.Report(map[string]any{"app_id": a.ID, "name": args[1]}, "revoked secret %s of %s", args[1], a.Name)
			})
		},
	}, &yes)
	return group("secret", "make, list, rotate and revoke an application's secrets", add, list, newSecretRotate(p), revoke)
}

func newSecretRotate(p *program) *cobra.Command {
	var overlap time.Duration
	c := &cobra.Command{
		Use: "rotate APP NAME", Short: "make a new secret in the place of one, shown once", Args: cobra.ExactArgs(2),
		Long: `rotate makes a new secret under the same name. The old one goes on for as long as --overlap says, so that the
host can be given the new one meanwhile; list shows when it ends.
` + cli.ExitHelp,
		Example: "  latch-server app secret rotate servers web1 --overlap 48h",
		RunE: func(c *cobra.Command, args []string) error {
			if overlap < 0 || overlap > maxOverlap {
				return cli.Usage("--overlap takes a time from 0 to %s, not %s", maxOverlap, overlap)
			}
			return p.withApp(args[0], func(s store.Backend, a store.Application) error {
				secret, err := s.RotateSecret(c.Context(), a.Row, args[1], time.Now().Add(overlap).UnixMilli())
				if err != nil {
					return err
				}
				return p.reportCredentials("app_id", a.ID, secret, args[1])
			})
		},
	}
	c.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the old one goes on")
	return c
}

// maxOverlap bounds how long a rotated secret goes on: a year.
const maxOverlap = 365 * 24 * time.Hour

func orZero[T any](v *T) (zero T) {
	if v == nil {
		return zero
	}
	return *v
}

// rfc3339 writes a time of the store, "" for never.
func rfc3339(millis int64) string {
	if millis == 0 {
		return ""
	}
	return time.UnixMilli(millis).UTC().Format(time.RFC3339)
}
