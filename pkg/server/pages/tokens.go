package pages

import (
	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) tokensRoutes() {
	s.person("GET /tokens", s.tokensPage)
}

// token is a one-time token that a login waits for.
type token struct {
	Token   string
	App     string
	Message string // of the application's
	Made    moment
	Left    int    // seconds
	Where   string // the login, in words
}

// tokensShown are the newest tokens that a page shows: whoever logs in again and again with a stolen password makes one each time.
const tokensShown = 20

// tokens lists what logins wait for, for a page's {{template "tokens"}}. It goes when it is used, as far as the host tells, or
// expires.
func (x *exchange) tokens() ([]token, error) {
	live, err := x.site.store.Tokens(x.visitor.User.Name)
	if err != nil {
		return nil, err
	}
	live = live[max(0, len(live)-tokensShown):]
	now := x.site.now().UnixMilli()
	list := make([]token, 0, len(live))
	for _, k := range live {
		list = append(list, token{Token: k.Token, App: k.App, Message: k.Message, Made: x.moment(k.Made), Left: int((k.Expires - now) / 1000),
			Where: notify.Where(words{x.site.texts}, x.lang, store.OriginOf(k.Context, k.IP))})
	}
	return list, nil
}

func (s *Site) tokensPage(x *exchange) error {
	list, err := x.tokens()
	if err != nil {
		return err
	}
	return x.page("tokens", struct{ Tokens []token }{list})
}
