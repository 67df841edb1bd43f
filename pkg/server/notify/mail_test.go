package notify

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// postOffice is a mail server on loopback that keeps what it is given.
type postOffice struct {
	server   store.MailServer
	starttls bool
	implicit bool
	answers  map[string]string // what it says to a command instead of what is usual
	auth     string            // the mechanisms that it offers; "" means PLAIN
	conf     *tls.Config

	mu      sync.Mutex
	letters []string
	log     []string // commands, with "TLS " before those that were encrypted
}

// office starts a mail server with a certificate that the bed's sender trusts.
func (b *bed) office(change func(*postOffice)) *postOffice {
	b.t.Helper()
	trusted := b.receive(nil) // lends its certificate
	o := &postOffice{starttls: true, answers: map[string]string{}, conf: &tls.Config{Certificates: trusted.TLS.Certificates}}
	o.server = store.MailServer{Host: "127.0.0.1", TLS: store.MailStartTLS, User: "latch", Password: "hunter2", From: "latch@example.org"}
	if change != nil {
		change(o)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	o.server.Port = l.Addr().(*net.TCPAddr).Port
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.t.Cleanup(func() { c.Close() })
			all.Go(func() { o.talk(c) })
		}
	})
	b.t.Cleanup(func() { l.Close() })
	b.must(b.store.SetMailServer(b.ctx, &o.server))
	return o
}

func (o *postOffice) talk(c net.Conn) {
	defer c.Close()
	encrypted := ""
	if o.implicit {
		c, encrypted = tls.Server(c, o.conf), "TLS "
	}
	in := bufio.NewReader(c)
	say := func(text string) { io.WriteString(c, text+"\r\n") }
	say("220 ready")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		o.mu.Lock()
		o.log = append(o.log, encrypted+line)
		o.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		if answer, ok := o.answers[verb]; ok {
			if answer == "" {
				continue // says nothing
			}
			say(answer)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-office")
			if o.starttls && encrypted == "" {
				say("250-STARTTLS")
			}
			say("250-AUTH " + cmp.Or(o.auth, "PLAIN"))
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			c, encrypted = tls.Server(c, o.conf), "TLS "
			in = bufio.NewReader(c)
		case "AUTH":
			if o.signIn(line, in, say) {
				say("235 ok")
			} else {
				say("535 wrong password for latch")
			}
		case "DATA":
			say("354 go on")
			text, err := io.ReadAll(textproto.NewReader(in).DotReader())
			if err != nil {
				return
			}
			o.mu.Lock()
			o.letters = append(o.letters, string(text))
			o.mu.Unlock()
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// signIn takes part in the mechanisms that it offers (RFC 4616, RFC 2195, draft-murchison-sasl-login, Google's XOAUTH2).
func (o *postOffice) signIn(line string, in *bufio.Reader, say func(string)) bool {
	ask := func(challenge string) string {
		say("334 " + base64.StdEncoding.EncodeToString([]byte(challenge)))
		answer, _ := in.ReadString('\n')
		text, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(answer))
		return string(text)
	}
	words := strings.Fields(line)
	switch mechanism := words[1]; {
	case !slices.Contains(strings.Fields(cmp.Or(o.auth, "PLAIN")), mechanism):
		return false
	case mechanism == "LOGIN":
		return ask("Username:") == "latch" && ask("Password:") == "hunter2"
	case mechanism == "CRAM-MD5":
		const challenge = "<1.2@office>"
		mac := hmac.New(md5.New, []byte("hunter2"))
		mac.Write([]byte(challenge))
		return ask(challenge) == "latch "+hex.EncodeToString(mac.Sum(nil))
	case mechanism == "XOAUTH2":
		text, _ := base64.StdEncoding.DecodeString(words[2])
		return string(text) == "user=latch\x01auth=Bearer hunter2\x01\x01"
	}
	return strings.HasSuffix(line, base64.StdEncoding.EncodeToString([]byte("\x00latch\x00hunter2")))
}

func (o *postOffice) mailbox() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.letters...)
}

func (b *bed) mailChannel() int64 {
	return b.channel(store.ChannelMail, store.ChannelSettings{Address: "ana@example.org", Language: "es"})
}

