package notify

import (
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// OpenFor is how long "it is me" opens a latch.
const OpenFor = 10 * time.Minute

// ClosePath is where a notice's link leads, its ticket follows; PagePath the page of one notice, its number follows.
const (
	ClosePath = "/close/"
	PagePath  = "/notice/"
)

// Words are the texts of notices in every language that there is. Keys begin with "notices.".
type Words interface {
	// Text returns the text of a key with args in the place of {1}, {2} …
	Text(lang, key string, args ...any) string
	// Count is Text for a number of things, which is {1}; args follow it.
	Count(lang, key string, n int, args ...any) string
	// When is an instant, in milliseconds since 1970 UTC, with its date and zone.
	When(lang string, zone *time.Location, ms int64) string
}

// Message is a notice in words.
type Message struct {
	Title   string
	Lines   []string
	When    string // when it happened, with date and zone
	Contact string // how to reach whoever runs the service, "" where nobody said

	Tag                   string // the same for one notice wherever it goes and however often
	Quiet                 bool
	CloseLabel, OpenLabel string // "" where there is nothing to close or to open

	kind              string
	page, close, open string // paths
	closed, unclosed  string // what to say after closing at one touch
}

func (m Message) text() string {
	lines := append(m.Lines[:len(m.Lines):len(m.Lines)], m.When)
	if m.Contact != "" {
		lines = append(lines, m.Contact)
	}
	return strings.Join(lines, "\n")
}

// urgent reports whether the person should see the notice at once.
func (m Message) urgent() bool {
	return !m.Quiet && (m.kind == store.NoticeRefused || m.kind == store.NoticeLetIn || m.kind == store.NoticeAccess || m.kind == store.NoticeTest)
}

// urgency is Web Push's word: whether it is worth the phone's battery.
func (m Message) urgency() string {
	switch {
	case m.urgent():
		return "high"
	case m.Quiet:
		return "low"
	}
	return "normal"
}

// priority is ntfy's number: 2 makes no sound, 4 a longer one than usual.
func (m Message) priority() int {
	switch {
	case m.urgent():
		return 4
	case m.Quiet:
		return 2
	}
	return 3
}

func (m Message) tags() []string {
	switch m.kind {
	case store.NoticeRefused, store.NoticeSummary:
		return []string{"no_entry"}
	case store.NoticeLetIn:
		return []string{"unlock"}
	}
	return []string{"lock"}
}

// write puts a notice into words for a channel.
func (s *Sender) write(d store.Delivery) Message {
	n, lang := d.Notice, d.Language
	m := Describe(s.words, lang, zoneOf(d.TimeZone), n)
	m.shorten()
	m.page = "/notices"
	if n.Kind != store.NoticeTest {
		m.page = PagePath + strconv.FormatInt(n.Row, 10)
	}
	if s.url == "" {
		return m
	}
	if n.Ticket != "" {
		m.CloseLabel, m.close = s.words.Text(lang, closeKey(n)), ClosePath+n.Ticket
		m.closed, m.unclosed = s.words.Text(lang, "notices.closed"), s.words.Text(lang, "notices.unclosed")
	}
	if CanOpen(n) {
		m.OpenLabel, m.open = s.words.Text(lang, "notices.open"), m.page
	}
	return m
}

// zoneOf returns the time zone of that IANA name, UTC for none and for an unknown one.
func zoneOf(name string) *time.Location {
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return time.UTC
}

// maxLine bounds each line of what is delivered, in bytes: names that a host tells must not make a message that a push service,
// or ntfy, has no room for.
const maxLine = 250

// maxBrief bounds the lines of a notice that a push service found too large, in bytes.
const maxBrief = 120

func (m *Message) shorten() {
	m.Title, m.Contact = cut(m.Title, maxLine), cut(m.Contact, maxLine)
	for i, line := range m.Lines {
		m.Lines[i] = cut(line, maxLine)
	}
}

// cut shortens a line to limit bytes and an ellipsis.
func cut(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	return strings.ToValidUTF8(line[:limit], "") + "…"
}

// CanOpen reports whether "it is me" makes sense for a notice: somebody was refused at one latch.
func CanOpen(n store.Notice) bool {
	return n.AppID != "" && (n.Kind == store.NoticeRefused || n.Kind == store.NoticeSummary && n.Of == store.NoticeRefused)
}

func closeKey(n store.Notice) string {
	if n.AppID == "" {
		return "notices.closeall"
	}
	return "notices.close"
}

func (s *Sender) absolute(path string) string {
	if s.url == "" {
		return ""
	}
	return strings.TrimSuffix(s.url, "/") + path
}

// Describe puts a notice into words without its links. Its time is given in zone.
func Describe(w Words, lang string, zone *time.Location, n store.Notice) Message {
	m := Message{kind: n.Kind, Tag: "latch-" + strconv.FormatInt(n.Row, 10), Quiet: n.Quiet}
	add := func(text string) {
		if text != "" {
			m.Lines = append(m.Lines, text)
		}
	}
	switch n.Kind {
	case store.NoticeTest:
		m.Title = w.Text(lang, "notices.test.title")
		add(w.Text(lang, "notices.test.text"))
	case store.NoticeSummary:
		m.Title = w.Count(lang, "notices.more."+n.Of, n.Count, latchName(w, lang, n))
		minutes := max(1, int((n.T-n.Since)/time.Minute.Milliseconds()))
		add(w.Count(lang, "notices.span", n.Addresses, minutes))
	case store.NoticeChange:
		m.Title = w.Text(lang, "notices.change."+changeWord(n), latchName(w, lang, n))
		add(w.Text(lang, "notices.by."+byWord(n), n.By))
		add(where(w, lang, n))
	case store.NoticeAccess:
		m.Title = w.Text(lang, "notices.access."+n.What)
		if n.By != "" {
			add(w.Text(lang, "notices.by.admin", n.By))
		}
		if n.Address != "" {
			add(w.Text(lang, "notices.where.fromonly", n.Address))
		}
		add(w.Text(lang, "notices.access.text"))
	default:
		m.Title = w.Text(lang, "notices."+n.Kind, latchName(w, lang, n))
		if n.Login != "" {
			add(w.Text(lang, "notices.who", n.Login))
		}
		add(where(w, lang, n))
		add(w.Text(lang, "notices.result."+n.Kind))
	}
	m.When = w.When(lang, zone, n.T)
	var contact []string
	for _, way := range []string{n.ContactEmail, n.ContactPhone} {
		if way != "" {
			contact = append(contact, way)
		}
	}
	if len(contact) > 0 {
		m.Contact = w.Text(lang, "notices.contact", strings.Join(contact, ", "))
	}
	return m
}

// latchName names a latch so that it is known apart from others: "ssh (servers)".
func latchName(w Words, lang string, n store.Notice) string {
	switch {
	case n.AppID == "" && n.App == "":
		return w.Count(lang, "notices.latches", n.Latches)
	case n.Name == n.App || n.Name == "":
		return n.App
	}
	return n.Name + " (" + n.App + ")"
}

func changeWord(n store.Notice) string {
	switch n.What + " " + n.Value {
	case "status on":
		return "on"
	case "status off":
		return "off"
	case "pairing paired", "pairing unpaired":
		return n.Value
	}
	return "other"
}

func byWord(n store.Notice) string {
	if n.By != "" {
		return "admin"
	}
	if n.Action == store.ActionUser {
		return "person"
	}
	return "service"
}

func where(w Words, lang string, n store.Notice) string {
	if n.Action == store.ActionUser { // there the asker is the browser
		return Where(w, lang, store.Origin{Address: n.Asker})
	}
	return Where(w, lang, store.Origin{Service: n.Service, Host: n.Host, Address: n.Address, Asker: n.Asker})
}

// Where says "sshd on web1 as ana from 203.0.113.7", as much of it as is known. The texts are w's notices.where.
func Where(w Words, lang string, o store.Origin) string {
	text := o.Service
	switch {
	case text != "" && o.Host != "":
		text = w.Text(lang, "notices.where.on", o.Service, o.Host)
	case o.Host != "":
		text = o.Host
	}
	if text == "" && o.Asker != "" {
		text = w.Text(lang, "notices.where.asker", o.Asker)
	}
	if text != "" && o.User != "" {
		text = w.Text(lang, "notices.where.as", text, o.User)
	}
	switch {
	case o.Address == "":
		return text
	case text == "":
		return w.Text(lang, "notices.where.fromonly", o.Address)
	}
	return w.Text(lang, "notices.where.from", text, o.Address)
}
