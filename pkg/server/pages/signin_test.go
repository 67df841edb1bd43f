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

const (
	goodPassword  = "tres tristes tigres"
	otherPassword = "cuatro gatos pardos"
)

// invited makes a person and returns the row and the path of their invitation.
func (b *bed) invited(name string) (row int64, path string) {
	b.t.Helper()
	u, err := b.store.AddUser(b.ctx, name)
	b.must(err)
	ticket, _, err := b.store.NewLink(b.ctx, store.Link{Purpose: store.LinkInvite, User: u.Row}, store.InviteLife)
	b.must(err)
	return u.Row, LinkPath + ticket
}

// join makes a person with goodPassword and returns their browser, signed in.
func (b *bed) join(name string) (*client, int64) {
	b.t.Helper()
	row, path := b.invited(name)
	c := b.client()
	if to := c.post(path, url.Values{"password": {goodPassword}, "again": {goodPassword}}); to != "/" {
		b.t.Fatalf("%s was led to %q", name, to)
	}
	b.must(b.store.SetWelcomed(b.ctx, row))
	return c, row
}

// in tells whether a client is signed in.
func (c *client) in() bool {
	c.b.t.Helper()
	return c.do("GET", "/account", nil).StatusCode == http.StatusOK
}

// refused sends a form, which must come back with a status and a text of the catalogue.
func (c *client) refused(path string, form url.Values, status int, key string) {
	c.b.t.Helper()
	resp := c.do("POST", path, form)
	body := html.UnescapeString(text(c.b.t, resp))
	want, _, _ := strings.Cut(c.b.site.texts.text("en", key), "{")
	if resp.StatusCode != status || !strings.Contains(body, want) {
		c.b.t.Errorf("POST %s %v: %s, want %d and %q in\n%s", path, form, resp.Status, status, want, body)
	}
}

func signIn(name, password string) url.Values {
	return url.Values{"name": {name}, "password": {password}}
}

// session returns the row of a person's session that was used last, 0 where there is none.
func (b *bed) session(row int64) int64 {
	b.t.Helper()
	list, err := b.store.Sessions(row)
	b.must(err)
	if len(list) == 0 {
		return 0
	}
	return list[0].Row
}

// authenticator gives a person an authenticator app, in the session that was used last, and returns what shows its code of now,
// a new one each time.
func (b *bed) authenticator(row int64) func() string {
	b.t.Helper()
	secret := otp.Standard().NewSecret()
	b.must(b.store.SetAuthenticator(b.ctx, row, secret, 0, b.session(row)))
	b.recovery(row) // the first factor ended the codes of before
	return func() string {
		b.offset.Add(int64(30 * time.Second))
		code, err := otp.Code(secret, b.now().Unix()/30)
		b.must(err)
		return code
	}
}

// recovery gives a person recovery codes.
func (b *bed) recovery(row int64) []string {
	b.t.Helper()
	codes := otp.NewRecovery()
	normal := make([]string, len(codes))
	for i, c := range codes {
		normal[i], _ = otp.NormalRecovery(c)
	}
	b.must(b.store.SetRecovery(b.ctx, row, normal))
	return codes
}

