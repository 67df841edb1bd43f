package store

import (
	"testing"
	"time"
)

// person returns the row of somebody.
func (b *bed) row(name string) int64 {
	b.t.Helper()
	u, err := b.User(name)
	b.must(err)
	return u.Row
}

func (b *bed) turn(a Switch) Switched {
	b.t.Helper()
	d, err := b.Switch(b.ctx, a)
	b.must(err)
	return d
}

// root returns a person's only application as the person sees it.
func (b *bed) root(user int64) NodeState {
	b.t.Helper()
	list, err := b.LatchTree(user)
	b.must(err)
	if len(list) != 1 {
		b.t.Fatalf("%d applications, want 1", len(list))
	}
	return list[0].Status
}

// lines returns action and value of a person's history, oldest first, without the hosts' questions.
func (b *bed) lines(user string) (list []string) {
	b.t.Helper()
	entries, err := b.Log(user, MaxHistory)
	b.must(err)
	for _, e := range entries {
		if e.Action != ActionGet && e.What == "status" {
			list = append(list, e.Action+" "+e.Value+" "+time.UnixMilli(e.T).UTC().Format("15:04:05"))
		}
	}
	return list
}

func (b *bed) sees(user string, want ...string) {
	b.t.Helper()
	got := b.lines(user)
	if len(got) != len(want) {
		b.t.Errorf("history is %q, want %q", got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			b.t.Errorf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestTimedOpeningEndsByItself(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	ana := b.row("ana")
	b.turn(Switch{User: ana, App: b.app.ID})
	b.reads(id, false)
	d := b.turn(Switch{User: ana, App: b.app.ID, Open: true, For: 10 * time.Minute})
	if n := b.root(ana); !n.Open || n.Next.At != d.Until || n.Next.Open || n.Next.By != ByTimer {
		t.Errorf("the tree says %+v, want open until %d", n, d.Until)
	}
	b.clock.pass(10*time.Minute - time.Millisecond)
	b.reads(id, true)
	b.clock.pass(time.Millisecond)
	if n := b.root(ana); n.Open || n.Since != d.Until || n.By != ByTimer {
		t.Errorf("the tree says %+v, want closed by the timer", n)
	}
	b.clock.pass(time.Minute)
	b.reads(id, false)
	b.reads(id, false)
	b.sees("ana", "USER_UPDATE off 12:00:00", "USER_UPDATE on 12:00:00", "TIMER_UPDATE off 12:10:00")
	h, err := b.History(b.ctx, b.app, id, 0, b.millis())
	b.must(err)
	if h.Account.Status.Open || h.Account.Changed != d.Until {
		t.Errorf("the account is %+v, want closed since %d", h.Account, d.Until)
	}
}

func TestATimerIsOverruled(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	ana := b.row("ana")
	timed := Switch{User: ana, App: b.app.ID, Open: true, For: time.Minute}
	b.turn(timed)
	b.turn(Switch{User: ana, App: b.app.ID, Open: true})
	b.clock.pass(time.Hour)
	b.reads(id, true)
	b.turn(timed)
	b.clock.pass(30 * time.Second)
	b.turn(timed)
	b.clock.pass(45 * time.Second)
	b.reads(id, true)
	b.must(b.SetByApplication(b.ctx, b.app, id, Target{}, false, Attempt{}))
	b.reads(id, false)
	b.clock.pass(-48 * time.Hour)
	b.turn(timed)
	b.clock.pass(setBack)
	b.reads(id, false)
}

func TestUndo(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	ana := b.row("ana")
	b.turn(Switch{User: ana, App: b.app.ID, Open: true, For: time.Hour})
	b.clock.pass(time.Minute)
	closed := b.turn(Switch{User: ana})
	b.reads(id, false)
	_, err := b.AddUser(b.ctx, "eva")
	b.must(err)
	b.refused("another person's act", b.Undo(b.ctx, b.row("eva"), closed.ID, Attempt{}), ErrNoSwitch)
	b.must(b.Undo(b.ctx, ana, closed.ID, Attempt{}))
	b.reads(id, true)
	b.refused("an act that was undone", b.Undo(b.ctx, ana, closed.ID, Attempt{}), ErrNoSwitch)
	b.clock.pass(59 * time.Minute)
	b.reads(id, false)

	closed = b.turn(Switch{User: ana, App: b.app.ID, Open: true})
	b.must(b.SetByApplication(b.ctx, b.app, id, Target{}, false, Attempt{}))
	b.refused("an act that was overruled", b.Undo(b.ctx, ana, closed.ID, Attempt{}), ErrChangedThen)
	b.reads(id, false)

	closed = b.turn(Switch{User: ana, App: b.app.ID, Open: true})
	b.clock.pass(UndoLife)
	b.refused("an old act", b.Undo(b.ctx, ana, closed.ID, Attempt{}), ErrNoSwitch)
	if d := b.turn(Switch{User: ana, App: b.app.ID, Open: true}); d.ID != 0 {
		t.Errorf("an act that changed nothing can be undone: %+v", d)
	}
}

func TestSwitchsOnNodes(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	ana := b.row("ana")
	ssh, err := b.AddOperation(b.ctx, b.app, b.app.ID, Operation{Name: "ssh"})
	b.must(err)
	made, err := b.AddInstances(b.ctx, b.app, id, ssh.ID, []string{"web1"})
	b.must(err)
	d := b.turn(Switch{User: ana, App: b.app.ID, Target: Target{OperationID: ssh.ID}})
	web1 := b.root(ana).Children[0].Children[0]
	if web1.Kind != KindInstance || web1.Name != "web1" || web1.Open || !web1.OwnOpen || !web1.ByParent {
		t.Errorf("the instance is %+v, want closed by its operation", web1)
	}
	b.turn(Switch{User: ana, App: b.app.ID, Target: web1.Target})
	b.must(b.Undo(b.ctx, ana, d.ID, Attempt{}))
	if web1 = b.root(ana).Children[0].Children[0]; web1.Open || web1.OwnOpen || web1.ByParent || web1.ID != made[0].ID {
		t.Errorf("the instance is %+v, want closed by itself", web1)
	}
	b.turn(Switch{User: ana, App: b.app.ID, Target: web1.Target, Open: true, For: time.Minute})
	b.clock.pass(time.Minute)
	s, err := b.askFor(id, web1.Target)
	b.must(err)
	if s.Open {
		t.Error("the instance is open after its time")
	}
}

func TestSwitchsThatAreRefused(t *testing.T) {
	b := newBed(t)
	b.pair("ana")
	ana := b.row("ana")
	do := func(a Switch) error {
		a.User = ana
		_, err := b.Switch(b.ctx, a)
		return err
	}
	b.refused("a negative time", do(Switch{App: b.app.ID, Open: true, For: -time.Second}), ErrBadTime)
	b.refused("a week and more", do(Switch{App: b.app.ID, Open: true, For: MaxOpenTime + 1}), ErrBadTime)
	b.refused("a timed closing", do(Switch{App: b.app.ID, For: time.Minute}), ErrBadTime)
	b.refused("an unknown operation", do(Switch{App: b.app.ID, Target: Target{OperationID: "x"}}), ErrNoOperation)
	b.refused("an unknown application", do(Switch{App: "x"}), ErrNoApplication)
	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	b.refused("opening while disabled", do(Switch{App: b.app.ID, Open: true}), ErrUserDisabled)
	b.must(do(Switch{}))
	b.must(b.RemoveUser(b.ctx, "ana"))
	b.refused("a removed person", do(Switch{}), ErrNoUser)
}

// An act that was taken back after something else said "closed" would open what that had closed.
func TestNothingUndoesWhatWasClosedAgainSince(t *testing.T) {
	for name, again := range map[string]func(*listener, Notice){
		"everything":        func(l *listener, _ Notice) { l.turn(Switch{User: l.user.Row}) },
		"by the same touch": func(l *listener, _ Notice) { l.turn(Switch{User: l.user.Row, App: l.app.ID}) },
		"by the application": func(l *listener, _ Notice) {
			l.must(l.SetByApplication(l.ctx, l.app, l.account, Target{}, false, Attempt{}))
		},
		"not me": func(l *listener, n Notice) {
			_, err := l.CloseByLink(l.ctx, n.Ticket, Attempt{})
			l.must(err)
		},
		"phone lost": func(l *listener, _ Notice) {
			l.must(l.LosePhone(l.ctx, l.user.Row, Attempt{}))
			l.must(l.ComeBack(l.ctx, l.user.Row, "hash"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListener(t)
			l.attempt()
			n := l.told()[1]
			d := l.turn(Switch{User: l.user.Row, App: l.app.ID})
			again(l, n)
			if err := l.Undo(l.ctx, l.user.Row, d.ID, Attempt{}); err != ErrChangedThen && err != ErrNoSwitch {
				t.Errorf("taking the first closing back: %v", err)
			}
			l.reads(l.account, false)
		})
	}
}

func TestClosingByLinkOrLossCannotBeTakenBack(t *testing.T) {
	l := newListener(t)
	l.attempt()
	n := l.told()[1]
	last := l.turn(Switch{User: l.user.Row, App: l.app.ID, Open: true, For: time.Hour})
	_, err := l.CloseByLink(l.ctx, n.Ticket, Attempt{})
	l.must(err)
	l.refused("the link's", l.Undo(l.ctx, l.user.Row, last.ID+1, Attempt{}), ErrNoSwitch)
	l.turn(Switch{User: l.user.Row, App: l.app.ID, Open: true})
	l.must(l.LosePhone(l.ctx, l.user.Row, Attempt{}))
	l.must(l.ComeBack(l.ctx, l.user.Row, "hash"))
	for id := last.ID; id < last.ID+10; id++ {
		l.refused("the lost phone's", l.Undo(l.ctx, l.user.Row, id, Attempt{}), ErrNoSwitch)
	}
	l.reads(l.account, false)
}
