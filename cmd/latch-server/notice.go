package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/store"
)

func newNotice(p *program) *cobra.Command {
	return group("notice", "how people's notices are sent", newNoticeShow(p), newNoticeMail(p), newNoticePrivate(p), newNoticeContact(p))
}

func newNoticeShow(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "show how notices are sent", Args: cobra.NoArgs,
		Long: "show lists the mail server and the other settings, never a password.\n" + cli.ExitHelp,
		RunE: func(*cobra.Command, []string) error {
			return p.withStore(func(s store.Backend) error {
				m, set, err := s.MailServer()
				if err != nil {
					return err
				}
				private, errPrivate := s.Setting(store.SettingPrivateReceivers)
				contact, errContact := s.Setting(store.SettingPushContact)
				if err := errors.Join(errPrivate, errContact); err != nil {
					return err
				}
				fields := map[string]any{"private": private == "yes", "contact": contact, "mail": set}
				lines := []string{"private = " + yesNo(private == "yes"), "contact = " + contact, "mail = " + yesNo(set)}
				if set {
					fields["host"], fields["port"], fields["tls"], fields["user"], fields["from"] = m.Host, m.Port, m.TLS, m.User, m.From
					lines = append(lines, "host = "+m.Host, fmt.Sprintf("port = %d", m.Port), "tls = "+m.TLS, "user = "+m.User, "from = "+m.From)
				}
				return p.Report(fields, "%s", strings.Join(lines, "\n"))
			})
		},
	}
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// mailOptions are the flags of notice mail.
type mailOptions struct {
	server       store.MailServer
	passwordFile string
	off          bool
}

// mailPorts are the usual ports by how the connection is protected.
var mailPorts = map[string]int{store.MailStartTLS: 587, store.MailTLS: 465, store.MailPlain: 25}

func newNoticeMail(p *program) *cobra.Command {
	var o mailOptions
	c := &cobra.Command{
		Use: "mail", Short: "name the mail server that notices are handed to", Args: cobra.NoArgs,
		Long: `mail keeps where e-mail is handed in, sealed. People then add their address on their notices page and try it
there. The password is never an argument: --password-file names a file that only its owner can read, - is
standard input. A password goes over an encrypted connection alone, and to a server on this machine.
` + cli.ExitHelp,
		Example: "  latch-server notice mail --host mail.example.org --user latch --password-file /root/mail --from latch@example.org\n" +
			"  latch-server notice mail --host localhost --tls none --from latch@example.org\n  latch-server notice mail --off",
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := o.read(c.InOrStdin())
			if err != nil {
				return err
			}
			return p.withStore(func(s store.Backend) error {
				if err := s.SetMailServer(c.Context(), m); err != nil {
					return err
				}
				if m == nil {
					return p.Report(map[string]any{"mail": false}, "no notices go by e-mail any more")
				}
				return p.Report(map[string]any{"mail": true, "host": m.Host, "port": m.Port}, "notices by e-mail go through %s, port %d", m.Host, m.Port)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&o.server.Host, "host", "", "name of the mail server")
	f.IntVar(&o.server.Port, "port", 0, "its port; by default 587, 465 with --tls tls, 25 with --tls none")
	f.StringVar(&o.server.TLS, "tls", store.MailStartTLS, "starttls, tls (from the start of the connection) or none")
	f.StringVar(&o.server.User, "user", "", "sign in as this user")
	f.StringVar(&o.passwordFile, "password-file", "", "read the user's password from `FILE`")
	f.StringVar(&o.server.From, "from", "", "the address that notices come from")
	f.BoolVar(&o.off, "off", false, "send no notices by e-mail")
	return c
}

// read returns the settings, nil with --off. The file is read before root is given up.
func (o mailOptions) read(stdin io.Reader) (*store.MailServer, error) {
	m := o.server
	usual, known := mailPorts[m.TLS]
	if m.Port == 0 {
		m.Port = usual
	}
	switch local := m.Host == "localhost" || m.Host == "127.0.0.1" || m.Host == "::1"; {
	case o.off && (m.Host != "" || m.User != "" || o.passwordFile != "" || m.From != ""):
		return nil, cli.Usage("--off goes with no other flag")
	case o.off:
		return nil, nil
	case m.Host == "" || m.From == "":
		return nil, cli.Usage("--host and --from are needed, or --off")
	case !known:
		return nil, cli.Usage("--tls takes starttls, tls or none, not %q", m.TLS)
	case m.Port < 1 || m.Port > 65535:
		return nil, cli.Usage("--port takes a number from 1 to 65535, not %d", m.Port)
	case notify.CheckMailAddress(m.From) != nil:
		return nil, cli.Usage("--from %q is not an e-mail address", m.From)
	case (m.User == "") != (o.passwordFile == ""):
		return nil, cli.Usage("--user and --password-file go together")
	case m.User != "" && m.TLS == store.MailPlain && !local:
		return nil, cli.Usage("with --tls none the password would be seen on its way to %s", m.Host)
	}
	if o.passwordFile == "" {
		return &m, nil
	}
	var err error
	m.Password, err = readPassword(o.passwordFile, stdin)
	return &m, err
}

// maxPassword bounds a password's file, in bytes.
const maxPassword = 4096

func readPassword(file string, stdin io.Reader) (string, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return "", err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return "", cli.WithHint(cli.ExitError, fmt.Errorf("%q can be read by others than its owner", file), "chmod 600 the file")
		}
		stdin = f
	}
	data, err := io.ReadAll(io.LimitReader(stdin, maxPassword))
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(data), "\r\n")
	if password == "" {
		return "", cli.Usage("%s holds no password", file)
	}
	return password, nil
}

func newNoticePrivate(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "private yes|no", Short: "allow receivers in this machine's own networks", Args: cobra.ExactArgs(1),
		Long: `private says whether notices may go to addresses of this machine and of private networks, and there by plain
http as well. The default is no: people name receivers, and through them could reach what only this machine
can. Say yes where the people are trusted and the ntfy server or the webhook is in the same network.
` + cli.ExitHelp,
		Example: "  latch-server notice private yes",
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] != "yes" && args[0] != "no" {
				return cli.Usage("private takes yes or no, not %q", args[0])
			}
			return p.keepSetting(c.Context(), store.SettingPrivateReceivers, "private", args[0])
		},
	}
}

func newNoticeContact(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "contact ADDRESS", Short: "tell push services whom to write to", Args: cobra.ExactArgs(1),
		Long: `contact keeps an address, mailto:… or https://…, that goes with every message to the push services of browsers:
their operators write to it when something is wrong. Without one they get the server's own address.
` + cli.ExitHelp,
		Example: "  latch-server notice contact mailto:ops@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			mail, isMail := strings.CutPrefix(args[0], "mailto:")
			if isMail && notify.CheckMailAddress(mail) != nil || !isMail && notify.CheckURL(args[0], false) != nil {
				return cli.Usage("%q is neither mailto:NAME@HOST nor https://…", args[0])
			}
			return p.keepSetting(c.Context(), store.SettingPushContact, "contact", args[0])
		},
	}
}

func (p *program) keepSetting(ctx context.Context, setting, name, value string) error {
	return p.withStore(func(s store.Backend) error {
		if err := s.SetSetting(ctx, setting, value); err != nil {
			return err
		}
		return p.Report(map[string]any{name: value}, "%s = %s", name, value)
	})
}
