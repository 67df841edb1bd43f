package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/latch-linux/latch/pkg/otp"
)

const (
	passphrase = "correct horse battery staple"
	seed       = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
)

// TestCodesInTheBrowserAreOurs compares what the page's script computes with pkg/otp, over every algorithm, length and kind, and has it
// read its own otpauth addresses back.
func TestCodesInTheBrowserAreOurs(t *testing.T) {
	t.Parallel()
	b := open(t, desktop)
	b.join()
	b.visit("/codes")
	draw := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []otp.Kind{otp.TOTP, otp.HOTP} {
		for _, algorithm := range []otp.Algorithm{otp.SHA1, otp.SHA256, otp.SHA512} {
			for _, digits := range []int{6, 8} {
				p := otp.Parameters{Kind: kind, Algorithm: algorithm, Digits: digits}
				at := time.Unix(draw.Int64N(1<<33), 0)
				step := draw.Int64N(1 << 40)
				if kind == otp.TOTP {
					p.Period = []int{30, 60}[draw.IntN(2)]
					step = p.Step(at)
				}
				secret := p.NewSecret()
				want, err := p.Code(secret, step)
				must(t, err)
				got := eval[string](b, fmt.Sprintf(`import(new URL("otpauth.js", document.querySelector("script[type=module]").src)).then(async (m) =>
					{ const e = m.parse(%q); return await m.code(m.parse(m.format(e)), %d) + " " + e.issuer + "/" + e.account; })`,
					p.URI(secret, "R&D über", "ana@x", step), at.UnixMilli()))
				if got != want+" R&D über/ana@x" {
					t.Errorf("%+v, step %d: the browser shows %q, want %q", p, step, got, want)
				}
			}
		}
	}
}

// unlock makes a vault in the tab.
func (b *tab) newVault() {
	b.t.Helper()
	b.visit("/codes")
	b.see("#new-passphrase")
	b.fill("#new-passphrase", passphrase)
	b.fill("#new-again", passphrase)
	b.press("button", "Begin")
	b.see("#codes-search")
}

// addCode adds the code of seed.
func (b *tab) addCode(service string) {
	b.t.Helper()
	b.fill("#secret", seed)
	b.fill("#service", service)
	b.press("button", "Add")
	b.read(service)
}

// shownNow tells whether the page shows the code of seed of this half minute, or of one beside it.
func (b *tab) shownNow() bool {
	b.t.Helper()
	shown := strings.ReplaceAll(b.text(".code output"), " ", "")
	for step := time.Now().Unix()/30 - 1; step <= time.Now().Unix()/30+1; step++ {
		if code, err := otp.Code(seed, step); err == nil && code == shown {
			return true
		}
	}
	return false
}

