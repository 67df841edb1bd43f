package pages

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/schedule"
	"github.com/latch-linux/latch/pkg/server/store"
)

// commonZones are offered where the browser cannot name them all.
var commonZones = []string{"Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "America/Argentina/Buenos_Aires", "America/Bogota",
	"America/Caracas", "America/Chicago", "America/Denver", "America/Lima", "America/Los_Angeles", "America/Mexico_City",
	"America/New_York", "America/Santiago", "America/Sao_Paulo", "Asia/Dubai", "Asia/Kolkata", "Asia/Shanghai", "Asia/Singapore",
	"Asia/Tokyo", "Atlantic/Canary", "Australia/Sydney", "Europe/Berlin", "Europe/Lisbon", "Europe/London", "Europe/Madrid",
	"Europe/Paris", "Europe/Rome", "Pacific/Auckland", "UTC"}

// spareWindows is how many empty rows a form has.
const spareWindows = 2

// weekForm is a schedule as a form shows it.
type weekForm struct {
	Zone    string
	Windows []windowForm
}

// windowForm is one row. From and To are HH:MM as <input type=time> has them; midnight is 00:00 at either end.
type windowForm struct {
	N        int // from 0
	Days     []dayBox
	From, To string
}

// Number is the row's for people.
func (w windowForm) Number() int { return w.N + 1 }

// dayBox is one weekday of a row.
type dayBox struct {
	Day int // as in package time
	On  bool
}

func newWindowForm(n int, days schedule.Days, from, to string) windowForm {
	w := windowForm{N: n, From: from, To: to}
	for _, day := range schedule.EveryDay.Week() {
		w.Days = append(w.Days, dayBox{int(day), days.Has(day)})
	}
	return w
}

// weekForm shows a latch's schedule. A latch without one gets the zone of another.
func (x *exchange) weekForm(n store.NodeState, all []scheduled) weekForm {
	var f weekForm
	week, err := schedule.Parse(n.Schedule)
	if err == nil {
		f.Zone = week.Zone
	}
	for _, l := range all {
		if other, err := schedule.Parse(l.Node.Schedule); err == nil && f.Zone == "" {
			f.Zone = other.Zone
		}
	}
	if f.Zone == "" && x.visitor.Zone != nil {
		f.Zone = x.visitor.Zone.String()
	}
	for i, w := range week.Windows {
		f.Windows = append(f.Windows, newWindowForm(i, w.Days, schedule.Clock(w.From), schedule.Clock(w.To%(24*60))))
	}
	return f.spare()
}

// spare adds empty rows.
func (f weekForm) spare() weekForm {
	for range spareWindows {
		if n := len(f.Windows); n < schedule.MaxWindows {
			f.Windows = append(f.Windows, newWindowForm(n, 0, "", ""))
		}
	}
	return f
}

// readWeek reads a form. Where it makes no schedule, problem is the key of the reason. A row without days, times or both is
// left out, or refused if only one of them is there.
func (x *exchange) readWeek(v url.Values) (week schedule.Week, typed weekForm, problem string) {
	typed.Zone = strings.TrimSpace(v.Get("zone"))
	var windows []schedule.Window
	for n := range schedule.MaxWindows {
		row := strconv.Itoa(n)
		from, to := v.Get("from."+row), v.Get("to."+row)
		var days schedule.Days
		for _, text := range v["day."+row] {
			if day, err := strconv.Atoi(text); err == nil && day >= 0 && day < 7 {
				days |= schedule.On(time.Weekday(day))
			}
		}
		if days == 0 && from == "" && to == "" {
			continue
		}
		typed.Windows = append(typed.Windows, newWindowForm(len(typed.Windows), days, from, to))
		w, wrong := readWindow(days, from, to)
		if wrong != "" && problem == "" {
			problem = wrong
		}
		windows = append(windows, w)
	}
	typed = typed.spare()
	if problem != "" {
		return week, typed, problem
	}
	if len(windows) == 0 {
		return week, typed, "schedule.error.none"
	}
	week, err := schedule.New(typed.Zone, windows)
	if err != nil {
		return week, typed, "schedule.error.zone" // all else was looked at
	}
	return week, typed, ""
}

func readWindow(days schedule.Days, from, to string) (w schedule.Window, problem string) {
	w.Days = days
	var err error
	if days == 0 {
		return w, "schedule.error.days"
	}
	if w.From, err = schedule.ParseClock(from); err != nil || w.From == 24*60 {
		return w, "schedule.error.time"
	}
	if w.To, err = schedule.ParseClock(to); err != nil {
		return w, "schedule.error.time"
	}
	if w.From == 0 && w.To == 0 {
		w.To = 24 * 60
	}
	if w.From == w.To {
		return w, "schedule.error.same"
	}
	return w, ""
}

// windowText says a window in words: "Monday to Friday, 08:00 to 22:00".
func (x *exchange) windowText(w schedule.Window) string {
	return x.text("schedule.window", x.daysText(w.Days), schedule.Clock(w.From), schedule.Clock(w.To))
}

func (x *exchange) daysText(d schedule.Days) string {
	if d == schedule.EveryDay {
		return x.text("schedule.daily")
	}
	name := func(day time.Weekday) string { return x.text("shell.weekday." + strconv.Itoa(int(day))) }
	days := d.Week()
	if n := len(days); n > 2 && int(days[n-1]+6)%7-int(days[0]+6)%7 == n-1 {
		return x.text("schedule.span", name(days[0]), name(days[n-1]))
	}
	var names []string
	for _, day := range days {
		names = append(names, name(day))
	}
	return strings.Join(names, ", ")
}
