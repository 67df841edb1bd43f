package pages

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/server/webpush"
)

// noticesShown is how many notices the page lists; older ones are in the history.
const noticesShown = 30

// noticesRoutes are what a person is told and where, and the links in what they were told.
func (s *Site) noticesRoutes() {
	s.person("GET /notices", s.noticesPage)
	s.person("GET /notice/{row}", s.noticePage)
	s.person("POST /notice/{row}/open", s.openByNotice)
	s.person("GET /notices/channels", s.channelsPage)
	s.person("POST /notices/channels", afresh("/notices/channels", s.addChannel))
	s.person("POST /notices/channels/{row}/test", s.testChannel)
	s.person("POST /notices/channels/{row}/remove", s.removeChannel)
	s.person("GET /notices/rules", s.rulesPage)
	s.person("POST /notices/rules/{account}", s.setRules)

	s.everybody("GET /close/{ticket}", s.closePage)
	s.everybody("POST /close/{ticket}", s.closeByLink)
	// The ticket is all that counts there, and a notice's button may press it from another site.
	s.cross.AddInsecureBypassPattern("POST /close/{ticket}")
	s.everybody("GET /closed", func(x *exchange) error { return x.page("closed", nil) })
}

// Deliver sends notices until ctx is done.
func (s *Site) Deliver(ctx context.Context) { s.notices.Run(ctx) }

// TestChannel tries a channel of a person (app 0) or an application (user 0). problem says in English what was wrong, "" if
// nothing was.
func (s *Site) TestChannel(ctx context.Context, user, app, row int64) (problem string, err error) {
	if problem, err = s.notices.Test(ctx, user, app, row); problem != "" {
		problem = s.texts.text(defaultLanguage, "notices.problem."+problem)
	}
	return problem, err
}

// words are the catalogue's texts for what is delivered.
type words struct{ texts *catalogue }

func (w words) known(lang string) string {
	if _, ok := w.texts.texts[lang]; ok {
		return lang
	}
	return defaultLanguage
}

// Text implements notify.Words.
func (w words) Text(lang, key string, args ...any) string {
	return w.texts.text(w.known(lang), key, args...)
}

// Count implements notify.Words.
func (w words) Count(lang, key string, n int, args ...any) string {
	return w.texts.count(w.known(lang), key, n, args...)
}

// When implements notify.Words.
func (w words) When(lang string, zone *time.Location, ms int64) string {
	t := time.UnixMilli(ms).In(zone)
	return w.Text(lang, "shell.date", t.Day(), w.Text(lang, "shell.month."+strconv.Itoa(int(t.Month()))), t.Year()) + " " + t.Format("15:04 MST")
}

// noticeView is a notice as the pages show it.
type noticeView struct {
	notify.Message
	Row    int64
	Kind   string
	Moment moment
	Ticket string // "" where there is nothing to close, or the link is too old
	All    bool   // the link closes everything
	Open   int    // for how many minutes "it is me" opens, 0 where it makes no sense
}

func (x *exchange) notice(n store.Notice) noticeView {
	v := noticeView{Message: notify.Describe(words{x.site.texts}, x.lang, x.zone(), n), Row: n.Row, Kind: n.Kind, Moment: x.moment(n.T), All: n.AppID == ""}
	if x.site.now().Sub(time.UnixMilli(n.T)) < store.NoticeLife {
		v.Ticket = n.Ticket
	}
	if notify.CanOpen(n) {
		v.Open = int(notify.OpenFor / time.Minute)
	}
	return v
}

func (s *Site) noticesPage(x *exchange) error {
	list, err := s.store.Notices(x.visitor.User.Row, noticesShown)
	if err != nil {
		return err
	}
	channels, err := s.store.Channels(x.visitor.User.Row)
	if err != nil {
		return err
	}
	d := struct {
		Notices  []noticeView
		Channels int
		Failing  int
	}{Channels: len(channels)}
	for _, c := range channels {
		if c.Failing != 0 {
			d.Failing++
		}
	}
	for _, n := range list {
		d.Notices = append(d.Notices, x.notice(n))
	}
	return x.page("notices", d)
}

