package browser

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

const (
	goodPassword  = "tres tristes tigres"
	otherPassword = "cuatro gatos pardos"
)

// invitation makes a person of this test's own and returns the name and the link that an admin would send.
func invitation(t *testing.T) (u store.User, link string) {
	t.Helper()
	u = newPerson(t, store.RolePerson)
	ticket, _, err := data.NewLink(t.Context(), store.Link{Purpose: store.LinkInvite, User: u.Row}, store.InviteLife)
	must(t, err)
	return u, "/link/" + ticket
}

// join has a new person sign up by invitation in the tab.
func (b *tab) join() store.User {
	b.t.Helper()
	u, link := invitation(b.t)
	b.visit(link)
	b.choosePassword(goodPassword)
	b.at("/")
	return u
}

func (b *tab) choosePassword(password string) {
	b.t.Helper()
	b.fill("#password", password)
	b.fill("#again", password)
	b.click("main form button:not(.link)")
}

// at waits until the tab is at a path.
func (b *tab) at(path string) {
	b.t.Helper()
	b.wait(`location.pathname === "` + path + `" && document.readyState === "complete"`)
}

// enter signs in by password, up to the second step where there is one.
func (b *tab) enter(u store.User, password string) {
	b.t.Helper()
	b.visit("/signin")
	b.fill("#name", u.Name)
	b.fill("#password", password)
	b.click("form[action='/signin'] button")
}

// authenticator gives the tab a device that keeps passkeys and knows its owner.
func (b *tab) authenticator() {
	b.t.Helper()
	b.run(webauthn.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true, HasPrf: true,
		}).Do(ctx)
		return err
	}))
}

// keepCodes reads the recovery codes that a reset hands out, says that they are kept, and returns them.
func (b *tab) keepCodes() []string {
	b.t.Helper()
	b.at("/account/recovery")
	codes := regexp.MustCompile(`[0-9A-Z]{5}-[0-9A-Z]{5}`).FindAllString(b.text(".codes"), -1)
	if len(codes) != otp.RecoveryCount {
		b.t.Fatalf("codes: %v", codes)
	}
	b.click("input[name=kept]")
	b.click("form[action='/account/recovery'] button")
	b.at("/account")
	return codes
}

func TestSignUpByInvitation(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]look{"phone": phone, "desktop-dark-es": desktop.inDark().in("es")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, l)
			b.expect("422")
			b.expect("410")
			_, link := invitation(t)
			b.visit(link)
			b.see("#password")
			b.check()
			b.shot("invite-" + name)
			b.choosePassword("password123")
			b.see("[role=alert]")
			b.check()
			b.choosePassword(goodPassword)
			b.at("/")
			b.visit(link)
			b.see("a[href='/signin']")
			b.check()
		})
	}
}

func TestPasskey(t *testing.T) {
	t.Parallel()
	b := open(t, phone)
	b.authenticator()
	u := b.join()
	b.visit("/account/passkeys/new")
	b.see("#passkey-name")
	b.check()
	b.shot("passkey-new")
	b.fill("#passkey-name", "my phone")
	b.press("button", "Add a passkey")
	b.read("“my phone” was added")
	b.check()
	b.keepCodes()
	b.shot("account-phone")
	b.press("button", "Sign out here")
	b.at("/signin")
	b.check()
	b.shot("signin-phone")
	b.press("button", "Sign in with a passkey")
	b.at("/")
	keys, err := data.Passkeys(u.Row)
	if err != nil || len(keys) != 1 || keys[0].LastUse == 0 {
		t.Fatalf("%+v, %v", keys, err)
	}
	b.visit("/account")
	b.press("button", "Remove the passkey my phone")
	b.read("The passkey was removed.")
	b.press("button", "Sign out here")
	b.at("/signin")
	b.expect("422")
	b.press("button", "Sign in with a passkey")
	b.read("This passkey does not sign in here.")
	b.check()
}

// TestPasskeyInPlaceOfCodes: whoever has a passkey needs it for the second step and to change how they sign in.
func TestPasskeyInPlaceOfCodes(t *testing.T) {
	t.Parallel()
	b := open(t, desktop.in("es"))
	b.authenticator()
	u := b.join()
	b.visit("/account/passkeys/new")
	b.press("button", "Añadir una llave de acceso")
	b.keepCodes()
	b.press("button", "Cerrar sesión aquí")
	b.at("/signin")
	b.enter(u, goodPassword)
	b.at("/signin/step")
	b.check()
	b.press("button", "Entrar con una llave de acceso")
	b.at("/")
	b.visit("/prove?next=/account/password")
	b.see("#code")
	b.check()
	b.press("button", "Usar una llave de acceso")
	b.at("/account/password")
	b.check()
}