func TestLetter(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	o := b.office(nil)
	b.mailChannel()
	name := "señal\r\nBcc: x@example.org"
	b.sender.words = forgingWords{name}
	b.set(false)
	b.attempt()
	b.run()
	eventually(func() bool { return len(o.mailbox()) == 2 })
	m, err := mail.ReadMessage(strings.NewReader(o.mailbox()[1]))
	b.must(err)
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	b.must(err)
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	b.must(err)
	h := m.Header
	if !strings.Contains(subject, "señal") || h.Get("Bcc") != "" || h.Get("From") != `"Latch" <latch@example.org>` || h.Get("To") != "<ana@example.org>" ||
		h.Get("Content-Language") != "es" || h.Get("Auto-Submitted") != "auto-generated" || !strings.HasSuffix(h.Get("Message-Id"), "@latch.example>") {
		t.Errorf("subject %q, headers %v", subject, h)
	}
	if _, err := h.Date(); err != nil {
		t.Errorf("date: %v", err)
	}
	for _, part := range []string{"es:close", "\n" + pageURL + "/close/", "\n" + pageURL + "/notice/", "203.0.113.7"} {
		if !bytes.Contains(body, []byte(part)) {
			t.Errorf("%q is not in %q", part, body)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, line := range o.log {
		if verb, _, _ := strings.Cut(line, " "); verb == "AUTH" || verb == "MAIL" {
			t.Errorf("%q was said without encryption", verb)
		}
	}
}

// forgingWords puts what a host could send into titles.
type forgingWords struct{ name string }

func (w forgingWords) Text(lang, key string, args ...any) string {
	if key == "notices.refused" {
		return w.name
	}
	return plainWords{}.Text(lang, key, args...)
}
func (w forgingWords) Count(lang, key string, n int, args ...any) string {
	return plainWords{}.Count(lang, key, n, args...)
}
func (forgingWords) When(lang string, zone *time.Location, ms int64) string {
	return plainWords{}.When(lang, zone, ms)
}

// TestMailServers: how it may be connected to, and what goes wrong with it.
func TestMailServers(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change  func(*postOffice)
		problem string
	}{
		"starttls": {nil, ""},
		"tls":      {func(o *postOffice) { o.implicit, o.starttls, o.server.TLS = true, false, store.MailTLS }, ""},
		"plain on this machine": {func(o *postOffice) {
			o.starttls, o.server.TLS, o.server.User = false, store.MailPlain, ""
		}, ""},
		"login alone":    {func(o *postOffice) { o.auth = "LOGIN XOAUTH2" }, ""}, // Office 365
		"cram-md5":       {func(o *postOffice) { o.auth = "CRAM-MD5" }, ""},
		"xoauth2":        {func(o *postOffice) { o.auth = "XOAUTH2" }, ""},
		"nothing known":  {func(o *postOffice) { o.auth = "GSSAPI NTLM" }, ProblemNoAuth},
		"no starttls":    {func(o *postOffice) { o.starttls = false }, ProblemNoTLS},
		"other password": {func(o *postOffice) { o.server.Password = "hunter3" }, ProblemDenied},
		"not tls at all": {func(o *postOffice) { o.server.TLS = store.MailTLS }, ProblemCertificate},
		"no recipient":   {func(o *postOffice) { o.answers["RCPT"] = "550 no such user" }, ProblemMissing},
		"greylisted":     {func(o *postOffice) { o.answers["RCPT"] = "450 later" }, ProblemBusy},
		"full":           {func(o *postOffice) { o.answers["DATA"] = "452 full" }, ProblemBusy},
		"no sender":      {func(o *postOffice) { o.answers["MAIL"] = "553 not yours" }, ProblemRejected},
		"speechless":     {func(o *postOffice) { o.answers["MAIL"] = "" }, ProblemTimeout},
		"another name":   {func(o *postOffice) { o.server.Host = "localhost" }, ProblemCertificate}, // the certificate is for 127.0.0.1
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			o := b.office(c.change)
			if c.problem == ProblemTimeout {
				b.sender.limit = time.Second
			}
			b.tested(b.mailChannel(), c.problem)
			if n := len(o.mailbox()); c.problem == "" != (n == 1) {
				t.Errorf("%d letters", n)
			}
		})
	}
	b := newBed(t)
	b.tested(b.mailChannel(), ProblemNoMail)
}

func TestCheckMailAddress(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"ana@example.org": true, "a.b+c@xn--bcher-kva.example": true, "ana": false, "Ana <ana@example.org>": false, "a@b.c\r\nBcc: x@y.z": false,
		"a@b.c, d@e.f": false, "": false, strings.Repeat("a", 250) + "@x.org": false,
	} {
		if err := CheckMailAddress(address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}
