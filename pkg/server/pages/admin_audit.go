package pages

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) adminAuditRoutes() {
	s.auditor("GET /admin/audit", s.auditPage)
	s.auditor("GET /admin/export/{file}", s.export)
}

// actsPerPage is how many acts a page of the audit log has.
const actsPerPage = 50

type auditList struct {
	Text, Act, From, To string
	Acts                []actRow
	Names               []actName
	Older, Newest       string // addresses, "" where there is no such page
	CSV, JSONLines      string // addresses of the exports
}

type actRow struct {
	Time                     moment
	Act, Target, Who, Detail string
	Via, IP                  string
}

type actName struct{ Name, Label string }

// actLabel is an act in words, or its name where the catalogue has none.
func (x *exchange) actLabel(name string) string {
	if key := "admin.act." + name; x.site.texts.has(key) {
		return x.text(key)
	}
	return name
}

// auditQuery reads what is asked for from the address. Dates are whole days of the visitor's clock.
func (x *exchange) auditQuery() (store.AuditQuery, error) {
	form := x.r.URL.Query()
	q := store.AuditQuery{Text: strings.TrimSpace(form.Get("q")), Act: form.Get("act")}
	var err error
	if q.From, q.To, err = x.daySpan(); err != nil {
		return q, err
	}
	if before := form.Get("before"); before != "" {
		if q.Before, err = strconv.ParseInt(before, 10, 64); err != nil {
			return q, statusError(http.StatusBadRequest)
		}
	}
	return q, nil
}

// daySpan reads the days that are asked for, in milliseconds, both inclusive; 0 is no limit.
func (x *exchange) daySpan() (from, to int64, err error) {
	form := x.r.URL.Query()
	if from, err = x.dayStart(form.Get("from"), 0); err != nil {
		return 0, 0, err
	}
	if to, err = x.dayStart(form.Get("to"), 1); err != nil {
		return 0, 0, err
	}
	if to > 0 {
		to--
	}
	return from, to, nil
}

// dayStart is when a day begins that is some days after a date; 0 for "".
func (x *exchange) dayStart(date string, later int) (int64, error) {
	if date == "" {
		return 0, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, date, x.zone())
	if err != nil {
		return 0, statusError(http.StatusBadRequest)
	}
	return t.AddDate(0, 0, later).UnixMilli(), nil
}

func (s *Site) auditPage(x *exchange) error {
	q, err := x.auditQuery()
	if err != nil {
		return err
	}
	q.Limit = actsPerPage + 1
	acts, err := s.store.Acts(q)
	if err != nil {
		return err
	}
	names, err := s.store.ActNames()
	if err != nil {
		return err
	}
	form := x.r.URL.Query()
	d := auditList{Text: q.Text, Act: q.Act, From: form.Get("from"), To: form.Get("to")}
	for _, name := range names {
		d.Names = append(d.Names, actName{name, x.actLabel(name)})
	}
	filter := url.Values{"q": {d.Text}, "act": {d.Act}, "from": {d.From}, "to": {d.To}}
	// Whole addresses: the template would escape a query of its own as one value.
	query := "?" + filter.Encode()
	d.CSV, d.JSONLines = "/admin/export/audit.csv"+query, "/admin/export/audit.jsonl"+query
	if len(acts) > actsPerPage {
		acts = acts[:actsPerPage]
		filter.Set("before", strconv.FormatInt(acts[actsPerPage-1].ID, 10))
		d.Older = "/admin/audit?" + filter.Encode()
	}
	if q.Before > 0 {
		d.Newest = "/admin/audit" + query
	}
	for _, a := range acts {
		d.Acts = append(d.Acts, x.actRow(a))
	}
	return x.page("admin_audit", d)
}

func (x *exchange) actRow(a store.Act) actRow {
	var detail []string
	for _, key := range slices.Sorted(maps.Keys(a.Detail)) {
		detail = append(detail, key+": "+a.Detail[key])
	}
	return actRow{Time: x.moment(a.T), Act: x.actLabel(a.Name), Target: a.Target, Who: a.Actor.Name, Via: a.Actor.Via, IP: a.Actor.IP,
		Detail: strings.Join(detail, ", ")}
}

// exportBatch is how many lines an export reads at a time, and exportPatience how long a browser may take for them.
const (
	exportBatch    = 1000
	exportPatience = 30 * time.Second
)

// exports are the files there are: CSV for a spreadsheet, a JSON object a line for a program.
var exports = map[string]func(*exchange, io.Writer) error{
	"audit.csv":     (*exchange).auditCSV,
	"audit.jsonl":   (*exchange).auditLines,
	"history.csv":   (*exchange).historyCSV,
	"history.jsonl": (*exchange).historyLines,
}

// export sends a whole file, as it is read: neither side holds more of it than a batch. That it was taken is an act.
func (s *Site) export(x *exchange) error {
	file := x.r.PathValue("file")
	write, ok := exports[file]
	if !ok {
		return statusError(http.StatusNotFound)
	}
	if _, err := x.auditQuery(); err != nil {
		return err
	}
	if err := s.store.Note(x.context(), "export", file, nil); err != nil {
		return err
	}
	x.download(file, func(w io.Writer) error { return write(x, w) })
	return nil
}

