package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/schedule"
)

func (b *bed) week(text string) schedule.Week {
	b.t.Helper()
	if text == "" {
		return schedule.Week{}
	}
	w, err := schedule.Parse(text)
	b.must(err)
	return w
}

func (b *bed) setSchedule(user int64, text string) {
	b.t.Helper()
	b.must(b.SetSchedule(b.ctx, user, b.app.ID, Target{}, b.week(text), Attempt{}))
}

// at sets the clock.
func (b *bed) at(t time.Time) { b.clock.pass(t.Sub(b.clock.now())) }

// How switches, timers and a schedule of "daily 08:00-22:00" go together. Each step is a time of 2 or 3 March 2026 ("+" is the
// 3rd) and what is done, or what the latch is then: its state, why, and its next change.
func TestScheduleTimerAndSwitch(t *testing.T) {
	for name, steps := range map[string][]string{
		"a schedule alone": {"07:00 schedule", "07:00 closed schedule, opens 08:00", "08:00 open schedule, closes 22:00",
			"21:59 open schedule, closes 22:00", "22:00 closed schedule, opens +08:00", "+08:00 open schedule, closes +22:00"},
		"closed in a window, until the next": {"07:00 schedule", "10:00 close", "10:00 closed hand, opens +08:00",
			"21:59 closed hand, opens +08:00", "+07:59 closed schedule, opens +08:00", "+08:00 open schedule, closes +22:00"},
		"opened between windows, until the next": {"07:00 schedule", "23:00 open", "23:00 open hand, closes +22:00",
			"+07:59 open hand, closes +22:00", "+08:00 open schedule, closes +22:00"},
		"closed and opened in a window": {"07:00 schedule", "10:00 close", "11:00 open", "11:00 open hand, closes 22:00",
			"22:00 closed schedule, opens +08:00"},
		"a timer over the end of a window": {"07:00 schedule", "20:00 close", "21:55 open 10m", "21:55 open hand, closes 22:05",
			"22:04 open hand, closes 22:05", "22:05 closed timer, opens +08:00", "+08:00 open schedule, closes +22:00"},
		"a timer over the beginning of a window": {"07:00 schedule", "07:55 open 10m", "07:55 open hand, closes 22:00",
			"08:04 open hand, closes 22:00", "08:05 open schedule, closes 22:00"},
		"a timer within a window": {"07:00 schedule", "09:00 close", "10:00 open 10m", "10:10 closed timer, opens +08:00",
			"+08:00 open schedule, closes +22:00"},
		"a timer between windows": {"07:00 schedule", "23:00 open 10m", "23:00 open hand, closes 23:10",
			"23:10 closed timer, opens +08:00", "+08:00 open schedule, closes +22:00"},
		"open already": {"07:00 schedule", "10:00 open", "10:00 open schedule, closes 22:00"},
		"a schedule counts at once": {"09:00 close", "10:00 schedule", "10:00 open schedule, closes 22:00", "10:01 close",
			"10:01 closed hand, opens +08:00"},
		"a timer goes on when a schedule comes": {"07:00 open 10m", "07:05 schedule", "07:05 open hand, closes 07:10",
			"07:10 closed timer, opens 08:00", "08:00 open schedule, closes 22:00"},
		"a schedule that goes leaves the state": {"07:00 schedule", "23:00 none", "+09:00 closed schedule"},
		"held": {"07:00 schedule", "10:00 hold", "10:00 open schedule", "23:00 open schedule", "23:00 resume",
			"23:00 closed schedule, opens +08:00"},
		"closed and held": {"07:00 schedule", "10:00 close-held", "+09:00 closed hand", "+09:00 resume",
			"+09:00 open schedule, closes +22:00"},
		"closed and held, undone": {"07:00 schedule", "10:00 close-held", "10:05 undo", "10:05 open schedule, closes 22:00",
			"22:00 closed schedule, opens +08:00"},
		"undone after the window ended": {"07:00 schedule", "21:58 close", "22:01 undo", "22:01 closed schedule, opens +08:00"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, asked := range []bool{false, true} { // by a host at each step, which writes down what happened
				b := newBed(t)
				p := player{bed: b, account: b.pair("ana"), user: b.row("ana"), asked: asked}
				for _, step := range steps {
					p.play(step)
				}
			}
		})
	}
}

