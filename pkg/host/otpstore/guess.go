package otpstore

import (
	"errors"
	"slices"
	"time"
)

// The limits on guessing.
const (
	burst       = 5                 // failures within burstTime from one address begin a pause
	burstTime   = 10 * time.Minute  // also the first pause; each further one is twice as long
	longest     = 160 * time.Minute // pause
	day         = 24 * time.Hour
	perDay      = 50 // failures of one user from all addresses, after which strangers are not heard
	maxSources  = 64 // addresses with failures that a record remembers
	maxKnown    = 16 // addresses with a success that a record remembers
	maxAddress  = 64 // bytes of an address
	forgetAfter = day
)

// Guesses are the failures of one user. All times are Unix seconds.
type Guesses struct {
	Sources  []Source `json:"sources,omitempty"` // the one that failed last is last
	DayBegan int64    `json:"day_began,omitempty"`
	DayCount int      `json:"day_count,omitempty"`
	Known    []string `json:"known,omitempty"` // addresses with a success, the latest last
}

// Source is an address with failures.
type Source struct {
	Address string  `json:"address"`
	Failed  []int64 `json:"failed,omitempty"` // since the last pause
	Pauses  int     `json:"pauses,omitempty"` // how many there were
	Since   int64   `json:"since,omitempty"`  // of the last pause
	Until   int64   `json:"until,omitempty"`
}

// seconds is a duration in the record's unit.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// settle brings the times up to now and reports whether that changed anything. A clock that was set back must neither end a pause nor make it last
// until the old time comes again: what lies ahead of now counts as having begun now.
func (g *Guesses) settle(now int64) (changed bool) {
	back := func(t *int64) (by int64) {
		if *t > now {
			by, *t, changed = *t-now, now, true
		}
		return by
	}
	back(&g.DayBegan)
	if g.DayCount > 0 && now-g.DayBegan >= seconds(day) {
		g.DayBegan, g.DayCount, changed = 0, 0, true
	}
	for i := range g.Sources {
		s := &g.Sources[i]
		s.Until -= back(&s.Since)
		for j := range s.Failed {
			back(&s.Failed[j])
		}
	}
	before := len(g.Sources)
	g.Sources = slices.DeleteFunc(g.Sources, func(s Source) bool { return now-s.last() >= seconds(forgetAfter) })
	return changed || len(g.Sources) != before
}

// last is when a source was heard of last.
func (s *Source) last() int64 {
	if n := len(s.Failed); n > 0 {
		return max(s.Failed[n-1], s.Until)
	}
	return s.Until
}

func (g *Guesses) at(address string) int {
	return slices.IndexFunc(g.Sources, func(s Source) bool { return s.Address == address })
}

// pausedUntil returns when an address is heard again, 0 for now.
func (g *Guesses) pausedUntil(address string, now int64) int64 {
	if i := g.at(address); i >= 0 {
		return g.Sources[i].PausedUntil(now)
	}
	return 0
}

// dayIsFull reports whether there were so many failures that addresses without a success are not heard.
func (g *Guesses) dayIsFull(address string) bool {
	return g.DayCount >= perDay && !slices.Contains(g.Known, address)
}

// failed counts a failure. The day's count stops at its limit: what comes after it guesses at recovery codes, which are too long.
func (g *Guesses) failed(address string, now int64) {
	if g.DayCount == 0 {
		g.DayBegan = now
	}
	g.DayCount = min(g.DayCount+1, perDay)
	s := Source{Address: address}
	if i := g.at(address); i >= 0 {
		s = g.Sources[i]
		g.Sources = slices.Delete(g.Sources, i, i+1)
	}
	s.Failed = append(s.Failed, now)
	if n := len(s.Failed); n > burst {
		s.Failed = s.Failed[n-burst:]
	}
	if len(s.Failed) == burst && now-s.Failed[0] < seconds(burstTime) {
		s.Since, s.Until, s.Failed = now, now+seconds(min(burstTime<<min(s.Pauses, 8), longest)), nil
		s.Pauses++
	}
	g.Sources = append(g.Sources, s)
	if n := len(g.Sources); n > maxSources {
		g.Sources = slices.Delete(g.Sources, 0, n-maxSources)
	}
}

// succeeded forgets an address's failures and remembers the address.
func (g *Guesses) succeeded(address string) {
	if i := g.at(address); i >= 0 {
		g.Sources = slices.Delete(g.Sources, i, i+1)
	}
	if i := slices.Index(g.Known, address); i >= 0 {
		g.Known = slices.Delete(g.Known, i, i+1)
	}
	g.Known = append(g.Known, address)
	if n := len(g.Known); n > maxKnown {
		g.Known = slices.Delete(g.Known, 0, n-maxKnown)
	}
}

// check refuses what could not have been written.
func (g *Guesses) check() error {
	if len(g.Sources) > maxSources || len(g.Known) > maxKnown || g.DayCount < 0 || g.DayCount > perDay {
		return errors.New("the count of failures is out of range")
	}
	for _, s := range g.Sources {
		if len(s.Address) > maxAddress || len(s.Failed) > burst || s.Pauses < 0 || s.Until < s.Since || s.Until-s.Since > seconds(longest) {
			return errors.New("the failures of an address are out of range")
		}
	}
	return nil
}

// Standing is what guessing has come to.
type Standing struct {
	Today     int      // failures of the day, at most MaxToday
	OnlyKnown bool     // addresses without a success are not heard
	Sources   []Source // addresses with failures, the one that failed last is last
}

// MaxToday is how many failures a day has.
const MaxToday = perDay

// Standing tells how things stand at a Unix time.
func (g *Guesses) Standing(now int64) Standing {
	g.settle(now)
	return Standing{Today: g.DayCount, OnlyKnown: g.DayCount >= perDay, Sources: g.Sources}
}

// PausedUntil tells until when the address is not heard, in Unix seconds; 0 if it is.
func (s *Source) PausedUntil(now int64) int64 {
	if s.Until > now {
		return s.Until
	}
	return 0
}