func TestSignUpByInvitation(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, path := b.invited("ana")
	c := b.client()
	for range 3 { // scanners and previews fetch the link too
		if page := c.get(path); !strings.Contains(page, "Welcome to Latch") || !strings.Contains(page, "ana") {
			t.Fatal(page)
		}
	}
	c.refused(path, url.Values{"password": {"short"}, "again": {"short"}}, 422, "signin.short")
	c.refused(path, url.Values{"password": {"password1234"}, "again": {"password1234"}}, 422, "signin.common")
	c.refused(path, url.Values{"password": {goodPassword}, "again": {"another one"}}, 422, "signin.differ")
	if c.in() {
		t.Error("signed in without a password")
	}
	if to := c.post(path, url.Values{"password": {goodPassword}, "again": {goodPassword}}); to != "/" || !c.in() {
		t.Errorf("to %q, signed in %v", to, c.in())
	}
	other := b.client()
	if resp := other.do("GET", path, nil); resp.StatusCode != http.StatusGone {
		t.Errorf("a used link: %s", resp.Status)
	}
	if resp := other.do("POST", path, url.Values{"password": {otherPassword}, "again": {otherPassword}}); resp.StatusCode != http.StatusGone || other.in() {
		t.Errorf("a used link's form: %s", resp.Status)
	}
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.join("ana")
	c := b.client()
	c.refused("/signin", signIn("ana", "wrong password"), 422, "signin.wrong")
	form := signIn("ana", goodPassword)
	form.Set("next", "/history?x=1")
	if to := c.post("/signin", form); to != "/history?x=1" || !c.in() {
		t.Errorf("to %q", to)
	}
	ticket := c.cookies[sessionCookie]
	out := c.do("POST", "/signout", url.Values{})
	if cleared := out.Header.Get("Clear-Site-Data"); cleared != `"cache"` {
		t.Errorf("signing out clears %s; \"storage\" would end the notices to this browser", cleared)
	}
	if out.Header.Get("Location") != "/signin" || c.in() {
		t.Errorf("signed out to %q", out.Header.Get("Location"))
	}
	c.cookies[sessionCookie] = ticket
	if c.in() {
		t.Error("the ended session's cookie works")
	}
	form.Set("next", "https://evil.example/")
	if to := c.post("/signin", form); to != "/" {
		t.Errorf("another site's next leads to %q", to)
	}
}

// TestNobodyLearnsWhoIsHere: the answers for a name that is there, one that is not and one that is disabled are the same, bytes and
// status, also when there were too many.
func TestNobodyLearnsWhoIsHere(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.join("ana")
	b.join("eva")
	b.must(b.store.SetUserDisabled(b.ctx, "eva", true))
	answers := func(name, path, field string) (list []string) {
		c := b.client()
		for range 12 {
			resp := c.do("POST", path, url.Values{"name": {name}, field: {"not the one"}})
			list = append(list, resp.Status+strings.ReplaceAll(text(t, resp), name, "NAME"))
		}
		return list
	}
	for path, field := range map[string]string{"/signin": "password", "/lost": "proof"} {
		want := answers("nobody"+field, path, field)
		if last := want[len(want)-1]; !strings.HasPrefix(last, "429") {
			t.Errorf("%s: the twelfth try is answered with %.20s", path, last)
		}
		for _, name := range []string{"ana", "eva"} {
			b.offset.Add(int64(time.Hour)) // the address has new tries
			for i, got := range answers(name, path, field) {
				if got != want[i] {
					t.Errorf("%s, try %d for %s:\n%s\nwant\n%s", path, i+1, name, got, want[i])
				}
			}
		}
	}
	b.offset.Add(int64(time.Hour))
	b.client().refused("/signin", signIn("eva", goodPassword), 422, "signin.wrong")
}

// TestStrangersLockNobodyOut: wrong tries from everywhere pause the account for strangers, and the owner's own browser gets in.
func TestStrangersLockNobodyOut(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	owner, _ := b.join("ana")
	owner.post("/signout", url.Values{})
	stranger := b.client()
	for range 12 {
		stranger.do("POST", "/signin", signIn("ana", "not the one"))
	}
	stranger.refused("/signin", signIn("ana", goodPassword), 429, "signin.pause")
	if to := owner.post("/signin", signIn("ana", goodPassword)); to != "/" || !owner.in() {
		t.Errorf("the owner is led to %q", to)
	}
	b.offset.Add(int64(16 * time.Minute))
	stranger.post("/signin", signIn("ana", goodPassword))
}