// TestCodesFollowTheirPersonToANewPhone: what one browser encrypts another one opens, with the passphrase alone, and the server's
// database holds nothing that could be read.
func TestCodesFollowTheirPersonToANewPhone(t *testing.T) {
	t.Parallel()
	old := open(t, phone)
	u := old.join()
	old.visit("/codes")
	old.see("#new-passphrase")
	old.check()
	old.newVault()
	old.check()
	old.addCode("Bank")
	if !old.shownNow() {
		t.Errorf("the page shows %q", old.text(".code output"))
	}
	old.check()
	old.shot("codes-phone")
	_, sealed, err := data.Vault(u.Row)
	must(t, err)
	var kept struct{ Slots []map[string]any }
	must(t, json.Unmarshal(sealed, &kept))
	if len(kept.Slots) != 1 || kept.Slots[0]["rounds"].(float64) < 600000 || bytes.Contains(sealed, []byte("Bank")) || bytes.Contains(sealed, []byte(seed)) {
		t.Errorf("the server has %s", sealed)
	}
	fresh := open(t, desktop.inDark())
	fresh.enter(u, goodPassword)
	fresh.at("/")
	fresh.visit("/codes")
	fresh.see("#passphrase")
	fresh.check()
	fresh.fill("#passphrase", "not the passphrase")
	fresh.press("button", "Unlock")
	fresh.read("That is not the passphrase.")
	fresh.fill("#passphrase", passphrase)
	fresh.press("button", "Unlock")
	fresh.read("Bank")
	if !fresh.shownNow() {
		t.Errorf("the new one shows %q", fresh.text(".code output"))
	}
	fresh.check()
	fresh.shot("codes-desktop-dark")
	// Two browsers that change it lose nothing of each other.
	fresh.expect("409")
	old.fill("#secret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	old.fill("#service", "Mail")
	old.press("button", "Add")
	old.read("Mail")
	fresh.fill("#secret", "otpauth://totp/Shop:ana?secret=MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK&digits=8")
	fresh.press("button", "Add")
	fresh.read("Shop")
	fresh.read("Mail")
	fresh.read("Bank")
}

func TestCodesAreSearchedMovedAndRemoved(t *testing.T) {
	t.Parallel()
	b := open(t, desktop)
	b.join()
	b.newVault()
	b.addCode("Bank")
	lines := "otpauth://totp/Shop:ana?secret=MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK&issuer=Shop&algorithm=SHA256&digits=8&period=60\n" +
		"otpauth://hotp/Club:eva?secret=GEZDGNBVGY3TQOJQ&issuer=Club&counter=7"
	b.fill("#lines", lines+"\nnonsense")
	b.press("button", "Import")
	b.read("Nothing was imported.")
	b.fill("#lines", lines)
	b.press("button", "Import")
	b.read("Club")
	b.fill("#codes-search", "sHo")
	b.wait(`document.querySelectorAll(".code").length === 1`)
	b.read("Shop")
	b.run(chromedp.Evaluate(`(() => { const s = document.querySelector("#codes-search"); s.value = ""; s.dispatchEvent(new Event("input")); })()`, nil))
	b.press("button", "Show all for another app")
	out := eval[string](b, `document.querySelector("#exported").value`)
	for _, want := range []string{"secret=" + seed, "algorithm=SHA256&digits=8&period=60", "otpauth://hotp/Club:eva?secret=GEZDGNBVGY3TQOJQ", "counter=7"} {
		if !strings.Contains(out, want) {
			t.Errorf("exported without %q:\n%s", want, out)
		}
	}
	hotp := otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6}
	for counter := int64(7); counter < 9; counter++ {
		code, err := hotp.Code("GEZDGNBVGY3TQOJQ", counter)
		must(t, err)
		b.read(code[:3] + " " + code[3:])
		b.press("button", "Next code: Club, eva")
	}
	b.press("button", "Remove: Bank")
	b.press("button", "Remove for good: Bank")
	b.wait(`document.querySelectorAll(".code").length === 2`)
	b.read("This browser cannot scan QR codes.")
	b.fill("#change-passphrase", "another good phrase")
	b.fill("#change-again", "another good phrase")
	b.press("button", "Change the passphrase")
	b.read("The passphrase was changed.")
	b.press("button", "Lock")
	b.see("#passphrase")
	b.fill("#passphrase", "another good phrase")
	b.press("button", "Unlock")
	b.read("Shop")
}

func TestCodesByPasskey(t *testing.T) {
	t.Parallel()
	b := open(t, phone.in("es"))
	b.authenticator()
	b.join()
	b.visit("/account/passkeys/new")
	b.press("button", "Añadir una llave de acceso")
	b.keepCodes()
	b.visit("/codes")
	b.see("#new-passphrase")
	b.fill("#new-passphrase", passphrase)
	b.fill("#new-again", passphrase)
	b.press("button", "Empezar")
	b.see("#codes-search")
	b.fill("#secret", seed)
	b.fill("#service", "Banco")
	b.press("button", "Añadir")
	b.press("button", "Desbloquear también con una llave de acceso")
	b.read("Una llave de acceso desbloquea ahora tus códigos.")
	b.check()
	b.press("button", "Bloquear")
	b.press("button", "Desbloquear con una llave de acceso")
	b.read("Banco")
	if !b.shownNow() {
		t.Errorf("the page shows %q", b.text(".code output"))
	}
}

// TestCodesByCamera has a browser that can scan, which this Chromium cannot, so its detector is ours; the page's way to it is not.
func TestCodesByCamera(t *testing.T) {
	t.Parallel()
	b := open(t, phone)
	b.join()
	b.visit("/codes")
	b.before(`window.BarcodeDetector = class { static async getSupportedFormats() { return ["qr_code"]; } async detect() { return [{ rawValue: "otpauth://totp/Bank:ana?secret=` + seed + `" }]; } };
		navigator.mediaDevices.getUserMedia = async () => document.createElement("canvas").captureStream();
		HTMLMediaElement.prototype.play = async () => {};`)
	b.newVault()
	b.press("button", "Scan a QR code")
	b.read("Bank")
	if !b.shownNow() {
		t.Errorf("the page shows %q", b.text(".code output"))
	}
	if on := eval[bool](b, `!document.querySelector("video").hidden`); on {
		t.Error("the camera stays on")
	}
}
