package pages

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// application makes one that hosts pair with.
func (b *bed) application(name string) store.Application {
	b.t.Helper()
	app, _, err := b.store.AddApplication(b.ctx, store.Application{Name: name, ContactEmail: "admin@example.org"})
	b.must(err)
	return app
}

var shownCode = regexp.MustCompile(`class="paircode">([0-9A-Za-z]{6})<`)

// shows fails unless a page has every text.
func (b *bed) shows(page string, texts ...string) {
	b.t.Helper()
	page = html.UnescapeString(page)
	for _, text := range texts {
		if !strings.Contains(page, text) {
			b.t.Errorf("the page lacks %q:\n%s", text, page)
		}
	}
}

// TestAddAServiceByCode: the page shows the code until it is used, and then what it was used for.
func TestAddAServiceByCode(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	app := b.application("servers")
	if page := c.get("/services/add"); shownCode.MatchString(page) {
		t.Errorf("a code before one was asked for: %s", page)
	}
	to := c.post("/services/add", url.Values{})
	page := c.get(to)
	code := shownCode.FindStringSubmatch(page)
	if code == nil || !strings.Contains(page, `data-left="1`) {
		t.Fatalf("no code with its seconds on %s", page)
	}
	b.shows(page, "sudo latch pair "+code[1])
	if again := shownCode.FindStringSubmatch(c.get(to + "&fragment=1")); again == nil || again[1] != code[1] {
		t.Errorf("the live part shows %v", again)
	}
	_, err := b.store.Pair(b.ctx, store.PairRequest{App: app, Code: code[1], CommonName: "web1, ana", Subject: "x", Attempt: store.Attempt{IP: "203.0.113.7"}})
	b.must(err)
	b.shows(c.get(to+"&fragment=1"), "Paired: servers", "web1, ana")
	b.offset.Add(int64(time.Second))
	late := c.post("/services/add", url.Values{})
	b.offset.Add(int64(store.CodeLife + time.Second))
	b.shows(c.get(late), "expired", "Show a new code")
}

func TestServicesAreRenamedAndUnpaired(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	app := b.application("servers")
	account := b.pair("ana", app)
	b.shows(c.get("/services"), "servers", "web1, ana")
	c.post("/services/"+app.ID+"/name", url.Values{"name": {" my door "}})
	b.shows(c.get("/services"), "It is called “my door” now.", ">my door<")
	b.shows(c.get("/"), ">my door<")
	c.post("/services/"+app.ID+"/name", url.Values{"name": {"a\nb"}})
	b.shows(c.get("/services"), "cannot be used", ">my door<")
	b.shows(c.get("/services/"+app.ID+"/unpair"), "Unpair my door?")
	if _, err := b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: account}); err != nil {
		t.Errorf("looking at the question unpairs: %v", err)
	}
	c.post("/services/"+app.ID+"/unpair", url.Values{})
	b.shows(c.get("/services"), "my door is unpaired.", "Nothing is paired yet")
	if _, err := b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: account}); err == nil {
		t.Error("the account is still paired")
	}
	other, _ := b.join("eva")
	b.pair("eva", app)
	mine := b.application("others")
	b.pair("ana", mine)
	for _, path := range []string{"/services/" + mine.ID + "/unpair", "/services/nothing/unpair"} {
		if resp := other.do("POST", path, url.Values{}); resp.StatusCode != http.StatusNotFound {
			t.Errorf("somebody else's %s: %s", path, resp.Status)
		}
	}
}

// pair pairs a person with an application, as a host called web1 does.
func (b *bed) pair(user string, app store.Application) string {
	b.t.Helper()
	code, _, err := b.store.NewCode(b.ctx, user)
	b.must(err)
	id, err := b.store.Pair(b.ctx, store.PairRequest{App: app, Code: code, CommonName: "web1, " + user, Subject: user})
	b.must(err)
	return id
}

func (b *bed) asks(app store.Application, host string) store.PairingRequest {
	b.t.Helper()
	r, err := b.store.RequestPairing(b.ctx, store.PairingRequest{App: app, Host: host, User: "root", Attempt: store.Attempt{IP: "203.0.113.7"}}, "test")
	b.must(err)
	return r
}