// rowOf is the number that a path names.
func (x *exchange) rowOf() (int64, error) {
	row, err := strconv.ParseInt(x.r.PathValue("row"), 10, 64)
	if err != nil {
		return 0, statusError(http.StatusNotFound)
	}
	return row, nil
}

func (s *Site) noticePage(x *exchange) error {
	row, err := x.rowOf()
	if err != nil {
		return err
	}
	n, err := s.store.Notice(x.visitor.User.Row, row)
	if err != nil {
		return err
	}
	return x.page("notice", x.notice(n))
}

// openByNotice is "it is me": for whoever is signed in, never for a link alone.
func (s *Site) openByNotice(x *exchange) error {
	row, err := x.rowOf()
	if err != nil {
		return err
	}
	until, err := s.store.OpenByNotice(x.r.Context(), x.visitor.User.Row, row, notify.OpenFor, x.attempt())
	if errors.Is(err, store.ErrUserDisabled) {
		return statusError(http.StatusForbidden)
	}
	if err != nil {
		return err
	}
	x.flash("notices.opened", x.moment(until).Text)
	return x.redirect("/")
}

// closing is the page of a link that closes.
type closing struct {
	Ticket string
	Name   string // of the latch; "" with All
	All    bool
	Spent  bool
}

// closePage shows what a link would close. It closes nothing: mail programs look at links, too.
func (s *Site) closePage(x *exchange) error {
	ticket := x.r.PathValue("ticket")
	c, err := s.store.ClosingOf(ticket)
	if errors.Is(err, store.ErrLinkSpent) {
		return x.pageStatus(http.StatusGone, "close", closing{Spent: true})
	}
	if err != nil {
		return err
	}
	return x.page("close", closing{Ticket: ticket, Name: closingName(c), All: c == store.Closing{}})
}

func closingName(c store.Closing) string {
	if c.Name == c.App || c.Name == "" {
		return c.App
	}
	return c.Name + " (" + c.App + ")"
}