func TestSecondStep(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, row := b.join("ana")
	code := b.authenticator(row)
	c := b.client()
	form := signIn("ana", goodPassword)
	form.Set("next", "/history")
	if to := c.post("/signin", form); to != "/signin/step" || c.in() {
		t.Fatalf("to %q, signed in %v", to, c.in())
	}
	c.get("/signin/step")
	c.refused("/signin/step", url.Values{"code": {"000000"}}, 422, "signin.wrong_code")
	right := code()
	if to := c.post("/signin/step", url.Values{"code": {right[:3] + " " + right[3:]}}); to != "/history" || !c.in() {
		t.Fatalf("to %q", to)
	}
	second := b.client()
	second.post("/signin", form)
	second.refused("/signin/step", url.Values{"code": {right}}, 422, "signin.wrong_code")
	if to := b.client().post("/signin/step", url.Values{"code": {code()}}); to != "/signin" {
		t.Errorf("a code without a password leads to %q", to)
	}
	recovery := b.recovery(row)
	if to := second.post("/signin/step", url.Values{"code": {strings.ToLower(recovery[3])}}); to != "/history" || !second.in() {
		t.Errorf("a recovery code leads to %q", to)
	}
	third := b.client()
	third.post("/signin", form)
	third.refused("/signin/step", url.Values{"code": {recovery[3]}}, 422, "signin.wrong_code")
	b.offset.Add(int64(secondLife))
	if to := third.post("/signin/step", url.Values{"code": {recovery[4]}}); to != "/signin" || third.in() {
		t.Errorf("too late: to %q", to)
	}
}

// TestSecondStepsAreFew: whoever has the password tries five codes a quarter of an hour and twenty a day.
func TestSecondStepsAreFew(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, row := b.join("ana")
	code := b.authenticator(row)
	tried := 0
	for range 24 * 4 {
		c := b.client()
		if resp := c.do("POST", "/signin", signIn("ana", goodPassword)); resp.StatusCode != http.StatusSeeOther {
			t.Fatal(resp.Status)
		}
		for range 6 {
			if c.do("POST", "/signin/step", url.Values{"code": {"000000"}}).StatusCode == http.StatusUnprocessableEntity {
				tried++
			}
		}
		b.offset.Add(int64(15*time.Minute - time.Second))
	}
	if tried != 20 {
		t.Errorf("%d codes were judged in a day", tried)
	}
	c := b.client()
	c.post("/signin", signIn("ana", goodPassword))
	c.refused("/signin/step", url.Values{"code": {code()}}, 429, "signin.pause")
}

func TestResetLinkKeepsTheSecondFactor(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	old, row := b.join("ana")
	code := b.authenticator(row)
	reset := func(data string) string {
		ticket, _, err := b.store.NewLink(b.ctx, store.Link{Purpose: store.LinkReset, User: row, Data: data}, store.ResetLife)
		b.must(err)
		return LinkPath + ticket
	}
	c := b.client()
	if to := c.post(reset(""), url.Values{"password": {otherPassword}, "again": {otherPassword}}); to != "/signin/step" || c.in() || old.in() {
		t.Fatalf("to %q, signed in %v, the old session %v", to, c.in(), old.in())
	}
	if to := c.post("/signin/step", url.Values{"code": {code()}}); to != recoveryPath || !c.in() {
		t.Errorf("to %q", to)
	}
	c.do("GET", recoveryPath, nil) // makes them
	if page := c.get(recoveryPath); !strings.Contains(page, "Your recovery codes") {
		t.Errorf("no new codes are handed out: %s", page)
	}
	b.client().refused("/signin", signIn("ana", goodPassword), 422, "signin.wrong")
	if to := c.post(reset(store.LinkReplaceFactors), url.Values{"password": {goodPassword}, "again": {goodPassword}}); to != recoveryPath || !c.in() {
		t.Errorf("with new factors: to %q", to)
	}
}