// download sends a file as it is written.
func (x *exchange) download(file string, write func(io.Writer) error) {
	h := x.w.Header()
	h.Set("Content-Disposition", `attachment; filename="`+file+`"`)
	h.Set("Content-Type", map[bool]string{true: "text/csv; charset=utf-8; header=present", false: "application/jsonl"}[strings.HasSuffix(file, ".csv")])
	if err := write(x.w); err != nil {
		// The file is cut short; only a broken connection tells the browser.
		x.site.log.Warn("export", "file", file, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// eachAct calls fn for every act that is asked for, oldest last, and gives the browser time for each batch.
func (x *exchange) eachAct(fn func(store.Act) error) error {
	q, err := x.auditQuery()
	if err != nil {
		return err
	}
	for q.Limit = exportBatch; ; {
		acts, err := x.site.store.Acts(q)
		if err != nil {
			return err
		}
		x.patience()
		for _, a := range acts {
			if err := fn(a); err != nil {
				return err
			}
			q.Before = a.ID
		}
		if len(acts) < exportBatch {
			return nil
		}
	}
}

func (x *exchange) eachEntry(fn func(store.Entry) error) error {
	q, err := x.auditQuery()
	if err != nil {
		return err
	}
	if q.To == 0 {
		q.To = x.site.now().UnixMilli()
	}
	for id := int64(0); ; {
		entries, err := x.site.store.HistoryAfter(id, q.From, q.To, exportBatch)
		if err != nil {
			return err
		}
		x.patience()
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
			id = e.ID
		}
		if len(entries) < exportBatch {
			return nil
		}
	}
}

// patience lets the answer take longer than others may, by one batch. What cannot be told so (a test's recorder) has no limit.
func (x *exchange) patience() {
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(exportPatience))
}

func iso(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func (x *exchange) auditCSV(w io.Writer) error {
	out := newCSV(w)
	if err := out.row("time", "id", "act", "target", "actor", "via", "ip", "detail"); err != nil {
		return err
	}
	err := x.eachAct(func(a store.Act) error {
		detail := ""
		if len(a.Detail) > 0 {
			text, err := json.Marshal(a.Detail)
			if err != nil {
				return err
			}
			detail = string(text)
		}
		return out.row(iso(a.T), strconv.FormatInt(a.ID, 10), a.Name, a.Target, a.Actor.Name, a.Actor.Via, a.Actor.IP, detail)
	})
	return out.end(err)
}

func (x *exchange) historyCSV(w io.Writer) error {
	out := newCSV(w)
	if err := out.row("time", "id", "user", "application", "name", "action", "what", "value", "was", "ip", "host", "service", "phase", "rhost", "user_agent"); err != nil {
		return err
	}
	err := x.eachEntry(func(e store.Entry) error {
		return out.row(iso(e.T), strconv.FormatInt(e.ID, 10), e.User, e.App, e.Name, e.Action, e.What, e.Value, e.Was, e.IP,
			e.Context["host"], e.Context["service"], e.Context["phase"], e.Context["rhost"], e.UserAgent)
	})
	return out.end(err)
}

func (x *exchange) auditLines(w io.Writer) error {
	out := json.NewEncoder(w)
	return x.eachAct(func(a store.Act) error {
		return out.Encode(struct {
			Time   string            `json:"time"`
			ID     int64             `json:"id"`
			Act    string            `json:"act"`
			Target string            `json:"target"`
			Actor  string            `json:"actor"`
			Via    string            `json:"via"`
			IP     string            `json:"ip"`
			Detail map[string]string `json:"detail,omitempty"`
		}{iso(a.T), a.ID, a.Name, a.Target, a.Actor.Name, a.Actor.Via, a.Actor.IP, a.Detail})
	})
}

func (x *exchange) historyLines(w io.Writer) error {
	out := json.NewEncoder(w)
	return x.eachEntry(func(e store.Entry) error {
		return out.Encode(struct {
			Time      string            `json:"time"`
			ID        int64             `json:"id"`
			User      string            `json:"user"`
			App       string            `json:"application"`
			Name      string            `json:"name"`
			Action    string            `json:"action"`
			What      string            `json:"what"`
			Value     string            `json:"value"`
			Was       string            `json:"was"`
			IP        string            `json:"ip"`
			UserAgent string            `json:"user_agent"`
			Host      map[string]string `json:"host,omitempty"`
		}{iso(e.T), e.ID, e.User, e.App, e.Name, e.Action, e.What, e.Value, e.Was, e.IP, e.UserAgent, e.Context})
	})
}

// end flushes what is left, after an error or without one.
func (c csvWriter) end(err error) error {
	c.csv.Flush()
	if err != nil {
		return err
	}
	if err := c.csv.Error(); err != nil {
		return fmt.Errorf("csv: %w", err)
	}
	return nil
}