// closeByLink closes, for whoever has the link. A browser gets a page; the button of a notification, which is no page, a line.
func (s *Site) closeByLink(x *exchange) error {
	page := strings.Contains(x.r.Header.Get("Accept"), "text/html")
	if !page {
		x.w.Header().Set("Access-Control-Allow-Origin", "*")
		x.w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	c, err := s.store.CloseByLink(x.r.Context(), x.r.PathValue("ticket"), x.attempt())
	spent := errors.Is(err, store.ErrLinkSpent)
	switch {
	case err != nil && !spent:
		return err
	case spent && page:
		return x.pageStatus(http.StatusGone, "close", closing{Spent: true})
	case page:
		if name := closingName(c); name != "" {
			x.flash("notices.closedname", name)
		}
		return x.redirect("/closed")
	}
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := x.text("notices.closed")
	if spent {
		x.w.WriteHeader(http.StatusGone)
		text = x.text("notices.spent")
	}
	x.w.Write([]byte(text + "\n"))
	return nil
}

// channelView is a channel as the page shows it.
type channelView struct {
	store.Channel
	Problem       string // key of the text, "" if all is well
	Since, LastOK moment
}

func (x *exchange) channel(c store.Channel) channelView {
	v := channelView{Channel: c, Since: x.moment(c.Failing), LastOK: x.moment(c.LastOK)}
	if c.Problem != "" {
		v.Problem = "notices.problem." + c.Problem
	}
	return v
}

func (s *Site) channelsPage(x *exchange) error { return s.showChannels(x, http.StatusOK, "", nil) }

func (s *Site) showChannels(x *exchange, status int, problem string, form url.Values) error {
	list, err := s.store.Channels(x.visitor.User.Row)
	if err != nil {
		return err
	}
	_, mail, err := s.store.MailServer()
	if err != nil {
		return err
	}
	key, err := s.notices.PushKey(x.r.Context())
	if err != nil {
		return err
	}
	d := struct {
		Channels []channelView
		PushKey  string
		Mail     bool
		Limits   limits
		Problem  string
		Kind     string
		URL      string
		Address  string
	}{PushKey: key.Public(), Mail: mail, Limits: s.limits(), Problem: problem, Kind: form.Get("kind"), URL: form.Get("url"), Address: form.Get("address")}
	if d.Address == "" {
		d.Address = x.visitor.User.Email
	}
	for _, c := range list {
		d.Channels = append(d.Channels, x.channel(c))
	}
	return x.pageStatus(status, "channels", d)
}

// addChannel keeps a channel and tries it at once, so that nobody relies on one that does not work.
func (s *Site) addChannel(x *exchange) error {
	if err := x.r.ParseForm(); err != nil {
		return statusError(http.StatusBadRequest)
	}
	c, problem, err := s.channelOf(x.r.PostForm, x.device(x.r.UserAgent()))
	if err != nil {
		return err
	}
	if problem != "" {
		return s.showChannels(x, http.StatusUnprocessableEntity, problem, x.r.PostForm)
	}
	c.User, c.Settings.Language = x.visitor.User.Row, x.lang
	row, err := s.store.SaveChannel(x.context(), c)
	if errors.Is(err, store.ErrTooMany) {
		return s.showChannels(x, http.StatusUnprocessableEntity, "notices.toomany", x.r.PostForm)
	}
	if err != nil {
		return err
	}
	return s.tryChannel(x, x.visitor.User.Row, 0, row, "/notices/channels")
}

// channelOf reads a form. device names a browser; problem is the key of a text for the person.
func (s *Site) channelOf(form url.Values, device string) (c store.Channel, problem string, err error) {
	private, err := s.notices.Private()
	if err != nil {
		return c, "", err
	}
	c.Kind = form.Get("kind")
	address := strings.TrimSpace(form.Get("url"))
	switch c.Kind {
	case store.ChannelNtfy:
		base, topic, ok := notify.SplitTopic(address)
		if !ok || notify.CheckURL(address, private) != nil {
			return c, "notices.ntfy.bad", nil
		}
		c.Label = strings.TrimPrefix(strings.TrimPrefix(base, "https://"), "http://") + topic
		c.Settings = store.ChannelSettings{URL: address, Token: strings.TrimSpace(form.Get("token"))}
	case store.ChannelMail:
		to := strings.TrimSpace(form.Get("address"))
		if notify.CheckMailAddress(to) != nil {
			return c, "notices.mail.bad", nil
		}
		c.Label, c.Settings = to, store.ChannelSettings{Address: to}
	case store.ChannelPush:
		key, errKey := base64.RawURLEncoding.DecodeString(form.Get("p256dh"))
		auth, errAuth := base64.RawURLEncoding.DecodeString(form.Get("auth"))
		if errKey != nil || errAuth != nil || webpush.CheckKeys(key, auth) != nil || notify.CheckURL(address, private) != nil {
			return c, "notices.push.bad", nil
		}
		c.Settings = store.ChannelSettings{URL: address, Key: key, Auth: auth}
		c.Label = device
	default:
		return c, "", statusError(http.StatusBadRequest)
	}
	return c, "", nil
}

func (s *Site) testChannel(x *exchange) error {
	row, err := x.rowOf()
	if err != nil {
		return err
	}
	return s.tryChannel(x, x.visitor.User.Row, 0, row, "/notices/channels")
}

// tryChannel tests a channel of a person (app 0) or an application (user 0) and says on the page back what came of it.
func (s *Site) tryChannel(x *exchange, user, app, row int64, back string) error {
	problem, err := s.notices.Test(x.r.Context(), user, app, row)
	var many *store.TooManyError
	switch {
	case errors.As(err, &many):
		x.flashBad("notices.toomanytests")
	case err != nil:
		return err
	case problem != "":
		x.flashBad("notices.problem." + problem)
	default:
		x.flash("notices.sent")
	}
	return x.redirect(back)
}

func (s *Site) removeChannel(x *exchange) error {
	row, err := x.rowOf()
	if err != nil {
		return err
	}
	if err := s.store.RemoveChannel(x.context(), x.visitor.User.Row, 0, row); err != nil {
		return err
	}
	x.flash("notices.removed")
	return x.redirect("/notices/channels")
}
