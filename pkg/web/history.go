package web

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/latch-linux/latch/pkg/notify"
	"github.com/latch-linux/latch/pkg/store"
)

func (s *Site) historyRoutes() {
	s.person("GET /history", s.historyPage)
	s.person("GET /history/latch-history.csv", s.historyFile)
}

// entriesPerPage is how many lines a page of the history has.
const entriesPerPage = 50

type historyView struct {
	Lines        []historyLine
	Apps         []store.Application
	App, Kind    string
	From, To     string
	Older, First string // addresses, "" where there is no such page
	File         string
}

// historyLine is an entry in words.
type historyLine struct {
	At    moment
	What  string // what happened
	Name  string // of the latch
	Where string
	Mark  string // open or closed, which the padlock beside it shows; "" for neither
	Bad   bool   // somebody was refused
}

// historyQuery reads what is asked for from the address. Dates are whole days of the visitor's clock.
func (x *exchange) historyQuery() (store.HistoryQuery, error) {
	form := x.r.URL.Query()
	q := store.HistoryQuery{App: form.Get("app"), Kind: form.Get("kind")}
	switch q.Kind {
	case "", store.HistoryAttempts, store.HistoryRefused, store.HistoryChanges:
	default:
		return q, statusError(http.StatusBadRequest)
	}
	var err error
	if q.From, err = x.dayStart(form.Get("from"), 0); err != nil {
		return q, err
	}
	if q.To, err = x.dayStart(form.Get("to"), 1); err != nil {
		return q, err
	}
	if q.To > 0 {
		q.To--
	}
	if before := form.Get("before"); before != "" {
		if q.Before, err = strconv.ParseInt(before, 10, 64); err != nil {
			return q, statusError(http.StatusBadRequest)
		}
	}
	return q, nil
}

// historyPage tells who tried what, from where, when, and with which result.
func (s *Site) historyPage(x *exchange) error {
	q, err := x.historyQuery()
	if err != nil {
		return err
	}
	user := x.visitor.User.Row
	if err := s.store.Settle(x.context(), user); err != nil {
		return err
	}
	q.Limit = entriesPerPage + 1
	entries, err := s.store.PersonHistory(user, q)
	if err != nil {
		return err
	}
	form := x.r.URL.Query()
	v := historyView{App: q.App, Kind: q.Kind, From: form.Get("from"), To: form.Get("to")}
	if v.Apps, err = s.store.PairedApplications(user); err != nil {
		return err
	}
	filter := url.Values{"app": {v.App}, "kind": {v.Kind}, "from": {v.From}, "to": {v.To}}
	v.File = "/history/latch-history.csv?" + filter.Encode()
	if q.Before > 0 {
		v.First = "/history?" + filter.Encode()
	}
	if len(entries) > entriesPerPage {
		entries = entries[:entriesPerPage]
		filter.Set("before", strconv.FormatInt(entries[entriesPerPage-1].ID, 10))
		v.Older = "/history?" + filter.Encode()
	}
	for _, e := range entries {
		v.Lines = append(v.Lines, x.historyLine(e))
	}
	return x.page("history", v)
}

// historyLine puts an entry into words.
func (x *exchange) historyLine(e store.Entry) historyLine {
	key := x.historyKey(e)
	l := historyLine{At: x.moment(e.T), What: x.text(key), Name: e.Name}
	if e.App != "" && e.App != e.Name {
		l.Name = e.App + " / " + e.Name
	}
	if until, err := strconv.ParseInt(e.Context[store.ContextUntil], 10, 64); err == nil && e.Action == store.ActionUser {
		l.What = x.text("history.opened_until", x.moment(until).Text)
	}
	if e.What == "status" {
		l.Mark = map[bool]string{true: "open", false: "closed"}[e.Value == "on"]
	}
	origin := store.OriginOf(e.Context, e.IP)
	switch e.Action {
	case store.ActionGet:
		l.Bad = e.Value == "off"
		l.Where = notify.Where(words{x.site.texts}, x.lang, origin)
	case store.ActionDeveloper:
		if l.Where = e.Context[store.ContextName]; l.Where == "" && origin.Host != "" {
			l.Where = notify.Where(words{x.site.texts}, x.lang, origin)
		}
	case store.ActionUser:
		if e.IP != "" {
			l.Where = x.text("history.from", x.device(e.UserAgent), e.IP)
		}
	}
	return l
}

// historyKey is the catalogue's key for what an entry tells: by what happened, and by whom.
func (x *exchange) historyKey(e store.Entry) string {
	by := map[string]string{store.ActionGet: "asked", store.ActionUser: "person", store.ActionDeveloper: "service",
		store.ActionTimer: "timer", store.ActionSchedule: "schedule"}[e.Action]
	for _, key := range []string{"history." + e.What + "." + e.Value + "." + by, "history." + e.What + "." + e.Value, "history." + e.What} {
		if x.site.texts.has(key) {
			return key
		}
	}
	return "history.other"
}

// historyFile is what the page shows, whole and as data, for a spreadsheet.
func (s *Site) historyFile(x *exchange) error {
	q, err := x.historyQuery()
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Disposition", `attachment; filename="latch-history.csv"`)
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	out := newCSV(x.w)
	if err := out.end(x.writeHistory(out, q)); err != nil {
		// The file is cut short; only a broken connection tells the browser.
		s.log.Warn("export", "file", "history", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (x *exchange) writeHistory(out csvWriter, q store.HistoryQuery) error {
	if err := out.row("time", "what", "name", "where", "action", "value", "host", "service", "address", "user"); err != nil {
		return err
	}
	for q.Limit = exportBatch; ; {
		entries, err := x.site.store.PersonHistory(x.visitor.User.Row, q)
		if err != nil {
			return err
		}
		x.patience()
		for _, e := range entries {
			l, o := x.historyLine(e), store.OriginOf(e.Context, e.IP)
			if err := out.row(iso(e.T), l.What, l.Name, l.Where, e.Action, e.What+" "+e.Value, o.Host, o.Service, o.Address, o.User); err != nil {
				return err
			}
			q.Before = e.ID
		}
		if len(entries) < exportBatch {
			return nil
		}
	}
}
