package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

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
	err = s.handIn(ctx, server, d.Channel.Settings.Address, s.letter(server, d))
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
// machine's own apart.
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
	return c.Auth(smtp.PlainAuth("", server.User, server.Password, server.Host))
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

// letter writes the e-mail. Header values are encoded or were checked, so that no text of a host becomes a header.
func (s *Sender) letter(server store.MailServer, d store.Delivery) []byte {
	m := s.write(d.Notice, d.Language)
	var b bytes.Buffer
	head := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	from := mail.Address{Name: "Latch", Address: server.From}
	to := mail.Address{Address: d.Channel.Settings.Address}
	head("From", from.String())
	head("To", to.String())
	head("Subject", mime.QEncoding.Encode("utf-8", m.Title))
	head("Date", s.now().UTC().Format(time.RFC1123Z))
	// One name for one notice: a mail store that knows it already can leave the second one out.
	head("Message-ID", fmt.Sprintf("<%s.%d@%s>", m.Tag, d.Channel.Row, heloName(s.url)))
	if d.Language != "" {
		head("Content-Language", d.Language)
	}
	head("Auto-Submitted", "auto-generated")
	head("MIME-Version", "1.0")
	head("Content-Type", "text/plain; charset=utf-8")
	head("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	text := m.text() + "\n"
	for _, link := range [][2]string{{m.CloseLabel, m.close}, {m.OpenLabel, m.open}} {
		if link[1] != "" {
			text += "\n" + link[0] + ":\n" + s.absolute(link[1]) + "\n"
		}
	}
	body.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))) // a bytes.Buffer takes everything
	body.Close()
	return b.Bytes()
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
