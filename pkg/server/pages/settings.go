package pages

import "strings"

func (s *Site) settingsRoutes() {
	s.person("GET /settings", func(x *exchange) error { return x.page("settings", nil) })
	s.everybody("GET /install", s.installPage)
}

// installPage says step by step how the page becomes an app on the phone that asks, and on the others.
func (s *Site) installPage(x *exchange) error {
	agent := x.r.UserAgent()
	return x.page("install", struct {
		IPhone, Android bool
		Limits          limits
	}{strings.Contains(agent, "iPhone") || strings.Contains(agent, "iPad"), strings.Contains(agent, "Android"), s.limits()})
}