func TestSecondStepAndRecoveryCode(t *testing.T) {
	t.Parallel()
	b := open(t, phone)
	b.expect("422")
	u := b.join()
	b.visit("/account")
	b.press("button", "Set up an authenticator app")
	b.at("/account/authenticator")
	b.check()
	b.shot("authenticator-phone")
	seed := strings.ReplaceAll(b.text(".seed"), " ", "")
	code, err := otp.Code(seed, time.Now().Unix()/30)
	must(t, err)
	b.fill("#code", code)
	b.press("button", "Turn it on")
	b.at("/account/recovery")
	b.check()
	b.shot("recovery-phone")
	codes := b.keepCodes()
	b.press("button", "Sign out here")
	b.at("/signin")
	b.enter(u, goodPassword)
	b.at("/signin/step")
	b.fill("#code", code)
	b.press("button", "Sign in")
	b.read("wrong or was used before")
	b.check()
	b.shot("second-step-phone")
	next, err := otp.Code(seed, time.Now().Unix()/30+1) // the clock may be half a minute off
	must(t, err)
	b.fill("#code", next)
	b.press("button", "Sign in")
	b.at("/")
	b.visit("/account")
	b.press("button", "Sign out here")
	b.at("/signin")
	b.enter(u, goodPassword)
	b.at("/signin/step")
	b.fill("#code", strings.ToLower(codes[4]))
	b.press("button", "Sign in")
	b.at("/")
	if f, err := data.Factors(u.Row); err != nil || f.RecoveryLeft != otp.RecoveryCount-1 {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestLostPhone goes the whole way: another browser closes everything, the phone is out, a recovery code brings its person back.
func TestLostPhone(t *testing.T) {
	t.Parallel()
	lost := open(t, phone)
	lost.expect("401")
	lost.expect("ERR_")
	u := lost.join()
	app, account := paired(t, u.Name, "servers")
	codes := otp.NewRecovery()
	normal := make([]string, len(codes))
	for i, c := range codes {
		normal[i], _ = otp.NormalRecovery(c)
	}
	must(t, data.SetRecovery(t.Context(), u.Row, normal))
	b := open(t, desktop)
	b.expect("422")
	b.visit("/signin")
	b.press("link", "I lost this phone")
	b.see("#proof")
	b.check()
	b.shot("lost-desktop")
	b.fill("#name", u.Name)
	b.fill("#proof", "not the one")
	b.press("button", "Close everything now")
	b.read("Name, password or code is wrong.")
	b.fill("#proof", goodPassword)
	b.press("button", "Close everything now")
	b.at("/signin")
	b.read("Everything is closed")
	if s, err := data.Status(t.Context(), store.StatusRequest{App: app, AccountID: account}); err != nil || s.Open {
		t.Errorf("open %v, %v", s.Open, err)
	}
	lost.visit("/account")
	lost.at("/signin")
	b.enter(u, goodPassword)
	b.at("/signin/step")
	b.read("You said that you lost your phone")
	b.check()
	b.fill("#code", codes[0])
	b.press("button", "Sign in")
	b.at("/signin/back")
	b.check()
	b.choosePassword(otherPassword)
	b.at("/account/recovery")
	b.read("You are back.")
	b.check()
	b.keepCodes()
	lost.enter(u, goodPassword)
	lost.expect("422")
	lost.read("Name or password is wrong.")
}

func TestSessionsAreEndedFromElsewhere(t *testing.T) {
	t.Parallel()
	far := open(t, phone)
	far.expect("401")
	far.expect("ERR_")
	u := far.join()
	b := open(t, desktop)
	b.enter(u, goodPassword)
	b.at("/")
	b.visit("/account")
	b.read("this browser")
	b.check()
	b.shot("account-desktop")
	b.click("form[action^='/account/sessions/'][action$='/end']:not([action='/account/sessions/end']) button")
	b.read("That browser is signed out.")
	far.visit("/account")
	far.at("/signin")
	b.visit("/account")
	b.read("this browser")
}

// TestSignInWithoutScript: what needs a password needs nothing else.
func TestSignInWithoutScript(t *testing.T) {
	t.Parallel()
	u, link := invitation(t)
	b := open(t, phone.withoutScript())
	b.visit(link)
	b.choosePassword(goodPassword)
	b.see("nav.tabs")
	b.visit("/account")
	b.see("form[action='/signout'] button")
	b.shot("account-noscript")
	b.click("form[action='/signout'] button")
	b.see("#name")
	b.fill("#name", u.Name)
	b.fill("#password", goodPassword)
	b.click("form[action='/signin'] button")
	b.see("nav.tabs")
}
