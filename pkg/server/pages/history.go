package pages

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) historyRoutes() {
	s.person("GET /history", s.historyPage)
	s.person("GET /history/"+historyFile, s.ownHistoryCSV)
}

// historyFile is what a person's history is called as a file.
const historyFile = "latch-history.csv"

// historyKinds are the kinds of lines that can be asked for, in the filter's order.
var historyKinds = []string{store.HistoryAttempts, store.HistoryLetIn, store.HistoryRefused, store.HistoryChanges}

// linesPerPage is how many lines a page of the history has.
const linesPerPage = 50

// historyView is what the history page shows.
type historyView struct {
	Days          []historyDay
	Latches       []latchChoice
	Kinds         []string
	Filter        url.Values
	Filtered      bool
	First         bool   // the newest lines: they are kept live
	Newest, Older string // addresses, "" where there is no such page
	CSV           string
}

type historyDay struct {
	ID, Name string
	Lines    []historyLine
}

// historyLine is one line in plain words.
type historyLine struct {
	Time   moment
	Result string // what came of it, or what was done: "Refused", "Closed"
	Latch  string // at which latch; "" for the account as a whole
	Kind   string // let_in, refused or changes
	Mark   string // the padlock beside it, open or closed; "" where no state is told
	By     string // who, and from where
}

// latchChoice is a latch that the filter offers.
type latchChoice struct{ ID, Name string }

// historyFilter are the names of the filter's fields.
var historyFilter = []string{"latch", "kind", "q", "from", "to"}

// historyQuery reads what is asked for from the address. Dates are whole days of the visitor's clock.
func (x *exchange) historyQuery() (q store.HistoryQuery, err error) {
	form := x.r.URL.Query()
	q = store.HistoryQuery{User: x.visitor.User.Row, Latch: form.Get("latch"), Kind: form.Get("kind"), Text: form.Get("q")}
	if q.Kind != "" && !slices.Contains(historyKinds, q.Kind) {
		return q, statusError(http.StatusBadRequest)
	}
	if q.From, q.To, err = x.daySpan(); err != nil {
		return q, err
	}
	if before := form.Get("before"); before != "" {
		t, id, _ := strings.Cut(before, ".")
		q.Before.T, err = strconv.ParseInt(t, 10, 64)
		if err == nil {
			q.Before.ID, err = strconv.ParseInt(id, 10, 64)
		}
		if err != nil {
			return q, statusError(http.StatusBadRequest)
		}
	}
	return q, nil
}

// historyPage writes down first what latches did by themselves, so that it is there to be seen.
func (s *Site) historyPage(x *exchange) error {
	q, err := x.historyQuery()
	if err != nil {
		return err
	}
	if err := s.store.Settle(x.context(), q.User); err != nil {
		return err
	}
	end, err := s.beginSearch(q)
	if err != nil {
		return err
	}
	defer end()
	q.Limit = linesPerPage
	page, err := s.store.PersonHistory(q)
	if err != nil {
		return err
	}
	d := historyView{Kinds: historyKinds, Filter: url.Values{}, First: q.Before.T == 0}
	for _, name := range historyFilter {
		if value := x.r.URL.Query().Get(name); value != "" {
			d.Filter.Set(name, value)
		}
	}
	d.Filtered = len(d.Filter) > 0
	d.CSV = withQuery("/history/"+historyFile, d.Filter)
	if !d.First {
		d.Newest = withQuery("/history", d.Filter)
	}
	if page.Next != (store.Mark{}) {
		older := url.Values{"before": {strconv.FormatInt(page.Next.T, 10) + "." + strconv.FormatInt(page.Next.ID, 10)}}
		for name, values := range d.Filter {
			older[name] = values
		}
		d.Older = withQuery("/history", older)
	}
	d.Days = x.historyDays(page.Entries)
	if d.Latches, err = x.latchChoices(); err != nil {
		return err
	}
	x.squeeze = true
	return x.page("history", d)
}

