package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dayNames are the words for days, Sunday first as in package time.
var dayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// week is the order in which days are written.
var week = [7]time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}

// Week returns the days of a set, Monday first.
func (d Days) Week() []time.Weekday {
	var list []time.Weekday
	for _, day := range week {
		if d.Has(day) {
			list = append(list, day)
		}
	}
	return list
}

// String writes a set as ParseWindow reads it: "mon-fri", "sat,sun", "daily".
func (d Days) String() string {
	if d == EveryDay {
		return "daily"
	}
	var parts []string
	for i := 0; i < len(week); i++ {
		from := i
		for i+1 < len(week) && d.Has(week[from]) && d.Has(week[i+1]) {
			i++
		}
		switch {
		case !d.Has(week[from]):
		case i-from >= 2:
			parts = append(parts, dayNames[week[from]]+"-"+dayNames[week[i]])
		default:
			for _, day := range week[from : i+1] {
				parts = append(parts, dayNames[day])
			}
		}
	}
	return strings.Join(parts, ",")
}

// String writes a window as ParseWindow reads it: "mon-fri 08:00-22:00".
func (w Window) String() string {
	return w.Days.String() + " " + Clock(w.From) + "-" + Clock(w.To)
}

// Clock writes minutes of the day as HH:MM.
func Clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// String writes a schedule as Parse reads it: "Europe/Madrid; mon-fri 08:00-22:00; sat 10:00-14:00". The zero value is "".
func (w Week) String() string {
	if len(w.Windows) == 0 {
		return ""
	}
	parts := []string{w.Zone}
	for _, win := range w.Windows {
		parts = append(parts, win.String())
	}
	return strings.Join(parts, "; ")
}

// Parse reads a schedule: a time zone, then the windows, with semicolons between.
func Parse(text string) (Week, error) {
	zone, rest, _ := strings.Cut(text, ";")
	var windows []Window
	for i, part := range strings.Split(rest, ";") {
		win, err := ParseWindow(part)
		if err != nil {
			return Week{}, fmt.Errorf("window %d: %w", i+1, err)
		}
		windows = append(windows, win)
	}
	return New(strings.TrimSpace(zone), windows)
}

var errWindow = errors.New(`a window is written as "mon-fri 08:00-22:00", "sat,sun 10:00-14:00" or "daily 22:00-06:00"`)

// ParseWindow reads a window: days, a blank, from-to. Days are mon to sun, alone, with commas between, or a span of them with
// a hyphen, or daily. Times are HH:MM, and the end may be 24:00.
func ParseWindow(text string) (Window, error) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return Window{}, fmt.Errorf("%q: %w", strings.TrimSpace(text), errWindow)
	}
	days, err := parseDays(strings.ToLower(fields[0]))
	if err != nil {
		return Window{}, err
	}
	from, to, found := strings.Cut(fields[1], "-")
	if !found {
		return Window{}, fmt.Errorf("%q: %w", fields[1], errWindow)
	}
	w := Window{Days: days}
	if w.From, err = ParseClock(from); err != nil {
		return Window{}, err
	}
	if w.To, err = ParseClock(to); err != nil {
		return Window{}, err
	}
	return w, w.check()
}

func parseDays(text string) (Days, error) {
	if text == "daily" {
		return EveryDay, nil
	}
	var days Days
	for _, part := range strings.Split(text, ",") {
		from, to, span := strings.Cut(part, "-")
		if !span {
			to = from
		}
		first, last := dayNamed(from), dayNamed(to)
		if first < 0 || last < 0 {
			return 0, fmt.Errorf("%q is no day of the week: %w", part, errWindow)
		}
		for day := first; ; day = (day + 1) % 7 {
			days |= On(day)
			if day == last {
				break
			}
		}
	}
	return days, nil
}

func dayNamed(name string) time.Weekday {
	for day, known := range dayNames {
		if name == known {
			return time.Weekday(day)
		}
	}
	return -1
}

// ParseClock reads HH:MM, from 00:00 to 24:00, as minutes of the day.
func ParseClock(text string) (int, error) {
	hour, minute, found := strings.Cut(text, ":")
	h, err1 := strconv.ParseUint(hour, 10, 8)
	m, err2 := strconv.ParseUint(minute, 10, 8)
	if !found || len(hour) > 2 || len(minute) != 2 || err1 != nil || err2 != nil || m > 59 || h*60+m > dayMinutes {
		return 0, fmt.Errorf("%q is no time of day from 00:00 to 24:00", text)
	}
	return int(h*60 + m), nil
}
