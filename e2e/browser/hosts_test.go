package browser

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/creack/pty"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

const latch = "/usr/local/bin/latch"

// machine is this machine as a host of the tests' server: the product is installed, and su asks. One test at a time has it.
type machine struct {
	t    *testing.T
	app  store.Application
	conf fixture.Conf
	user string
}

// taken is held by the test that has the machine.
var taken sync.Mutex

// installed installs the product once.
var installed = sync.OnceValue(func() error {
	if err := os.WriteFile("/etc/default/su", []byte("FAIL_DELAY 0\n"), 0o644); err != nil {
		return err
	}
	return fixture.MakeInstall()
})

// newMachine sets this machine up for one user, who has fixture.Password, and an application of the test's own.
func newMachine(t *testing.T, user string) *machine {
	t.Helper()
	taken.Lock()
	t.Cleanup(taken.Unlock)
	must(t, installed())
	_, err := fixture.AddUser(user, 7000+int(numbers.Add(1)))
	must(t, err)
	app, secret, err := data.AddApplication(t.Context(), store.Application{Name: unique("servers")})
	must(t, err)
	m := &machine{t: t, app: app, user: user, conf: fixture.NewConf(server, fixture.App{ID: app.ID, Secret: secret})}
	m.configure(m.conf)
	m.latch("install", "su", "--yes")
	t.Cleanup(func() { m.latch("uninstall", "su", "--yes") })
	return m
}

func (m *machine) configure(c fixture.Conf) {
	m.t.Helper()
	_, err := c.Write("/etc/latch/latch.conf")
	must(m.t, err)
}

// latch runs a command that must succeed.
func (m *machine) latch(args ...string) string {
	m.t.Helper()
	cmd := exec.Command(latch, args...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("latch %q: %v: %s", args, err, errOut.String())
	}
	return string(out)
}

// login is a su under way. Whoever calls it is nobody, and knows the password.
type login struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output bytes.Buffer
}

func (m *machine) su() *login {
	m.t.Helper()
	return startLogin(m.t, "su", m.user, "-c", "echo inside")
}

func startLogin(t *testing.T, args ...string) *login {
	t.Helper()
	l := &login{cmd: exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups"}, args...)...)}
	l.cmd.Stdout, l.cmd.Stderr = &l.output, &l.output
	var err error
	l.stdin, err = l.cmd.StdinPipe()
	must(t, err)
	must(t, l.cmd.Start())
	l.types(t, fixture.Password)
	return l
}

func (l *login) types(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(l.stdin, text+"\n")
	must(t, err)
}

// in waits for the end and tells whether the person came in.
func (l *login) in() bool {
	l.stdin.Close()
	l.cmd.Wait()
	return strings.Contains(l.output.String(), "inside")
}

var (
	shownLink = regexp.MustCompile(`https://\S+/pair/[0-9A-Za-z]+`)
	shownWord = regexp.MustCompile(`check word ([0-9A-Za-z]{4})`)
)

// screen is a command on a terminal of its own.
type screen struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	seen strings.Builder
	over chan struct{}
}

// onTerminal runs a command before a pseudo terminal, as a person at the keyboard would.
func onTerminal(t *testing.T, args ...string) *screen {
	t.Helper()
	s := &screen{t: t, cmd: exec.Command(latch, args...), over: make(chan struct{})}
	terminal, err := pty.StartWithAttrs(s.cmd, &pty.Winsize{Rows: 50, Cols: 120}, &syscall.SysProcAttr{Setsid: true, Setctty: true})
	must(t, err)
	go func() {
		defer close(s.over)
		io.Copy(s, terminal) // an error is the end
	}()
	t.Cleanup(func() { terminal.Close() })
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// find waits until a pattern stands on the screen.
func (s *screen) find(pattern *regexp.Regexp) []string {
	s.t.Helper()
	var found []string
	if !fixture.Await(func() bool { found = pattern.FindStringSubmatch(s.String()); return found != nil }) {
		s.t.Fatalf("%v never stood on the screen:\n%s", pattern, s)
	}
	return found
}

// ends waits for a good end of the command.
func (s *screen) ends() {
	s.t.Helper()
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("%v:\n%s", err, s)
	}
	<-s.over
}

