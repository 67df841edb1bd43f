package pages

import (
	"net/http"
	"slices"

	"github.com/latch-linux/latch/pkg/server/store"
)

// shellRoutes are the routes that belong to no area.
func (s *Site) shellRoutes() {
	s.mux.Handle("GET /static/{hash}/{name...}", s.static)
	s.everybody("POST /language", s.chooseLanguage)
	s.everybody("/", func(*exchange) error { return statusError(http.StatusNotFound) })
	s.mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("User-agent: *\nDisallow: /\n"))
	})
}

// chooseLanguage keeps a choice for a year, in the browser that made it: the sign-in page has a language too.
func (s *Site) chooseLanguage(x *exchange) error {
	lang := x.r.PostFormValue("language")
	if !slices.Contains(s.texts.languages, lang) {
		return statusError(http.StatusBadRequest)
	}
	x.keepLanguage(lang)
	if x.visitor != nil { // notices are in it too
		if err := s.store.ChangeProfile(x.context(), x.visitor.User.Row, store.ProfileChange{Language: &lang}); err != nil {
			return err
		}
	}
	return x.redirect(localPath(x.r.PostFormValue("back"), "/"))
}

// keepLanguage keeps a choice in the browser; "" takes it back, and the browser's own wish counts.
func (x *exchange) keepLanguage(lang string) {
	age := hstsAge
	if lang == "" {
		age = -1
	}
	http.SetCookie(x.w, &http.Cookie{Name: languageCookie, Value: lang, Path: "/", MaxAge: age, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
}

// useLanguage takes the language that the visitor once chose, in a browser that knows no choice.
func (x *exchange) useLanguage() {
	if x.visitor == nil || !slices.Contains(x.site.texts.languages, x.visitor.User.Language) {
		return
	}
	if _, err := x.r.Cookie(languageCookie); err != nil {
		x.lang = x.visitor.User.Language
	}
}
