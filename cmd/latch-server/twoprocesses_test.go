package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/pages"
)

const publicName = "latch.example.org:8443"

// browser goes to either of two processes, as one behind a balancer does: same cookies, same name.
type browser struct {
	t   *testing.T
	jar http.CookieJar
}

// ask sends a request to one process; a form is posted as from a page of the site.
func (br *browser) ask(ctx context.Context, s *serving, path string, form url.Values) *http.Response {
	br.t.Helper()
	method, body := "GET", io.Reader(nil)
	if form != nil {
		method, body = "POST", strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		br.t.Fatal(err)
	}
	r.Host = publicName
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	site := &url.URL{Scheme: "https", Host: publicName}
	for _, c := range br.jar.Cookies(site) {
		r.AddCookie(c)
	}
	client := &http.Client{Transport: s.client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		br.t.Fatal(err)
	}
	br.jar.SetCookies(site, resp.Cookies())
	return resp
}

func (br *browser) page(s *serving, path string, form url.Values) (status int, to, body string) {
	br.t.Helper()
	resp := br.ask(br.t.Context(), s, path, form)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		br.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
}

// TestTwoProcessesOnOneDatabase: what is begun at one goes on at the other, since neither keeps anything to itself.
func TestTwoProcessesOnOneDatabase(t *testing.T) {
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	invitation := b.ticket(b.ok("init", "--url", "https://"+publicName))
	one := b.serve()
	other := b.serve("--tls-self-signed")
	defer one.stop(syscall.SIGTERM)
	defer other.stop(syscall.SIGTERM)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	br := &browser{t: t, jar: jar}
	password := url.Values{"password": {"tres tristes tigres"}, "again": {"tres tristes tigres"}}
	if status, to, body := br.page(one, pages.LinkPath+invitation, password); status != http.StatusSeeOther || to == "/signin" {
		t.Fatalf("the invitation: %d to %q, %s", status, to, body)
	}
	if status, _, body := br.page(other, "/admin", nil); status != http.StatusOK || !strings.Contains(body, "admin") {
		t.Fatalf("signed in at one, the other says %d %s", status, body)
	}

	// A page that is open at one hears what is done at the other.
	stream := br.ask(t.Context(), one, "/live", nil)
	defer stream.Body.Close()
	heard := make(chan bool, 1)
	events := bufio.NewScanner(stream.Body)
	if !events.Scan() {
		t.Fatal("nothing is heard")
	}
	go func() {
		for events.Scan() {
			if strings.HasPrefix(events.Text(), "event: change") {
				heard <- true
				return
			}
		}
		heard <- false
	}()
	if status, _, body := br.page(other, "/admin/apps", url.Values{"name": {"servers"}}); status != http.StatusOK || !strings.Contains(body, "secret_key") {
		t.Fatalf("an application: %d %s", status, body)
	}
	if status, _, body := br.page(other, "/admin/settings", url.Values{"totp_issuer": {"Example"}}); status != http.StatusSeeOther {
		t.Fatalf("a setting: %d %s", status, body)
	}
	if !<-heard {
		t.Error("the page at one heard nothing of what was done at the other")
	}
	if _, _, body := br.page(one, "/admin/apps", nil); !strings.Contains(body, "servers") {
		t.Error("one does not show what was made at the other")
	}

	// Signing in takes two steps; each may be at another process.
	secret := otp.Standard().NewSecret()
	s := b.store()
	u, err := s.User("admin")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetAuthenticator(t.Context(), u.Row, secret, 0, 0); err != nil {
		t.Fatal(err)
	}
	br.jar, _ = cookiejar.New(nil)
	if status, to, body := br.page(one, "/signin", url.Values{"name": {"admin"}, "password": password["password"]}); status != http.StatusSeeOther || to != "/signin/step" {
		t.Fatalf("the first step: %d to %q, %s", status, to, body)
	}
	code, err := otp.Code(secret, time.Now().Unix()/30)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := br.page(other, "/signin/step", url.Values{"code": {code}}); status != http.StatusSeeOther {
		t.Fatalf("the second step: %d %s", status, body)
	}
	if status, _, _ := br.page(one, "/admin", nil); status != http.StatusOK {
		t.Errorf("the panel at one is %d", status)
	}
	// Signing out at one is signing out at both.
	br.page(one, "/signout", url.Values{})
	if status, _, _ := br.page(other, "/admin", nil); status == http.StatusOK {
		t.Error("signed out at one, the other still shows the panel")
	}
}

// TestGreedyBrowsersAreCutOff: what bounds the API's clients bounds the pages' too.
func TestGreedyBrowsersAreCutOff(t *testing.T) {
	b := &bed{t: t, dir: filepath.Join(t.TempDir(), "data")}
	b.ok("init", "--url", "https://"+publicName)
	s := b.serve()
	defer s.stop(syscall.SIGTERM)
	br := &browser{t: t}
	br.jar, _ = cookiejar.New(nil)
	if status, _, _ := br.page(s, "/signin", url.Values{"name": {strings.Repeat("x", 1<<20)}}); status < 400 || status >= 500 {
		t.Errorf("a form of a mebibyte is %d", status)
	}
	site := &url.URL{Scheme: "https", Host: publicName}
	br.jar.SetCookies(site, []*http.Cookie{{Name: "x", Value: strings.Repeat("x", 64<<10)}})
	if resp := br.ask(t.Context(), s, "/signin", nil); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 64 KiB is %s", resp.Status)
	}
}