var formAction = regexp.MustCompile(`action="(/account/sessions/\d+/end)"`)

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	first, _ := b.join("ana")
	phone := b.client()
	phone.header.Set("User-Agent", "Mozilla/5.0 (Linux; Android 16; Pixel) AppleWebKit/537.36 Chrome/141.0 Mobile Safari/537.36")
	phone.post("/signin", signIn("ana", goodPassword))
	page := first.get("/account")
	if !strings.Contains(page, "Chrome, Android") || !strings.Contains(page, "this browser") {
		t.Error(page)
	}
	ends := formAction.FindAllStringSubmatch(page, -1)
	if len(ends) != 1 {
		t.Fatalf("buttons: %v", ends)
	}
	stranger, _ := b.join("eva")
	stranger.post(ends[0][1], url.Values{})
	if !phone.in() {
		t.Error("a stranger ended a session")
	}
	first.post(ends[0][1], url.Values{})
	if phone.in() || !first.in() {
		t.Error("not that one ended")
	}
	phone.post("/signin", signIn("ana", goodPassword))
	first.post("/account/sessions/end", url.Values{})
	if phone.in() || !first.in() {
		t.Error("not the others ended")
	}
}

// TestChangesAskForAFactorAgain: a browser that was left open changes nothing about how its person signs in.
func TestChangesAskForAFactorAgain(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, row := b.join("ana")
	b.offset.Add(int64(provenSpan))
	for _, path := range []string{"/account/authenticator/new", "/account/authenticator", "/account/authenticator/remove", "/account/recovery/new",
		"/account/password", "/account/passkeys/1/remove"} {
		form := url.Values{"password": {otherPassword}, "again": {otherPassword}}
		if to := c.post(path, form); !strings.HasPrefix(to, "/prove?next=") {
			t.Errorf("POST %s leads to %q", path, to)
		}
	}
	if to := c.post("/account/profile", url.Values{"email": {"thief@example.org"}}); !strings.HasPrefix(to, "/prove") {
		t.Errorf("another address: to %q", to)
	}
	for _, path := range []string{"/account/passkeys/options", "/account/passkeys"} {
		if resp := c.do("POST", path, url.Values{}); resp.StatusCode != http.StatusForbidden {
			t.Errorf("POST %s: %s", path, resp.Status)
		}
	}
	c.refused("/prove", url.Values{"password": {"not the one"}}, 422, "signin.wrong_password")
	if to := c.post("/prove", url.Values{"password": {goodPassword}, "next": {"/account/password"}}); to != "/account/password" {
		t.Errorf("proven: to %q", to)
	}
	c.get("/account/password")
	code := b.authenticator(row)
	b.offset.Add(int64(provenSpan))
	c.refused("/prove", url.Values{"password": {goodPassword}}, 422, "signin.wrong_code")
	c.post("/prove", url.Values{"password": {goodPassword}, "code": {code()}})
	other := b.client()
	other.post("/signin", signIn("ana", goodPassword))
	other.post("/signin/step", url.Values{"code": {code()}})
	if to := c.post("/account/password", url.Values{"password": {otherPassword}, "again": {otherPassword}}); to != recoveryPath || other.in() || !c.in() {
		t.Errorf("to %q; another browser is in: %v", to, other.in())
	}
}

func TestThePanelAsksForASecondFactor(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.site.admin("GET /admin/test", func(x *exchange) error { return x.redirect("/shown") })
	c, row := b.join("ana")
	admin := store.RoleAdmin
	if resp := c.do("GET", "/admin/test", nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a person gets %s", resp.Status)
	}
	b.must(b.store.ChangeProfile(b.ctx, row, store.ProfileChange{Role: &admin}))
	shown := func() string { return c.do("GET", "/admin/test", nil).Header.Get("Location") }
	if to := shown(); to != "/shown" {
		t.Errorf("without a second factor: %q", to)
	}
	code := b.authenticator(row)
	if to := shown(); !strings.HasPrefix(to, "/prove") {
		t.Errorf("with one that this session never showed: %q", to)
	}
	c.post("/prove", url.Values{"password": {goodPassword}, "code": {code()}})
	if to := shown(); to != "/shown" {
		t.Errorf("with one that was shown: %q", to)
	}
	b.offset.Add(int64(panelSpan))
	if to := shown(); !strings.HasPrefix(to, "/prove") {
		t.Errorf("half a day later: %q", to)
	}
}