// player plays the steps of a test.
type player struct {
	*bed
	account string
	user    int64
	asked   bool
	last    int64 // the last switch
}

// clockOf reads HH:MM or +HH:MM in Madrid.
func (p *player) clockOf(text string) time.Time {
	p.t.Helper()
	day := 2
	if strings.HasPrefix(text, "+") {
		day, text = 3, text[1:]
	}
	minutes, err := schedule.ParseClock(text)
	p.must(err)
	return time.Date(2026, 3, day, 0, minutes, 0, 0, madrid(p.t))
}

func madrid(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func (p *player) play(step string) {
	p.t.Helper()
	clock, what, _ := strings.Cut(step, " ")
	p.at(p.clockOf(clock))
	if p.asked {
		_, err := p.ask(p.account)
		p.must(err)
	}
	sw := Switch{User: p.user, App: p.app.ID}
	switch what {
	case "schedule":
		p.setSchedule(p.user, "Europe/Madrid; daily 08:00-22:00")
	case "none":
		p.setSchedule(p.user, "")
	case "hold", "resume":
		p.must(p.HoldSchedule(p.ctx, p.user, p.app.ID, Target{}, what == "hold", Attempt{}))
	case "close-held":
		sw.Hold = true
		p.last = p.turn(sw).ID
	case "close":
		p.last = p.turn(sw).ID
	case "open":
		sw.Open = true
		p.last = p.turn(sw).ID
	case "open 10m":
		sw.Open, sw.For = true, 10*time.Minute
		p.last = p.turn(sw).ID
	case "undo":
		p.must(p.Undo(p.ctx, p.user, p.last, Attempt{}))
	default:
		p.expect(step, what)
	}
}

func (p *player) expect(step, want string) {
	p.t.Helper()
	n := p.root(p.user)
	got := map[bool]string{true: "open ", false: "closed "}[n.Open] + n.By
	state, next, _ := strings.Cut(want, ", ")
	if got != state {
		p.t.Errorf("asked %v: %q: it is %q", p.asked, step, got)
	}
	got = ""
	if n.Next.At != 0 {
		at := time.UnixMilli(n.Next.At).In(madrid(p.t))
		got = map[bool]string{true: "opens ", false: "closes "}[n.Next.Open] + map[bool]string{true: "+"}[at.Day() == 3] + at.Format("15:04")
	}
	if got != next {
		p.t.Errorf("asked %v: %q: next it %q", p.asked, step, got)
	}
	s, err := p.ask(p.account)
	p.must(err)
	if s.Open != n.Open {
		p.t.Errorf("asked %v: %q: a host reads %v", p.asked, step, s.Open)
	}
}

func TestScheduleOverDaylightSaving(t *testing.T) {
	b := newBed(t)
	id, ana := b.pair("ana"), b.row("ana")
	b.at(time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC))
	b.setSchedule(ana, "Europe/Madrid; daily 08:00-22:00")
	for _, c := range []struct {
		utc  string
		open bool
	}{
		{"2026-03-28 06:59:59", false}, {"2026-03-28 07:00:00", true}, {"2026-03-28 20:59:59", true}, {"2026-03-28 21:00:00", false},
		{"2026-03-29 05:59:59", false}, {"2026-03-29 06:00:00", true}, {"2026-03-29 19:59:59", true}, {"2026-03-29 20:00:00", false},
	} {
		at, err := time.Parse(time.DateTime, c.utc)
		b.must(err)
		b.at(at)
		b.reads(id, c.open)
	}
}

