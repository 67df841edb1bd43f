package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/latch-linux/latch/pkg/server/store"
)

// mail sends a notice as an e-mail through the server that the settings name.
func (s *Sender) mail(ctx context.Context, d store.Delivery) store.Result {
	server, ok, err := s.store.MailServer()
	if err != nil {
		s.log.Warn("mail settings", "error", err)
		return store.Result{Problem: ProblemSettings}
	}
	if !ok {
		return store.Result{Problem: ProblemNoMail}
	}
	if CheckMailAddress(d.Channel.Settings.Address) != nil {
		return store.Result{Problem: ProblemSettings, Gone: true}
	}
	letter, err := s.letter(server, d)
	if err != nil {
		return store.Result{Problem: ProblemSettings, Drop: true}
	}
	err = s.handIn(ctx, server, d.Channel.Settings.Address, letter)
	switch {
	case err == nil:
		return store.Result{}
	case ctx.Err() != nil: // which closed the connection
		return store.Result{Problem: ProblemTimeout}
	}
	// What a mail server says can name the account; the word is enough here.
	return mailResult(err)
}

// errNoTLS is a mail server that offers no encryption where the settings ask for it.
var errNoTLS = errors.New("the mail server offers no STARTTLS")

// recipientError is a mail server that does not take the address.
type recipientError struct{ error }

func (e recipientError) Unwrap() error { return e.error }

func mailResult(err error) store.Result {
	var said *textproto.Error
	var recipient recipientError
	switch {
	case errors.Is(err, errNoTLS):
		return store.Result{Problem: ProblemNoTLS}
	case errors.Is(err, errNoAuth), errors.Is(err, smtp.ErrUnencrypted):
		return store.Result{Problem: ProblemNoAuth}
	case !errors.As(err, &said):
		return store.Result{Problem: problemOf(err)}
	case said.Code/100 == 4:
		return store.Result{Problem: ProblemBusy}
	case errors.As(err, &recipient):
		return store.Result{Problem: ProblemMissing}
	case said.Code == 530, said.Code == 534, said.Code == 535, said.Code == 538:
		return store.Result{Problem: ProblemDenied}
	}
	return store.Result{Problem: ProblemRejected, Drop: true}
}

// handIn gives a letter to the mail server, within ctx.
func (s *Sender) handIn(ctx context.Context, server store.MailServer, to string, letter []byte) error {
	dialer := net.Dialer{Timeout: dialLimit}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(server.Host, strconv.Itoa(server.Port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if end, ok := ctx.Deadline(); ok {
		conn.SetDeadline(end)
	}
	conf := &tls.Config{ServerName: server.Host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if server.TLS == store.MailTLS {
		encrypted := tls.Client(conn, conf)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return err
		}
		conn = encrypted
	}
	c, err := smtp.NewClient(conn, server.Host)
	if err != nil {
		return err
	}
	if err := s.greet(c, server, conf); err != nil {
		return err
	}
	return post(c, server.From, to, letter)
}

// post gives a letter to a mail server that knows who we are.
func post(c *smtp.Client, from, to string, letter []byte) error {
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return recipientError{err}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(letter); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	c.Quit() // the letter was taken; what is said now changes nothing
	return nil
}

// greet encrypts the connection and signs in, as the settings say. A password never goes over an open connection, this
// machine's own excepted.
func (s *Sender) greet(c *smtp.Client, server store.MailServer, conf *tls.Config) error {
	if err := c.Hello(heloName(s.url)); err != nil {
		return err
	}
	if server.TLS == store.MailStartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errNoTLS
		}
		if err := c.StartTLS(conf); err != nil {
			return err
		}
	}
	if server.User == "" {
		return nil
	}
	return c.Auth(&offeredAuth{server: server})
}

// errNoAuth is a mail server that offers no way to sign in with what the settings hold.
var errNoAuth = errors.New("the mail server offers none of CRAM-MD5, PLAIN, LOGIN and XOAUTH2")

// offeredAuth signs in by the first mechanism that the mail server offers: Office 365 has LOGIN and no PLAIN, others have
// CRAM-MD5 alone. XOAUTH2 comes last, because its password is an access token.
type offeredAuth struct {
	server store.MailServer
	smtp.Auth
}

// Start implements smtp.Auth.
func (a *offeredAuth) Start(info *smtp.ServerInfo) (string, []byte, error) {
	user, password, host := a.server.User, a.server.Password, a.server.Host
	offered := func(mechanism string) bool {
		return slices.ContainsFunc(info.Auth, func(name string) bool { return strings.EqualFold(name, mechanism) })
	}
	switch {
	case offered("CRAM-MD5"):
		a.Auth = smtp.CRAMMD5Auth(user, password)
	case offered("PLAIN"):
		a.Auth = smtp.PlainAuth("", user, password, host, false)
	case offered("LOGIN"):
		a.Auth = smtp.LoginAuth(user, password, host, false)
	case offered("XOAUTH2") && info.TLS:
		a.Auth = smtp.XOAuth2Auth(user, password)
	default:
		return "", nil, errNoAuth
	}
	return a.Auth.Start(info)
}

// heloName is how the server introduces itself: by the host of its own address.
func heloName(url string) string {
	_, host, _ := strings.Cut(url, "://")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "" {
		return "localhost"
	}
	return host
}

// letter writes the e-mail. The library encodes header values, so that no text of a host becomes a header.
func (s *Sender) letter(server store.MailServer, d store.Delivery) ([]byte, error) {
	m := s.write(d)
	letter := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(letter.FromFormat("Latch", server.From), letter.To(d.Channel.Settings.Address)); err != nil {
		return nil, err
	}
	letter.Subject(m.Title)
	letter.SetDateWithValue(s.now().UTC())
	// One name for one notice: a mail store that knows it already can leave the second one out.
	letter.SetMessageIDWithValue(fmt.Sprintf("%s.%d@%s", m.Tag, d.Channel.Row, heloName(s.url)))
	if d.Language != "" {
		letter.SetGenHeader("Content-Language", d.Language)
	}
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	text := m.text() + "\n"
	for _, link := range [][2]string{{m.CloseLabel, m.close}, {m.OpenLabel, m.open}} {
		if link[1] != "" {
			text += "\n" + link[0] + ":\n" + s.absolute(link[1]) + "\n"
		}
	}
	letter.SetBodyString(gomail.TypeTextPlain, text)
	var b bytes.Buffer
	_, err := letter.WriteTo(&b)
	return b.Bytes(), err
}

// maxMailAddress is the longest address that SMTP has room for.
const maxMailAddress = 254

// CheckMailAddress tells whether a text is one plain e-mail address.
func CheckMailAddress(text string) error {
	a, err := mail.ParseAddress(text)
	if err != nil || a.Address != text || a.Name != "" || len(text) > maxMailAddress || strings.ContainsAny(text, "\r\n<>\" ") {
		return errors.New("not an e-mail address")
	}
	return nil
}