// TestHostAndPhone pairs this machine with a phone by the link that `latch pair` shows and by the code that the page shows,
// and has a real su feel what the phone does.
func TestHostAndPhone(t *testing.T) {
	t.Parallel()
	person := newPerson(t, store.RolePerson)
	m := newMachine(t, person.Name)
	hostname, err := os.Hostname()
	must(t, err)
	b := open(t, phone)
	b.signIn(person)

	t.Run("pair by link", func(t *testing.T) {
		command := onTerminal(t, "pair", "--user", m.user, "--host-context", "yes")
		link, word := command.find(shownLink)[0], command.find(shownWord)[1]
		b.visit(link)
		b.read(hostname + ", " + m.user)
		b.read(word)
		b.check()
		b.shot("pair-link")
		b.click(`button[value="pair"]`)
		b.wait(`location.pathname === "/services"`)
		b.read(hostname + ", " + m.user + " is paired")
		command.ends()
		if !strings.Contains(command.String(), m.user+" is paired, confirmed by "+person.Name) {
			t.Errorf("the terminal shows:\n%s", command)
		}
		b.check()
		b.shot("services")
	})

	t.Run("close on the phone", func(t *testing.T) {
		if !m.su().in() {
			t.Fatal("su is refused before anything was closed")
		}
		b.visit("/")
		b.read("let in")
		b.click("#close-" + m.app.ID)
		b.read(m.app.Name + ": closed.")
		b.read("let in") // that was before
		if m.su().in() {
			t.Error("su lets in although the latch is closed")
		}
		b.wait(`document.querySelector(".last.refused")?.innerText.includes("su on ` + hostname + `")`) // by itself
		b.check()
		b.shot("refused")
		if got := m.status(); got != "closed" {
			t.Errorf("latch status says %q", got)
		}
		b.click(".flash button")
		b.read("It is as it was before.")
		if !m.su().in() {
			t.Error("su is refused after the closing was undone")
		}
		b.wait(`document.querySelector(".last:not(.refused)")`)
	})

	t.Run("token shown live and used", func(t *testing.T) { m.token(t, b, hostname) })
	t.Run("own authenticator", func(t *testing.T) { m.ownAuthenticator(t, b) })

	t.Run("unpair on the phone, pair by code", func(t *testing.T) {
		m.configure(m.conf)
		b.visit("/services/" + m.app.ID + "/unpair")
		b.check()
		b.click(`button.danger`)
		b.wait(`location.pathname === "/services"`)
		if got := m.status(); !strings.Contains(got, "not paired") {
			t.Errorf("latch status says %q", got)
		}
		if m.su().in() {
			t.Error("su lets in although the phone has unpaired")
		}
		m.latch("unpair", "--user", m.user)
		b.visit("/services/add")
		b.check()
		b.click(`form[action="/services/add"] button`)
		b.see(".paircode")
		b.wait(`/^\d+ s left/.test(document.querySelector("[data-left]").textContent)`)
		b.check()
		b.shot("pair-code")
		m.latch("pair", b.text(".paircode"), "--user", m.user)
		b.read("Paired: " + m.app.Name)
		b.read(hostname + ", " + m.user)
		b.check()
		if !m.su().in() {
			t.Error("su is refused after the new pairing")
		}
	})
}