func TestHistoryOfWhatHappenedByItself(t *testing.T) {
	b := newBed(t)
	id, ana := b.pair("ana"), b.row("ana")
	b.at(time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC))
	b.setSchedule(ana, "UTC; daily 08:00-22:00")
	b.at(time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC))
	b.must(b.Settle(b.ctx, ana))
	want := []string{"SCHEDULE_UPDATE off 07:00:00", "SCHEDULE_UPDATE on 08:00:00", "SCHEDULE_UPDATE off 22:00:00", "SCHEDULE_UPDATE on 08:00:00"}
	b.sees("ana", want...)
	b.must(b.Settle(b.ctx, ana))
	b.reads(id, true)
	b.turn(Switch{User: ana, App: b.app.ID})
	b.clock.pass(12 * time.Minute)
	b.turn(Switch{User: ana, App: b.app.ID, Open: true, For: time.Minute})
	b.at(time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC))
	b.reads(id, true)
	b.reads(id, true)
	want = append(want, "USER_UPDATE off 09:00:00", "USER_UPDATE on 09:12:00", "TIMER_UPDATE off 09:13:00", "SCHEDULE_UPDATE on 08:00:00")
	b.sees("ana", want...)
	h, err := b.History(b.ctx, b.app, id, 0, b.millis())
	b.must(err)
	if h.Account.Changed != b.millis() {
		t.Errorf("the state is of %d, want %d", h.Account.Changed, b.millis())
	}
	b.clock.pass(90 * 24 * time.Hour)
	b.reads(id, true)
	if n := len(b.lines("ana")) - len(want); n != settleLines {
		t.Errorf("%d lines were written after a long time, want %d", n, settleLines)
	}
}

func TestScheduleOfAnOperationAndAnInstance(t *testing.T) {
	b := newBed(t)
	id, ana := b.pair("ana"), b.row("ana")
	ssh, err := b.AddOperation(b.ctx, b.app, b.app.ID, Operation{Name: "ssh"})
	b.must(err)
	made, err := b.AddInstances(b.ctx, b.app, id, ssh.ID, []string{"web1"})
	b.must(err)
	for i, to := range []Target{{OperationID: ssh.ID}, {OperationID: ssh.ID, InstanceID: made[0].ID}} {
		// The bed's clock begins at noon.
		b.must(b.SetSchedule(b.ctx, ana, b.app.ID, to, b.week("UTC; daily 13:00-14:00"), Attempt{}))
		if s, err := b.askFor(id, to); err != nil || s.Open {
			t.Errorf("latch %d reads %v (%v) before its window", i, s.Open, err)
		}
		b.reads(id, true)
		yes, name := true, "web2" // neither a choice nor a new name is a switch
		b.must(b.Choose(b.ctx, ana, b.app.ID, to, &yes, nil))
		b.must(b.ChangeInstance(b.ctx, b.app, id, ssh.ID, made[0].ID, OperationChange{Name: &name}))
		if s, err := b.askFor(id, to); err != nil || s.Open {
			t.Errorf("latch %d reads %v (%v) before its window, after other changes", i, s.Open, err)
		}
		b.must(b.SetSchedule(b.ctx, ana, b.app.ID, to, schedule.Week{}, Attempt{}))
		b.turn(Switch{User: ana, App: b.app.ID, Target: to, Open: true})
	}
	bad := schedule.Week{Zone: "UTC", Windows: []schedule.Window{{From: 1, To: 2}}}
	b.refused("a schedule without days", b.SetSchedule(b.ctx, ana, b.app.ID, Target{}, bad, Attempt{}), ErrBadSchedule)
}

func TestAScheduleThatCannotBeReadCloses(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.must(b.sqlite().write(b.ctx, func(t *tx) error { return t.exec(`UPDATE pairings SET schedule = 'Mars/Olympus; daily 08:00-22:00'`) }))
	b.reads(id, false)
}

func TestAClockThatWasSetBackKeepsTheSchedule(t *testing.T) {
	b := newBed(t)
	id, ana := b.pair("ana"), b.row("ana")
	b.at(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
	b.setSchedule(ana, "UTC; daily 08:00-22:00")
	b.at(time.Date(2026, 3, 4, 23, 0, 0, 0, time.UTC))
	b.turn(Switch{User: ana, App: b.app.ID, Open: true})
	b.at(time.Date(2026, 3, 2, 23, 0, 0, 0, time.UTC))
	b.reads(id, false)
	b.at(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	b.reads(id, true)
}

func BenchmarkSettingAt(b *testing.B) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC).UnixMilli()
	for _, text := range []string{"", "Europe/Madrid; daily 08:00-22:00"} {
		b.Run(fmt.Sprintf("windows=%v", text != ""), func(b *testing.B) {
			s := setting{on: true, changed: now - 1000, schedule: text}
			for b.Loop() {
				s.at(now)
			}
		})
	}
}