func TestAuthenticatorIsSetUpByItsFirstCode(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, row := b.join("ana")
	if to := c.post("/account/authenticator/new", url.Values{}); to != "/account/authenticator" {
		t.Fatal(to)
	}
	page := c.get("/account/authenticator")
	seed := regexp.MustCompile(`<code class="seed">([A-Z2-7 ]+)</code>`).FindStringSubmatch(page)
	if seed == nil || !strings.Contains(page, "data:image/png;base64,") || !strings.Contains(page, `href="otpauth://totp/`) {
		t.Fatal(page)
	}
	c.refused("/account/authenticator", url.Values{"code": {"000000"}}, 422, "account.code_wrong")
	code, err := otp.Code(strings.ReplaceAll(seed[1], " ", ""), b.now().Unix()/30)
	b.must(err)
	if to := c.post("/account/authenticator", url.Values{"code": {code}}); to != "/account/recovery" {
		t.Fatalf("to %q: the first second factor comes with recovery codes", to)
	}
	list := regexp.MustCompile(`<li><code>([0-9A-Z]{5}-[0-9A-Z]{5})</code>`).FindAllStringSubmatch(c.get("/account/recovery"), -1)
	f, err := b.store.Factors(row)
	if err != nil || !f.Authenticator || f.RecoveryLeft != otp.RecoveryCount || len(list) != otp.RecoveryCount {
		t.Errorf("%+v, %v, %d codes shown", f, err, len(list))
	}
	c.post("/account/recovery", url.Values{"kept": {"on"}})
	if resp := c.do("GET", "/account/recovery", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("kept codes are shown again: %s", resp.Status)
	}
	again := b.client()
	again.post("/signin", signIn("ana", goodPassword))
	again.refused("/signin/step", url.Values{"code": {code}}, 422, "signin.wrong_code")
	again.post("/signin/step", url.Values{"code": {list[0][1]}})
	if !again.in() {
		t.Error("a shown recovery code does not sign in")
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, row := b.join("ana")
	c.post("/account/profile", url.Values{"display_name": {"Ana García"}, "email": {"ana@example.org"}, "language": {"es"}})
	if page := c.get("/account"); !strings.Contains(page, "Ana García") || !strings.Contains(page, `<html lang="es">`) {
		t.Error(page)
	}
	u, err := b.store.UserByRow(row)
	if err != nil || u.Email != "ana@example.org" || u.Language != "es" {
		t.Errorf("%+v, %v", u, err)
	}
	elsewhere := b.client()
	elsewhere.post("/signin", signIn("ana", goodPassword))
	if page := elsewhere.get("/account"); !strings.Contains(page, `<html lang="es">`) {
		t.Error("another browser does not know the language")
	}
	c.post("/account/profile", url.Values{"language": {""}})
	for _, bad := range []string{"x", "a@b@c", "Ana <ana@example.org>", strings.Repeat("x", 250) + "@example.org"} {
		c.refused("/account/profile", url.Values{"email": {bad}}, 422, "account.email_bad")
	}
}

// TestAnAddressInsteadOfAName says what will not work, and offers no passkey.
func TestAnAddressInsteadOfAName(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	for address, want := range map[string]string{"https://192.0.2.1:8443": "account.limit_address", "https://[2001:db8::1]": "account.limit_address"} {
		site, err := New(Options{Store: b.store, Now: b.now, URL: address, SelfSigned: true, Passwords: quick})
		b.must(err)
		page := b.getFrom(site, address, "/account", c)
		if want, _, _ := strings.Cut(site.texts.text("en", want), "{"); !strings.Contains(page, want) || strings.Contains(page, "/account/passkeys/new") {
			t.Errorf("%s:\n%s", address, page)
		}
	}
	site, err := New(Options{Store: b.store, Now: b.now, URL: testURL, SelfSigned: true, Passwords: quick})
	b.must(err)
	if page := b.getFrom(site, testURL, "/account", c); !strings.Contains(page, "made its own certificate") {
		t.Error(page)
	}
	if page := c.get("/account"); strings.Contains(page, "made its own certificate") {
		t.Error("a good certificate is called a bad one")
	}
}
