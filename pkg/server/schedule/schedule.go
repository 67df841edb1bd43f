// Package schedule says when a latch is open by the week: windows on weekdays in a time zone. It does no I/O and has no
// clock; the time zones come with the program where the machine has none.
//
// A window is written in the time of its zone's wall clocks, and daylight saving moves it as it moves everything else
// there:
//
//   - A time that a day does not have, because the clocks are set forward over it, is the instant at which they are set
//     forward. A window that lies wholly in such a gap is empty that day.
//   - A time that a day has twice, because the clocks are set back over it, is the first of the two. A window that begins
//     in the hour that comes twice begins as early as it can, one that ends in it ends as early as it can.
//   - A window around the change keeps its times, and is an hour shorter or longer that day.
package schedule

import (
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	_ "time/tzdata" // for a machine without time zones
)

// Limits of a schedule.
const (
	MaxWindows = 21 // three for each day
	dayMinutes = 24 * 60
	reach      = 9 // days to both sides that are looked at: a week, what passes midnight, and one whose edges do not count
)

// Days is a set of weekdays.
type Days uint8

// On returns the set of some days.
func On(days ...time.Weekday) Days {
	var d Days
	for _, day := range days {
		d |= 1 << day
	}
	return d
}

// Has tells whether a day is in the set.
func (d Days) Has(day time.Weekday) bool { return d&(1<<day) != 0 }

// EveryDay is all seven.
const EveryDay Days = 1<<7 - 1

// Window is a time in which a latch is open, on each of its days. From and To are minutes of the wall clock: 0 is midnight,
// To may be 1440, the midnight that ends the day. One that ends no later than it begins ends on the next day.
type Window struct {
	Days     Days
	From, To int
}

// Week is a schedule: a latch is open in its windows and closed between them. The zero value is none.
type Week struct {
	Zone    string // as in the IANA database, "Europe/Madrid"
	Windows []Window
	loc     *time.Location
}

// New returns a schedule of one window or more. The error says what is wrong with which of them.
func New(zone string, windows []Window) (Week, error) {
	loc, err := Location(zone)
	if err != nil {
		return Week{}, err
	}
	if len(windows) == 0 || len(windows) > MaxWindows {
		return Week{}, fmt.Errorf("a schedule has 1 to %d windows, not %d", MaxWindows, len(windows))
	}
	for i, w := range windows {
		if err := w.check(); err != nil {
			return Week{}, fmt.Errorf("window %d: %w", i+1, err)
		}
	}
	return Week{Zone: zone, Windows: slices.Clone(windows), loc: loc}, nil
}

func (w Window) check() error {
	switch {
	case w.Days == 0 || w.Days > EveryDay:
		return fmt.Errorf("no day of the week is given")
	case w.From < 0 || w.From >= dayMinutes || w.To < 0 || w.To > dayMinutes:
		return fmt.Errorf("times go from 00:00 to 24:00")
	case w.From == w.To:
		return fmt.Errorf("begin and end are the same time; 00:00-24:00 is a whole day")
	}
	return nil
}

// zones keeps what was loaded: there are some six hundred, and a login must not wait for a file.
var zones sync.Map // name -> *time.Location

// maxZone is longer than the longest name of a zone.
const maxZone = 64

// Location finds a zone of the IANA database by name.
func Location(zone string) (*time.Location, error) {
	if loc, ok := zones.Load(zone); ok {
		return loc.(*time.Location), nil
	}
	// The system's database is a directory: Europe//Madrid and Europe/./Madrid would be kept besides, without end.
	if zone == "" || zone == "Local" || len(zone) > maxZone || path.Clean(zone) != zone {
		return nil, fmt.Errorf("time zone %q is none of the IANA database; give one such as Europe/Madrid", zone)
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is none of the IANA database; give one such as Europe/Madrid", zone)
	}
	zones.Store(zone, loc)
	return loc, nil
}

// Location is the zone of a schedule.
func (w Week) Location() *time.Location { return w.loc }

// Moment is what a schedule says at one instant.
type Moment struct {
	Open bool
	// Last is the latest instant, this one included, at which a window began or ended; Opens and Closes are the next at
	// which one does. Zero means that there is none within eight days, as where the windows fill the week.
	Last, Opens, Closes time.Time
}

// At returns what a schedule says at t. Windows that overlap or touch are one.
func (w Week) At(t time.Time) Moment {
	now := t.Unix()
	spans, first, last := w.spans(t)
	var m Moment
	at := func(edge int64) time.Time {
		if edge < first || edge >= last {
			return time.Time{} // it may be where the looking ends, not the window
		}
		return time.Unix(edge, 0).UTC()
	}
	for _, s := range spans {
		switch {
		case s.to <= now:
			m.Last = at(s.to)
		case s.from <= now:
			m.Open, m.Last, m.Closes = true, at(s.from), at(s.to)
		case m.Opens.IsZero():
			m.Opens = at(s.from)
			if !m.Open {
				m.Closes = at(s.to)
			}
		}
	}
	return m
}

// span is a time in which a latch is open, in seconds since 1970 UTC, to excluded.
type span struct{ from, to int64 }

// spans returns the windows around t, merged and in order, and the bounds of what was looked at.
func (w Week) spans(t time.Time) (list []span, first, last int64) {
	periods := periodsAround(t.In(w.loc))
	_, offset := t.In(w.loc).Zone()
	today := floorDiv(t.Unix()+int64(offset), daySeconds)
	list = make([]span, 0, len(w.Windows)*(2*reach+1))
	for day := today - reach; day <= today+reach; day++ {
		weekday := time.Weekday((day%7 + 7 + 4) % 7) // 1970 began on a Thursday
		for _, win := range w.Windows {
			if !win.Days.Has(weekday) {
				continue
			}
			end := day
			if win.To <= win.From {
				end++
			}
			s := span{instant(periods, day*daySeconds+int64(win.From)*60), instant(periods, end*daySeconds+int64(win.To)*60)}
			if s.from < s.to {
				list = append(list, s)
			}
		}
	}
	first, last = instant(periods, (today-reach+1)*daySeconds), instant(periods, (today+reach)*daySeconds)
	return merge(list), first, last
}

func merge(list []span) []span {
	slices.SortFunc(list, func(a, b span) int { return int(a.from - b.from) })
	merged := list[:0]
	for _, s := range list {
		if n := len(merged); n > 0 && s.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

const daySeconds = 24 * 60 * 60

// period is a time in which a zone's clocks were not set: from start to end, in seconds since 1970 UTC, to excluded.
type period struct{ start, end, offset int64 }

// periodsAround returns the periods of a zone that the windows around t can lie in, in order; the first has no beginning
// and the last no end.
func periodsAround(t time.Time) []period {
	const far = (reach + 3) * 24 * time.Hour
	var list []period
	start, until := t.Add(-far), t.Add(far)
	for at := start; ; {
		_, end := at.ZoneBounds()
		_, offset := at.Zone()
		p := period{start: at.Unix(), end: end.Unix(), offset: int64(offset)}
		if end.IsZero() || end.After(until) {
			p.end = 1<<63 - 1
		}
		if list = append(list, p); p.end == 1<<63-1 {
			return list
		}
		at = end
	}
}

// instant returns when wall clocks first showed a time, or had skipped it. wall is as if the zone were UTC.
func instant(periods []period, wall int64) int64 {
	for _, p := range periods {
		if at := wall - p.offset; at < p.end {
			return max(at, p.start)
		}
	}
	return periods[len(periods)-1].start
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}