// A closed latch stays closed when the clock goes back: set by hand in a window, by a schedule that had just been set, or both.
func TestAClockThatWasSetBackOpensNothing(t *testing.T) {
	for name, c := range map[string]struct {
		do       func(*bed, int64)
		toMorrow bool // what it is at noon of the next day
	}{
		"closed by hand in a window": {func(b *bed, ana int64) {
			b.setSchedule(ana, "UTC; daily 08:00-22:00")
			b.at(time.Date(2026, 3, 4, 12, 30, 0, 0, time.UTC))
			b.turn(Switch{User: ana, App: b.app.ID})
		}, true},
		"closed by a schedule of this moment": {func(b *bed, ana int64) {
			b.turn(Switch{User: ana, App: b.app.ID})
			b.turn(Switch{User: ana, App: b.app.ID, Open: true})
			b.at(time.Date(2026, 3, 4, 12, 30, 0, 0, time.UTC))
			b.setSchedule(ana, "UTC; daily 02:00-03:00")
		}, false},
		"closed by hand after such a schedule": {func(b *bed, ana int64) {
			b.at(time.Date(2026, 3, 4, 12, 30, 0, 0, time.UTC))
			b.setSchedule(ana, "UTC; daily 08:00-22:00")
			b.at(time.Date(2026, 3, 4, 12, 31, 0, 0, time.UTC))
			b.turn(Switch{User: ana, App: b.app.ID})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			id, ana := b.pair("ana"), b.row("ana")
			b.at(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
			c.do(b, ana)
			for range 2 { // nor when somebody has written it down
				b.at(time.Date(2026, 3, 4, 12, 10, 0, 0, time.UTC))
				if b.root(ana).Open {
					t.Error("the page shows it open")
				}
				b.reads(id, false)
				b.clock.pass(time.Minute)
				b.reads(id, false)
			}
			b.turn(Switch{User: ana, App: b.app.ID, Open: true})
			b.reads(id, true) // the person's wish still counts
			b.turn(Switch{User: ana, App: b.app.ID})
			b.at(time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC))
			b.reads(id, c.toMorrow)
		})
	}
}

// TestTimersAreRecordedInTime: nobody has to look at a latch for the history to have the end of a timed opening.
func TestTimersAreRecordedInTime(t *testing.T) {
	b := newBed(t)
	b.pair("ana")
	b.pair("eva")
	b.set("ana", "", false)
	b.turn(Switch{User: b.row("ana"), App: b.app.ID, Open: true, For: 10 * time.Minute})
	b.must(b.RecordTimers(b.ctx))
	if got := b.lines("ana"); strings.Contains(strings.Join(got, "\n"), ActionTimer) {
		t.Errorf("before the end: %q", got)
	}
	b.clock.pass(10 * time.Minute)
	b.must(b.RecordTimers(b.ctx))
	entries, err := b.Log("ana", 100)
	b.must(err)
	if last := entries[len(entries)-1]; last.Action != ActionTimer || last.Value != "off" || last.T != b.millis() {
		t.Errorf("the last line is %+v", last)
	}
	b.must(b.RecordTimers(b.ctx))
	if again, err := b.Log("ana", 100); err != nil || len(again) != len(entries) {
		t.Errorf("recorded twice: %d lines, %d before, %v", len(again), len(entries), err)
	}
}

// TestSchedulesAreRecordedInTime is the same for the windows of a week.
func TestSchedulesAreRecordedInTime(t *testing.T) {
	b := newBed(t)
	b.pair("ana")
	b.at(time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)) // a Monday
	b.setSchedule(b.row("ana"), "UTC; daily 08:00-09:00")
	b.at(time.Date(2026, 3, 2, 8, 0, 30, 0, time.UTC))
	b.must(b.RecordSchedules(b.ctx))
	entries, err := b.Log("ana", 100)
	b.must(err)
	if last := entries[len(entries)-1]; last.Action != ActionSchedule || last.Value != "on" || last.T != b.millis()-30_000 {
		t.Errorf("the last line is %+v", last)
	}
}