func withQuery(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// latchChoices lists a person's latches, each below what it belongs to.
func (x *exchange) latchChoices() ([]latchChoice, error) {
	apps, err := x.site.store.LatchTree(x.visitor.User.Row)
	if err != nil {
		return nil, err
	}
	var list []latchChoice
	var add func(above string, n store.NodeState)
	add = func(above string, n store.NodeState) {
		list = append(list, latchChoice{n.ID, above + n.Name})
		for _, child := range n.Children {
			add(above+n.Name+" / ", child)
		}
	}
	for _, a := range apps {
		add("", a.Status)
	}
	return list, nil
}

// historyDays puts lines, newest first, under the days that they are of.
func (x *exchange) historyDays(lines []store.Entry) []historyDay {
	var days []historyDay
	for _, e := range lines {
		t := time.UnixMilli(e.T).In(x.zone())
		id := t.Format(time.DateOnly)
		if len(days) == 0 || days[len(days)-1].ID != id {
			days = append(days, historyDay{ID: id, Name: x.dayTitle(t)})
		}
		d := &days[len(days)-1]
		d.Lines = append(d.Lines, x.historyLine(e))
	}
	return days
}

func (x *exchange) dayTitle(t time.Time) string {
	switch daysBetween(x.site.now().In(x.zone()), t) {
	case 0:
		return x.text("history.today")
	case -1:
		return x.text("history.yesterday")
	}
	return x.text("history.day", x.text("shell.weekday."+strconv.Itoa(int(t.Weekday()))), x.date(t))
}

// historyLine puts one line into words.
func (x *exchange) historyLine(e store.Entry) historyLine {
	l := historyLine{Time: x.moment(e.T), Kind: store.HistoryChanges, Latch: latchOf(e), By: x.by(e)}
	l.Time.Text = time.UnixMilli(e.T).In(x.zone()).Format("15:04")
	if e.What == "status" {
		l.Mark = map[bool]string{true: "open", false: "closed"}[e.Value == "on"]
	}
	switch {
	case e.Action == store.ActionGet && e.Value == "on":
		l.Kind, l.Result = store.HistoryLetIn, x.text("history.let_in")
	case e.Action == store.ActionGet:
		l.Kind, l.Result = store.HistoryRefused, x.text("history.refused")
		if e.Count > 1 {
			l.Result = x.count("history.refused_times", e.Count)
		}
	default:
		l.Result = x.changeText(e)
	}
	return l
}

// latchOf names a latch so that it is known apart from others: "ssh (servers)".
func latchOf(e store.Entry) string {
	if e.App == "" || e.Name == e.App {
		return e.Name
	}
	if e.Name == "" {
		return e.App
	}
	return e.Name + " (" + e.App + ")"
}

func (x *exchange) changeText(e store.Entry) string {
	if until, err := strconv.ParseInt(e.Context[store.ContextUntil], 10, 64); err == nil && e.Value == "on" {
		return x.text("history.status.until", x.moment(until).Text)
	}
	key := "history." + e.What + "." + e.Value
	if !x.site.texts.has(key) {
		return x.text("history.changed")
	}
	return x.text(key)
}

// by says who did it and from where. What a host asked or told has the host's words; what a person did has their browser's.
func (x *exchange) by(e store.Entry) string {
	if e.Action == store.ActionGet || e.What == "token" {
		return x.where(e)
	}
	text := x.text("history.by." + doer(e))
	switch {
	case e.Action == store.ActionUser && e.UserAgent != "":
		text = x.text("history.at", text, x.device(e.UserAgent))
	case e.Context[store.ContextName] != "":
		return text + ": " + e.Context[store.ContextName]
	case e.Action == store.ActionDeveloper:
		if where := x.where(e); where != "" {
			return text + ": " + where
		}
	}
	if e.Action == store.ActionUser && e.IP != "" {
		text = x.text("notices.where.from", text, e.IP)
	}
	return text
}

func (x *exchange) where(e store.Entry) string {
	return notify.Where(words{x.site.texts}, x.lang, store.OriginOf(e.Context, e.IP))
}

// doer is the word for who made a change, or what did.
func doer(e store.Entry) string {
	if way := e.Context[store.ContextWay]; way != "" {
		return way
	}
	switch e.Action {
	case store.ActionUser:
		return "you"
	case store.ActionTimer:
		return "timer"
	case store.ActionSchedule:
		return "schedule"
	}
	return "service"
}

// ownHistoryCSV sends all lines that are asked for, as they are read: neither side holds more of them than a batch.
func (s *Site) ownHistoryCSV(x *exchange) error {
	q, err := x.historyQuery()
	if err != nil {
		return err
	}
	end, err := s.beginSearch(q)
	if err != nil {
		return err
	}
	defer end()
	x.download(historyFile, func(w io.Writer) error { return x.writeHistory(w, q) })
	return nil
}

// beginSearch lets a person search for one text at a time: a search costs the processor what many logins do. Another one
// meanwhile is a *store.TooManyError.
func (s *Site) beginSearch(q store.HistoryQuery) (end func(), err error) {
	if strings.TrimSpace(q.Text) == "" {
		return func() {}, nil
	}
	if _, under := s.searches.LoadOrStore(q.User, true); under {
		return nil, &store.TooManyError{After: time.Second}
	}
	return func() { s.searches.Delete(q.User) }, nil
}

func (x *exchange) writeHistory(w io.Writer, q store.HistoryQuery) error {
	out := newCSV(w)
	if err := out.row("time", "result", "latch", "by", "application", "host", "service", "user", "address", "asker", "action", "what", "value", "was", "browser"); err != nil {
		return err
	}
	for q.Limit = exportBatch; ; {
		page, err := x.site.store.PersonHistory(q)
		if err != nil {
			return out.end(err)
		}
		x.patience()
		for _, e := range page.Entries {
			l, o := x.historyLine(e), store.OriginOf(e.Context, e.IP)
			err := out.row(iso(e.T), l.Result, l.Latch, l.By, e.App, o.Host, o.Service, o.User, o.Address, o.Asker, e.Action, e.What, e.Value, e.Was, e.UserAgent)
			if err != nil {
				return err
			}
		}
		if q.Before = page.Next; q.Before == (store.Mark{}) {
			return out.end(nil)
		}
	}
}