// TestPairByLink: the page says who asks, and only a signed-in person's button decides.
func TestPairByLink(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	app := b.application("servers")
	r := b.asks(app, `web1<script>`)
	stranger := b.client()
	resp := stranger.do("GET", "/pair/"+r.Link, nil)
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || to != "/signin?next="+url.QueryEscape("/pair/"+r.Link) {
		t.Errorf("a stranger: %s to %q", resp.Status, to)
	}
	stranger.do("POST", "/pair/"+r.Link, url.Values{"decision": {"pair"}})
	c, _ := b.join("ana")
	page := c.get("/pair/" + r.Link)
	if strings.Contains(page, "<script>`") {
		t.Error("the host's name is not escaped")
	}
	b.shows(page, "web1<script>, root", "servers", "admin@example.org", "203.0.113.7", r.Check, "5 minutes left", "If somebody sent you this link, refuse", "You get a new latch")
	if s, err := b.store.PairingByID(app, r.ID); err != nil || s.State != store.RequestWaiting {
		t.Fatalf("looked at, it is %+v, %v", s, err)
	}
	if resp := c.do("POST", "/pair/"+r.Link, url.Values{"decision": {"perhaps"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no decision: %s", resp.Status)
	}
	if to := c.post("/pair/"+r.Link, url.Values{"decision": {"pair"}}); to != "/services" {
		t.Errorf("confirmed, to %q", to)
	}
	b.shows(c.get("/services"), "web1<script>, root is paired (servers)")
	if s, err := b.store.PairingByID(app, r.ID); err != nil || s.State != store.RequestConfirmed || s.Person != "ana" {
		t.Errorf("the host hears %+v, %v", s, err)
	}
	b.shows(c.get("/pair/"+r.Link), "You have paired")
	eva, _ := b.join("eva")
	for _, link := range []string{r.Link, "nothing", "x"} {
		resp := eva.do("GET", "/pair/"+link, nil)
		b.shows(text(t, resp), "This link has expired, was withdrawn, or was used.")
		if to := eva.post("/pair/"+link, url.Values{"decision": {"pair"}}); to != "/pair/"+link {
			t.Errorf("%q is confirmed again: %q", link, to)
		}
	}
	second := b.asks(app, "web2")
	b.shows(c.get("/pair/"+second.Link), "The host joins it")
	c.post("/pair/"+second.Link, url.Values{"decision": {"refuse"}})
	if s, err := b.store.PairingByID(app, second.ID); err != nil || s.State != store.RequestRefused {
		t.Errorf("the host hears %+v, %v", s, err)
	}
}

// withTokens pairs somebody with an application that asks for a one-time token.
func (b *bed) withTokens(name string) (app store.Application, account string) {
	b.t.Helper()
	app = b.application("servers")
	mode := store.Mandatory
	b.must(b.store.ChangeApplication(b.ctx, app.Row, store.ApplicationChange{TwoFactor: &mode}))
	app, err := b.store.Application(app.ID)
	b.must(err)
	return app, b.pair(name, app)
}

func TestTokensAreShownUntilTheyAreUsed(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	app, account := b.withTokens("ana")
	asked, err := b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: account, Message: "pay 10 EUR", Attempt: store.Attempt{IP: "198.51.100.1",
		Context: map[string]string{"host": "web1", "service": "sshd", "rhost": "203.0.113.7", "user": "ana"}}})
	b.must(err)
	for _, path := range []string{"/tokens", "/"} {
		b.shows(c.get(path+"?fragment=1"), asked.Token, "sshd on web1 as ana from 203.0.113.7", "pay 10 EUR", `data-left="`)
	}
	b.must(b.store.SpendToken(b.ctx, app, account, asked.Token, true, store.Attempt{}))
	if page := c.get("/tokens?fragment=1"); strings.Contains(page, asked.Token) {
		t.Errorf("a used token is shown: %s", page)
	}
	asked, err = b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: account, Attempt: store.Attempt{IP: "198.51.100.1"}})
	b.must(err)
	b.shows(c.get("/tokens?fragment=1"), asked.Token, "asked by 198.51.100.1")
	b.offset.Add(int64(store.TokenLife))
	if page := c.get("/tokens?fragment=1"); strings.Contains(page, asked.Token) {
		t.Errorf("an old token is shown: %s", page)
	}
}

