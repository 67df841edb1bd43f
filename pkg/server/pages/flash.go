package pages

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// flashCookie carries a notice over the redirect that follows a change. It holds a key of the catalogue and its
// arguments, never HTML; whoever forges one deceives themselves alone.
const flashCookie = "__Host-flash"

// flash is a notice that one page shows once.
type flash struct {
	Key   string   `json:"k"`
	Args  []string `json:"a,omitempty"`
	Bad   bool     `json:"b,omitempty"` // something went wrong
	Undo  string   `json:"u,omitempty"` // a path to POST to that takes the change back
	Name  string   `json:"n,omitempty"` // the form's name and value that go with it
	Value string   `json:"v,omitempty"`
}

// flash shows a text of the catalogue on the next page.
func (x *exchange) flash(key string, args ...string) { x.setFlash(flash{Key: key, Args: args}) }

// flashBad is flash for what went wrong.
func (x *exchange) flashBad(key string, args ...string) {
	x.setFlash(flash{Key: key, Args: args, Bad: true})
}

func (x *exchange) setFlash(f flash) {
	text, err := json.Marshal(f)
	if err != nil {
		return // strings alone always marshal
	}
	http.SetCookie(x.w, &http.Cookie{Name: flashCookie, Value: base64.RawURLEncoding.EncodeToString(text), Path: "/", MaxAge: 60,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// takeFlash returns the notice that waits for this browser, nil without one, and forgets it.
func (x *exchange) takeFlash() *flash {
	c, err := x.r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(x.w, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	text, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return nil
	}
	var f flash
	if json.Unmarshal(text, &f) != nil || !x.site.texts.has(f.Key) {
		return nil
	}
	return &f
}
