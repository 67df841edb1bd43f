package pages

import (
	"strconv"
	"time"
)

// moment is an instant as a page shows it; {{template "time" .}} renders it.
type moment struct {
	ISO  string // for the browser and screen readers, RFC 3339 in UTC
	Text string // as short as the reader can do with: "14:05", "Mon 14:05", "3 May 2026"
	Full string // date, time and zone
}

// moment renders milliseconds since 1970 UTC in the visitor's language and zone.
func (x *exchange) moment(ms int64) moment {
	t, now := time.UnixMilli(ms).In(x.zone()), x.site.now().In(x.zone())
	return moment{
		ISO:  t.UTC().Format(time.RFC3339),
		Text: x.day(t, now) + t.Format("15:04"),
		Full: x.date(t) + " " + t.Format("15:04:05 MST"),
	}
}

// zone is the visitor's, UTC where none is known.
func (x *exchange) zone() *time.Location {
	if x.visitor != nil && x.visitor.Zone != nil {
		return x.visitor.Zone
	}
	return time.UTC
}

// day names the day of t as seen from now, with a blank after it: nothing for today.
func (x *exchange) day(t, now time.Time) string {
	switch days := daysBetween(now, t); {
	case days == 0:
		return ""
	case days == -1:
		return x.text("shell.yesterday") + " "
	case days == 1:
		return x.text("shell.tomorrow") + " "
	case days > 0 && days < 7:
		return x.text("shell.weekday."+strconv.Itoa(int(t.Weekday()))) + " "
	}
	return x.date(t) + " "
}

func (x *exchange) date(t time.Time) string {
	return x.text("shell.date", t.Day(), x.text("shell.month."+strconv.Itoa(int(t.Month()))), t.Year())
}

// daysBetween counts midnights from a to b, in the zone that both are in.
func daysBetween(a, b time.Time) int {
	day := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	return int(day(b).Sub(day(a)) / (24 * time.Hour))
}
