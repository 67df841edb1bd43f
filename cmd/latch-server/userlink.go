package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/pages"
	"github.com/latch-linux/latch/pkg/server/store"
)

// errNoURL is why no link can be made.
var errNoURL = errors.New("the server does not know its own address, and links are made from it")

func newUserReset(p *program) *cobra.Command {
	var factors bool
	c := &cobra.Command{
		Use: "reset NAME", Short: "make a link by which a person chooses a new password", Args: cobra.ExactArgs(1),
		Long: `reset prints an address, and a QR code of it, that works once within a day: whoever opens it chooses a new
password for that person. It is the way back in for who has lost everything, the only admin included. The
latches stay as they are. A passkey or an authenticator that is still enrolled is asked for besides;
--replace-factors forgets them, and then the link alone is enough.
` + cli.ExitHelp,
		Example: "  latch-server user reset ana\n  latch-server user reset admin --replace-factors",
		RunE: func(c *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				u, err := s.User(args[0])
				if err != nil {
					return err
				}
				l := store.Link{Purpose: store.LinkReset, User: u.Row}
				if factors {
					l.Data = store.LinkReplaceFactors
				}
				return p.reportLink(c.Context(), s, u, l, store.ResetLife, nil, "")
			})
		},
	}
	c.Flags().BoolVar(&factors, "replace-factors", false, "the person's passkeys and authenticator go when the link is used")
	return c
}

func newUserInvite(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "invite NAME", Short: "make a link by which a new person chooses a password", Args: cobra.ExactArgs(1),
		Long: `invite adds the person, if they are not there yet, and prints an address, and a QR code of it, that works once
within a week: whoever opens it chooses that person's password and is signed in. A second invitation voids
the first. Who has a password already needs latch-server user reset.
` + cli.ExitHelp,
		Example: "  latch-server user invite ana",
		RunE: func(c *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				u, err := s.User(args[0])
				if errors.Is(err, store.ErrNoUser) {
					u, err = s.AddUser(c.Context(), args[0])
				}
				if err != nil {
					return err
				}
				phc, err := s.Password(u.Row)
				if err != nil {
					return err
				}
				if phc != "" {
					return cli.WithHint(cli.ExitError, fmt.Errorf("%q has a password already", u.Name), "for a new one: latch-server user reset NAME")
				}
				return p.invite(c.Context(), s, u, nil, "")
			})
		},
	}
}

// newUserLost does what the button "I lost this phone" does, for whoever calls the admin instead.
func newUserLost(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "lost NAME", Short: "close everything of a person who lost their phone", Args: cobra.ExactArgs(1),
		Long: `lost closes every latch of a person and ends their sessions, passkeys, authenticators and notices to the phone, as
"I lost this phone" does on the pages. A recovery code brings them back, or the link that reset makes.
` + cli.ExitHelp,
		Example: "  latch-server user lost ana",
		RunE: func(c *cobra.Command, args []string) error {
			return p.withStore(func(s store.Backend) error {
				u, err := s.User(args[0])
				if err != nil {
					return err
				}
				if err := s.LosePhone(c.Context(), u.Row, store.Attempt{}); err != nil {
					return err
				}
				return p.Report(map[string]any{"user": u.Name}, "closed everything of %s", u.Name)
			})
		},
	}
}

// invite makes a link by which a new person chooses the first password.
func (p *program) invite(ctx context.Context, s store.Backend, u store.User, fields map[string]any, text string) error {
	return p.reportLink(ctx, s, u, store.Link{Purpose: store.LinkInvite, User: u.Row}, store.InviteLife, fields, text)
}

// reportLink makes a link and prints it below a text, with a QR code for the phone.
func (p *program) reportLink(ctx context.Context, s store.Backend, u store.User, l store.Link, life time.Duration, fields map[string]any, text string) error {
	address, err := s.Setting(store.SettingURL)
	if err != nil {
		return err
	}
	if address == "" {
		return cli.WithHint(cli.ExitError, errNoURL, "say it once: latch-server serve --url https://NAME[:PORT], or init --url")
	}
	ticket, expires, err := s.NewLink(ctx, l, life)
	if err != nil {
		return err
	}
	link := address + pages.LinkPath + ticket
	if fields == nil {
		fields = map[string]any{}
	}
	fields["user"], fields["link"], fields["expires"] = u.Name, link, expires.Format(time.RFC3339)
	picture, err := otp.QRText(link)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.Report(fields, "")
	}
	if text != "" {
		text = cli.Clean(text) + "\n"
	}
	_, err = fmt.Fprintf(p.Out, "%s%s (%s) chooses a password here, once, until %s:\n\n%s\n%s\n", text,
		cli.Clean(u.Name), u.Role, expires.Local().Format("2006-01-02 15:04 MST"), picture, link)
	return err
}

// newUserRole changes what a person may do at the pages.
func newUserRole(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "role NAME person|auditor|admin", Short: "say what a person may do at the pages", Args: cobra.ExactArgs(2),
		Long: `role makes somebody a person (their own latches alone), an auditor (reads the panel) or an admin (changes
things there). The last admin stays one.
` + cli.ExitHelp,
		Example: "  latch-server user role ana auditor",
		RunE: func(c *cobra.Command, args []string) error {
			role, err := store.ParseRole(args[1])
			if err != nil {
				return cli.Usage("%w", err)
			}
			return p.withStore(func(s store.Backend) error {
				u, err := s.User(args[0])
				if err != nil {
					return err
				}
				if err := s.ChangeProfile(c.Context(), u.Row, store.ProfileChange{Role: &role}); err != nil {
					return err
				}
				return p.Report(map[string]any{"user": u.Name, "role": role.String()}, "%s is %s", u.Name, withArticle(role))
			})
		},
	}
}

func withArticle(r store.Role) string {
	if r == store.RolePerson {
		return "a person"
	}
	return fmt.Sprintf("an %s", r)
}