// Each login with a stolen password makes a token; the page of its owner must not grow with them, and shows the newest.
func TestAFloodOfTokensIsNoPageOfTokens(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	app, account := b.withTokens("ana")
	var first, last store.Status
	for i := range tokensShown + 1 {
		var err error
		last, err = b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: account})
		b.must(err)
		if i == 0 {
			first = last
		}
	}
	page := c.get("/tokens?fragment=1")
	b.shows(page, last.Token)
	if n := strings.Count(page, `data-left="`); n != tokensShown || strings.Contains(page, first.Token) {
		t.Errorf("%d tokens are shown, the oldest among them: %v", n, strings.Contains(page, first.Token))
	}
}

// TestAuthenticatorForHosts enrols, replaces and removes, as far as the admin lets people.
func TestAuthenticatorForHosts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	b.must(b.store.SetSetting(b.ctx, store.SettingTOTPIssuer, "Example"))
	b.must(b.store.SetSetting(b.ctx, store.SettingTOTPLabel, "{name} at work"))
	page := c.get(hostcodePath)
	b.shows(page, "You have not enrolled")
	if strings.Contains(page, "data:image/png") {
		t.Error("a seed is shown that nobody asked for")
	}
	c.post(hostcodePath+"/begin", url.Values{})
	page = c.get(hostcodePath)
	b.shows(page, "data:image/png;base64,", "otpauth://totp/Example:ana%20at%20work?")
	waiting, err := b.store.OwnTOTP("ana", false)
	b.must(err)
	c.post(hostcodePath+"/prove", url.Values{"code": {"000000"}})
	b.shows(c.get(hostcodePath), "That was not the app's code")
	code, err := otp.Code(waiting.Secret, b.now().Unix()/30)
	b.must(err)
	c.post(hostcodePath+"/prove", url.Values{"code": {code[:3] + " " + code[3:]}})
	page = c.get(hostcodePath)
	b.shows(page, "The authenticator app is enrolled", "In use")
	if strings.Contains(page, waiting.Secret[:4]) {
		t.Error("a proven seed is shown again")
	}
	b.must(b.store.SetSetting(b.ctx, store.SettingTOTPRemove, "no"))
	b.must(b.store.SetSetting(b.ctx, store.SettingTOTPEnrol, "no"))
	b.shows(c.get(hostcodePath), "Ask the administrator", "The administrator enrols")
	for _, act := range []string{"/begin", "/remove"} {
		c.post(hostcodePath+act, url.Values{})
		b.shows(c.get(hostcodePath), "The administrator enrols")
	}
	if _, err := b.store.OwnTOTP("ana", true); err != nil {
		t.Errorf("removed although that is switched off: %v", err)
	}
	b.must(b.store.SetSetting(b.ctx, store.SettingTOTPRemove, "yes"))
	b.offset.Add(int64(time.Hour))
	if to := c.post(hostcodePath+"/remove", url.Values{}); !strings.HasPrefix(to, "/prove") {
		t.Errorf("an hour later no factor is asked for: %q", to)
	}
}

// TestAnAdminEndsAnAuthenticatorForHosts also where people may not remove their own.
func TestAnAdminEndsAnAuthenticatorForHosts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	admin, _ := b.staff("root", store.RoleAdmin)
	u, err := b.store.AddUser(b.ctx, "ana")
	b.must(err)
	b.must(b.store.SetSetting(b.ctx, store.SettingTOTPRemove, "no"))
	b.must(b.store.BeginOwnTOTP(b.ctx, "ana", otp.Standard().NewSecret()))
	b.must(b.store.ProveOwnTOTP(b.ctx, "ana", func(string, int64) (int64, bool) { return 1, true }))
	b.shows(admin.get(userAddress(u)), "Remove the authenticator for hosts")
	b.shows(admin.get(userAddress(u)+"/totp"), "refuse ana until another one is enrolled")
	admin.post(userAddress(u)+"/totp", url.Values{})
	if page := admin.get(userAddress(u)); strings.Contains(page, userAddress(u)+"/totp") {
		t.Errorf("it is still offered: %s", page)
	}
	if _, err := b.store.OwnTOTP("ana", true); err == nil {
		t.Error("it is still there")
	}
}