// status is what latch status prints, on either stream.
func (m *machine) status() string {
	out, _ := exec.Command(latch, "status", "--user", m.user).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// token has su ask for a one-time token, which comes up on the page by itself and goes when it was typed.
func (m *machine) token(t *testing.T, b *tab, hostname string) {
	mode := store.Mandatory
	must(t, data.ChangeApplication(t.Context(), m.app.Row, store.ApplicationChange{TwoFactor: &mode}))
	m.configure(m.conf.With("otp", "yes").With("host_context", "yes"))
	for path, right := range map[string]bool{"/": true, "/tokens": false} {
		b.visit(path)
		b.wait(`!document.querySelector(".token")`)
		l := m.su()
		b.see(".token .paircode")
		b.read("su on " + hostname + " as " + m.user)
		b.check()
		b.shot("token" + strings.ReplaceAll(path, "/", "-"))
		typed := b.text(".token .paircode")
		if !right {
			typed = "x" + typed[1:]
		}
		l.types(t, typed)
		if got := l.in(); got != right {
			t.Errorf("with the token %v: in = %v: %s", right, got, l.output.String())
		}
		b.wait(`!document.querySelector(".token")`)
	}
	mode = store.Disabled
	must(t, data.ChangeApplication(t.Context(), m.app.Row, store.ApplicationChange{TwoFactor: &mode}))
}

// ownAuthenticator enrols one on the page, and has su ask for its code.
func (m *machine) ownAuthenticator(t *testing.T, b *tab) {
	m.configure(m.conf.With("otp", "server-totp"))
	b.visit("/services/authenticator")
	b.check()
	b.click(`form[action$="/begin"] button`)
	b.see(".secret")
	b.check()
	b.shot("authenticator")
	secret := strings.ReplaceAll(b.text(".secret"), " ", "")
	// Each code is of the half minute in which it is typed, or of the next one where that is used up.
	last := int64(0)
	next := func() string {
		last = max(time.Now().Unix()/30, last+1)
		c, err := otp.Code(secret, last)
		must(t, err)
		return c
	}
	first := next()
	b.run(chromedp.SendKeys("#code", first, chromedp.ByQuery))
	b.click(`form[action$="/prove"] button`)
	b.read("The authenticator app is enrolled.")
	b.check()
	typed := first
	for _, row := range []struct {
		what string
		code func() string
		in   bool
	}{{"the code that proved it", func() string { return first }, false}, {"the next code", next, true}, {"the same again", func() string { return typed }, false}} {
		l := m.su()
		typed = row.code()
		l.types(t, typed)
		if got := l.in(); got != row.in {
			t.Errorf("%s: in = %v: %s", row.what, got, l.output.String())
		}
	}
	b.click("details summary")
	b.click(`form[action$="/remove"] button`)
	b.read("The authenticator app was removed.")
	l := m.su()
	l.types(t, next())
	if l.in() {
		t.Error("su lets in with a code of an authenticator that was removed")
	}
}

// TestPairingPagesInSpanish looks at every page of pairing at the width of a phone, in the dark, and without JavaScript.
func TestPairingPagesInSpanish(t *testing.T) {
	t.Parallel()
	person := newPerson(t, store.RolePerson)
	app, _ := paired(t, person.Name, "servidores")
	asked, err := data.RequestPairing(t.Context(), store.PairingRequest{App: app, Host: strings.Repeat("web1.example.org.", 4), User: "root",
		Attempt: store.Attempt{IP: "2001:db8::1"}}, unique("subject"))
	must(t, err)
	b := open(t, phone.in("es").inDark())
	b.signIn(person)
	for path, text := range map[string]string{
		"/services":                       "Añadir un servicio",
		"/services/add":                   "Mostrar un código",
		"/services/" + app.ID + "/unpair": "¿Desemparejar " + app.Name + "?",
		"/pair/" + asked.Link:             "El terminal muestra " + asked.Check,
		"/pair/nothing":                   "Este enlace ha caducado",
		"/services/authenticator":         "Registrar una aplicación",
		"/tokens":                         "Ningún acceso espera un código",
	} {
		if path == "/pair/nothing" {
			b.expect("404")
		}
		b.visit(path)
		b.read(text)
		b.check()
	}
	plain := open(t, phone.withoutScript())
	plain.signIn(person)
	plain.visit("/services/add")
	plain.click(`form[action="/services/add"] button`)
	plain.see(".paircode")
}
