package web

import (
	"net/http"
	"slices"
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
	http.SetCookie(x.w, &http.Cookie{Name: languageCookie, Value: lang, Path: "/", MaxAge: hstsAge, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
	return x.redirect(localPath(x.r.PostFormValue("back"), "/"))
}
