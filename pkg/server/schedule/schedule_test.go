package schedule

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func parsed(t testing.TB, text string) Week {
	t.Helper()
	w, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const layout = "2006-01-02 15:04"

// utc reads an instant; "" is none.
func utc(t testing.TB, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(layout, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestAt(t *testing.T) {
	for name, c := range map[string]struct {
		week, at            string // all instants in UTC
		open                bool
		last, opens, closes string
	}{
		"in a window": {week: "Europe/Madrid; mon-fri 08:00-22:00", at: "2026-06-10 12:00", open: true,
			last: "2026-06-10 06:00", opens: "2026-06-11 06:00", closes: "2026-06-10 20:00"},
		"as it begins": {week: "Europe/Madrid; mon-fri 08:00-22:00", at: "2026-06-10 06:00", open: true,
			last: "2026-06-10 06:00", opens: "2026-06-11 06:00", closes: "2026-06-10 20:00"},
		"as it ends": {week: "Europe/Madrid; mon-fri 08:00-22:00", at: "2026-06-10 20:00",
			last: "2026-06-10 20:00", opens: "2026-06-11 06:00", closes: "2026-06-11 20:00"},
		"over a weekend": {week: "Europe/Madrid; mon-fri 08:00-22:00", at: "2026-06-14 12:00",
			last: "2026-06-12 20:00", opens: "2026-06-15 06:00", closes: "2026-06-15 20:00"},
		"past midnight": {week: "Europe/Madrid; fri,sat 22:00-06:00", at: "2026-06-13 02:00", open: true,
			last: "2026-06-12 20:00", opens: "2026-06-13 20:00", closes: "2026-06-13 04:00"},
		"sunday to monday": {week: "Europe/Madrid; sun 22:00-06:00", at: "2026-06-15 03:59", open: true,
			last: "2026-06-14 20:00", opens: "2026-06-21 20:00", closes: "2026-06-15 04:00"},
		"once a week": {week: "Europe/Madrid; wed 08:00-09:00", at: "2026-06-10 05:59",
			last: "2026-06-03 07:00", opens: "2026-06-10 06:00", closes: "2026-06-10 07:00"},
		"windows that touch": {week: "Europe/Madrid; daily 08:00-12:00; daily 12:00-18:00", at: "2026-06-10 10:00", open: true,
			last: "2026-06-10 06:00", opens: "2026-06-11 06:00", closes: "2026-06-10 16:00"},
		"windows that overlap": {week: "Europe/Madrid; daily 10:00-18:00; wed 08:00-12:00", at: "2026-06-10 10:00", open: true,
			last: "2026-06-10 06:00", opens: "2026-06-11 08:00", closes: "2026-06-10 16:00"},
		"all week":               {week: "Europe/Madrid; daily 00:00-24:00", at: "2026-06-10 10:00", open: true},
		"all week, from evening": {week: "Europe/Madrid; daily 22:00-08:00; daily 08:00-22:00", at: "2026-06-10 10:00", open: true},
		"up to midnight": {week: "Europe/Madrid; sun 18:00-24:00", at: "2026-06-14 21:59", open: true,
			last: "2026-06-14 16:00", opens: "2026-06-21 16:00", closes: "2026-06-14 22:00"},
		"another day there than in UTC": {week: "Pacific/Auckland; mon 00:00-08:00", at: "2026-06-14 13:00", open: true,
			last: "2026-06-14 12:00", opens: "2026-06-21 12:00", closes: "2026-06-14 20:00"},

		// Europe sets its clocks forward on 29 March 2026 at 02:00, and back on 25 October at 03:00.
		"forward, around it": {week: "Europe/Madrid; daily 01:00-05:00", at: "2026-03-29 02:59", open: true,
			last: "2026-03-29 00:00", opens: "2026-03-29 23:00", closes: "2026-03-29 03:00"},
		"forward, the day after": {week: "Europe/Madrid; daily 08:00-22:00", at: "2026-03-29 05:59",
			last: "2026-03-28 21:00", opens: "2026-03-29 06:00", closes: "2026-03-29 20:00"},
		"forward, begins in the gap": {week: "Europe/Madrid; sun 02:30-05:00", at: "2026-03-29 01:00", open: true,
			last: "2026-03-29 01:00", opens: "2026-04-05 00:30", closes: "2026-03-29 03:00"},
		"forward, ends in the gap": {week: "Europe/Madrid; sun 01:00-02:30", at: "2026-03-29 00:59", open: true,
			last: "2026-03-29 00:00", opens: "2026-04-04 23:00", closes: "2026-03-29 01:00"},
		"forward, lies in the gap": {week: "Europe/Madrid; sun 02:15-02:45", at: "2026-03-29 01:00",
			last: "2026-03-22 01:45", opens: "2026-04-05 00:15", closes: "2026-04-05 00:45"},
		"back, around it": {week: "Europe/Madrid; daily 01:00-05:00", at: "2026-10-25 03:59", open: true,
			last: "2026-10-24 23:00", opens: "2026-10-26 00:00", closes: "2026-10-25 04:00"},
		"back, begins in the hour that comes twice": {week: "Europe/Madrid; sun 02:30-05:00", at: "2026-10-25 00:30", open: true,
			last: "2026-10-25 00:30", opens: "2026-11-01 01:30", closes: "2026-10-25 04:00"},
		"back, ends in the hour that comes twice": {week: "Europe/Madrid; sun 01:00-02:30", at: "2026-10-25 00:30",
			last: "2026-10-25 00:30", opens: "2026-11-01 00:00", closes: "2026-11-01 01:30"},
		"back, the second time": {week: "Europe/Madrid; sun 02:15-02:45", at: "2026-10-25 01:30",
			last: "2026-10-25 00:45", opens: "2026-11-01 01:15", closes: "2026-11-01 01:45"},

		// Australia sets its clocks back on 5 April 2026 at 03:00, and forward on 4 October at 02:00.
		"south, back": {week: "Australia/Sydney; daily 08:00-22:00", at: "2026-04-04 21:59",
			last: "2026-04-04 11:00", opens: "2026-04-04 22:00", closes: "2026-04-05 12:00"},
		"south, back, the second time": {week: "Australia/Sydney; sun 02:15-02:45", at: "2026-04-04 16:30",
			last: "2026-04-04 15:45", opens: "2026-04-11 16:15", closes: "2026-04-11 16:45"},
		"south, forward": {week: "Australia/Sydney; daily 08:00-22:00", at: "2026-10-03 21:00", open: true,
			last: "2026-10-03 21:00", opens: "2026-10-04 21:00", closes: "2026-10-04 11:00"},
		"south, forward, ends in the gap": {week: "Australia/Sydney; sat 22:00-02:30", at: "2026-10-03 15:59", open: true,
			last: "2026-10-03 12:00", opens: "2026-10-10 11:00", closes: "2026-10-03 16:00"},
		// Chile has no midnight on 6 September 2026, and two on 5 April.
		"south, no midnight": {week: "America/Santiago; sun 00:00-08:00", at: "2026-09-06 04:00", open: true,
			last: "2026-09-06 04:00", opens: "2026-09-13 03:00", closes: "2026-09-06 11:00"},
		"south, no midnight to end at": {week: "America/Santiago; sat 08:00-24:00", at: "2026-09-06 03:59", open: true,
			last: "2026-09-05 12:00", opens: "2026-09-12 11:00", closes: "2026-09-06 04:00"},
		"south, an evening twice": {week: "America/Santiago; sat 23:15-23:45", at: "2026-04-05 03:30",
			last: "2026-04-05 02:45", opens: "2026-04-12 03:15", closes: "2026-04-12 03:45"},
		// Lord Howe sets its clocks by half an hour.
		"half an hour": {week: "Australia/Lord_Howe; sun 02:15-05:00", at: "2026-10-03 15:30", open: true,
			last: "2026-10-03 15:30", opens: "2026-10-10 15:15", closes: "2026-10-03 18:00"},
		// Samoa had no 30 December 2011, a Friday.
		"a day that was left out": {week: "Pacific/Apia; fri 08:00-12:00; thu 22:00-06:00", at: "2011-12-30 10:30",
			last: "2011-12-30 10:00", opens: "2012-01-05 08:00", closes: "2012-01-05 16:00"},
	} {
		t.Run(name, func(t *testing.T) {
			m := parsed(t, c.week).At(utc(t, c.at))
			want := Moment{Open: c.open, Last: utc(t, c.last), Opens: utc(t, c.opens), Closes: utc(t, c.closes)}
			if m != want {
				t.Errorf("got  %+v\nwant %+v", m, want)
			}
		})
	}
}

// A week reads as its wall clock does wherever no clock was set within a day, and its edges are where it changes.
func TestAtAgreesWithTheWallClock(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		zone := []string{"Europe/Madrid", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "America/Santiago", "UTC"}[random.IntN(6)]
		var windows []Window
		for range 1 + random.IntN(4) {
			w := Window{Days: Days(1 + random.IntN(int(EveryDay))), From: random.IntN(dayMinutes), To: random.IntN(dayMinutes + 1)}
			if w.From != w.To {
				windows = append(windows, w)
			}
		}
		if len(windows) == 0 {
			continue
		}
		w, err := New(zone, windows)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_750_000_000+random.Int64N(60_000_000), 0)
		m := w.At(at)
		if quiet(w, at) && m.Open != wallOpen(w, at) {
			t.Fatalf("%s at %s: %v, the wall clock says otherwise", w, at.In(w.loc), m.Open)
		}
		for edge, open := range map[time.Time]bool{m.Opens: true, m.Closes: false} {
			if !edge.IsZero() && (w.At(edge).Open != open || w.At(edge.Add(-time.Second)).Open == open || !w.At(edge).Last.Equal(edge)) {
				t.Fatalf("%s at %s: no edge at %s", w, at, edge)
			}
		}
	}
}

// quiet tells whether no clock is set within a day of an instant.
func quiet(w Week, at time.Time) bool {
	_, before := at.Add(-24 * time.Hour).In(w.loc).Zone()
	_, after := at.Add(24 * time.Hour).In(w.loc).Zone()
	return before == after
}

func wallOpen(w Week, at time.Time) bool {
	local := at.In(w.loc)
	minute := local.Hour()*60 + local.Minute()
	yesterday := (local.Weekday() + 6) % 7
	for _, win := range w.Windows {
		overnight := win.To <= win.From
		if win.Days.Has(local.Weekday()) && minute >= win.From && (overnight || minute < win.To) ||
			overnight && win.Days.Has(yesterday) && minute < win.To {
			return true
		}
	}
	return false
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"Europe/Madrid; mon-fri 08:00-22:00":                               "",
		"Europe/Madrid; daily 22:00-06:00; sat,sun 10:00-24:00":            "",
		"UTC; mon-wed,fri 00:00-24:00":                                     "",
		"UTC;mon,tue,wed,thu,fri,sat,sun 8:00-9:00":                        "UTC; daily 08:00-09:00",
		" UTC ; sat-mon  01:00-02:00":                                      "UTC; mon,sat,sun 01:00-02:00",
		"UTC; Mon,TUE 01:00-02:00; wed-wed 01:00-02:00":                    "UTC; mon,tue 01:00-02:00; wed 01:00-02:00",
		"America/Argentina/Buenos_Aires; fri 23:59-00:00":                  "",
		"UTC; sun 00:00-00:01; sun 00:01-00:02; sun 00:02-00:03":           "",
		"UTC; mon,wed,fri 01:00-02:00; tue,thu 03:00-04:00; sun 1:00-2:00": "UTC; mon,wed,fri 01:00-02:00; tue,thu 03:00-04:00; sun 01:00-02:00",
	} {
		w := parsed(t, text)
		if want == "" {
			want = text
		}
		if w.String() != want {
			t.Errorf("%q reads as %q, want %q", text, w, want)
		}
		if again := parsed(t, w.String()); again.String() != w.String() {
			t.Errorf("%q does not read as it is written", w)
		}
	}
	if text := (Week{}).String(); text != "" {
		t.Errorf("no schedule is written as %q", text)
	}
}

func TestTextThatIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "a window is written as",
		"Europe/Madrid":                       "a window is written as",
		"Europe/Atlantis; daily 08:00-22:00":  `"Europe/Atlantis" is none of the IANA database`,
		"Local; daily 08:00-22:00":            "none of the IANA database",
		"; daily 08:00-22:00":                 "none of the IANA database",
		"../../etc/passwd; daily 08:00-22:00": "none of the IANA database",
		"UTC; daily 08:00-08:00":              "window 1: begin and end are the same time",
		"UTC; daily 08:00-22:00; mon 8-22":    `window 2: "8" is no time of day`,
		"UTC; daily 24:00-22:00":              "times go from 00:00 to 24:00",
		"UTC; daily 08:00-24:01":              `"24:01" is no time of day`,
		"UTC; daily 08:60-22:00":              `"08:60" is no time of day`,
		"UTC; daily -1:00-22:00":              "no time of day",
		"UTC; monday 08:00-22:00":             `"monday" is no day of the week`,
		"UTC; mon- 08:00-22:00":               "no day of the week",
		"UTC; mon 08:00 - 22:00":              "a window is written as",
		"UTC" + strings.Repeat("; mon 1:00-2:00", MaxWindows+1): "not 22",
	} {
		if w, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, %v; want an error with %q", text, w, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Europe/Madrid; mon-fri 08:00-22:00; sat,sun 10:00-24:00")
	f.Add("UTC; daily 22:00-06:00")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(w.String())
		if err != nil || again.String() != w.String() {
			t.Errorf("%q is written as %q, which reads as %q (%v)", text, w, again, err)
		}
		w.At(time.Unix(1_800_000_000, 0))
	})
}

func BenchmarkAt(b *testing.B) {
	w := parsed(b, "Europe/Madrid; mon-fri 08:00-14:00; mon-fri 15:00-22:00; sat,sun 10:00-14:00")
	at := time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)
	for b.Loop() {
		w.At(at)
	}
}

// Each zone that is loaded is kept, so there must be no end of names for one.
func TestAZoneHasOneName(t *testing.T) {
	for _, name := range []string{"Europe//Madrid", "Europe/./Madrid", "./Europe/Madrid", "Europe/Madrid/", "Europe/../Europe/Madrid",
		strings.Repeat("posix/", 20) + "Europe/Madrid", "/etc/localtime"} {
		if _, err := Location(name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	if _, err := Location("America/Argentina/ComodRivadavia"); err != nil {
		t.Error(err)
	}
}
