package store

import (
	"strings"
	"testing"
	"time"
)

// claim takes what is due and returns the kinds of notices.
func (l *listener) claim() []Delivery {
	l.t.Helper()
	list, err := l.Claim(l.ctx, 10)
	l.must(err)
	return list
}

// claims checks how many deliveries there are and returns them.
func (l *listener) claims(what string, want int) []Delivery {
	l.t.Helper()
	list := l.claim()
	if len(list) != want {
		l.t.Fatalf("%s: %d deliveries, want %d", what, len(list), want)
	}
	return list
}

func (l *listener) ended(d Delivery, r Result) {
	l.t.Helper()
	l.must(l.Delivered(l.ctx, d, r))
}

func (l *listener) state() Channel {
	l.t.Helper()
	c, err := l.ChannelOf(l.user.Row, 0, l.channel)
	l.must(err)
	return c
}

func TestDeliveriesAreClaimedOnceAndInOrder(t *testing.T) {
	l := newListener(t)
	l.attempt()
	l.told()
	first := l.claims("two notices for one channel", 1)[0]
	if first.Notice.Kind != NoticeChange || first.Language != "es" || first.Channel.Settings.URL != "https://ntfy.example/ana" {
		t.Errorf("the first delivery is %+v", first)
	}
	l.claims("a channel that another worker has", 0)
	l.ended(first, Result{})
	second := l.claims("the next", 1)[0]
	if second.Notice.Kind != NoticeLetIn || second.Notice.Ticket == "" {
		t.Errorf("the second delivery is %+v", second)
	}
	// The worker dies here.
	l.reopen()
	l.clock.pass(claimLife)
	if again := l.claims("after a worker died", 1)[0]; again.Row != second.Row {
		t.Errorf("after a worker died: delivery %d, want %d again", again.Row, second.Row)
	}
	l.ended(second, Result{})
	l.claims("everything delivered", 0)
	if c := l.state(); c.LastOK != l.millis() || c.Problem != "" {
		t.Errorf("the channel is %+v", c)
	}
}

func TestLanguageOfThePersonWins(t *testing.T) {
	l := newListener(t)
	lang := "en"
	l.must(l.ChangeProfile(l.ctx, l.user.Row, ProfileChange{Language: &lang}))
	l.told()
	if d := l.claims("a notice", 1)[0]; d.Language != "en" {
		t.Errorf("language is %q", d.Language)
	}
}

func TestBackoffAndGivingUp(t *testing.T) {
	l := newListener(t)
	l.told()
	var waits []time.Duration
	for begun := l.clock.now(); ; {
		list := l.claim()
		if len(list) == 0 {
			waited := time.Duration(0)
			for next := firstRetry; len(list) == 0 && waited < lastRetry; next = min(2*next, lastRetry) {
				l.clock.pass(next - waited - time.Second)
				l.claims("a second too early", 0)
				l.clock.pass(time.Second)
				waited, list = next, l.claim()
			}
			if len(list) == 0 {
				t.Fatalf("nothing is due %v after a failure", lastRetry)
			}
			waits = append(waits, waited)
		}
		l.ended(list[0], Result{Problem: "timeout"})
		if c := l.state(); c.GivenUp {
			break
		}
		if l.clock.now().Sub(begun) > giveUpAfter+maxWait {
			t.Fatal("the channel is never given up")
		}
		l.attempt() // something new to tell, since what is a day old is not tried any more
		l.clock.pass(0)
		l.told()
	}
	if waits[0] != firstRetry || waits[1] != 2*firstRetry || waits[len(waits)-1] != lastRetry {
		t.Errorf("waits are %v", waits)
	}
	if c := l.state(); c.Problem != "timeout" || c.Failing == 0 {
		t.Errorf("the channel is %+v", c)
	}
	l.clock.pass(maxWait)
	l.claims("a channel that was given up", 0)
	l.attempt()
	l.told()
	l.claims("a channel that was given up, with news", 0)
	d, err := l.TestDelivery(l.ctx, l.user.Row, 0, l.channel)
	l.must(err)
	l.ended(d, Result{})
	if c := l.state(); c.GivenUp || c.Failing != 0 {
		t.Errorf("after a test that arrived the channel is %+v", c)
	}
}

func TestGoneAndDropped(t *testing.T) {
	l := newListener(t)
	l.attempt()
	l.told()
	l.ended(l.claims("two", 1)[0], Result{Problem: "rejected", Drop: true})
	if c := l.state(); c.Problem != "rejected" || c.Failing != 0 {
		t.Errorf("after a notice that was not taken the channel is %+v", c)
	}
	d := l.claims("the one after a notice that was not taken", 1)[0]
	if d.Notice.Kind != NoticeLetIn {
		t.Errorf("delivery is %+v", d)
	}
	l.ended(d, Result{Problem: "gone", Gone: true})
	if c := l.state(); !c.GivenUp || c.Problem != "gone" {
		t.Errorf("the channel is %+v", c)
	}
}

func TestReceiverMayAskForPatience(t *testing.T) {
	l := newListener(t)
	l.told()
	l.ended(l.claims("one", 1)[0], Result{Problem: "busy", After: 10 * time.Minute})
	l.clock.pass(10*time.Minute - time.Second)
	l.claims("too early", 0)
	l.clock.pass(time.Second)
	l.ended(l.claims("in time", 1)[0], Result{Problem: "busy", After: 300 * 24 * time.Hour})
	l.clock.pass(maxWait)
	l.claims("a receiver that asks for the rest of the year", 1)
}

func TestBacklogIsBounded(t *testing.T) {
	l := newListener(t)
	l.told()
	l.must(l.sqlite().write(l.ctx, func(t *tx) error {
		for i := range maxBacklog + 10 {
			if err := l.sqlite().addNotice(t, Notice{User: l.user.Row, Kind: NoticeChange, T: l.millis(), Count: i}, []int64{l.channel}); err != nil {
				return err
			}
		}
		return nil
	}))
	var waiting int
	l.must(l.count(&waiting, `SELECT count(*) FROM outbox`))
	if d := l.claims("the oldest that is left", 1)[0]; waiting != maxBacklog || d.Notice.Count != 10 {
		t.Errorf("%d wait, the first is number %d", waiting, d.Notice.Count)
	}
	l.clock.pass(NoticeLife)
	l.must(l.TidyNotices(l.ctx))
	l.must(l.count(&waiting, `SELECT count(*) FROM outbox`))
	if waiting != 0 {
		t.Errorf("%d wait a day later", waiting)
	}
	l.clock.pass(noticesKept)
	l.must(l.TidyNotices(l.ctx))
	if list, err := l.Notices(l.user.Row, 10); err != nil || len(list) != 0 {
		t.Errorf("%d notices a month later, %v", len(list), err)
	}
}

func (l *listener) count(n *int, query string) error { return l.sqlite().reads.get([]any{n}, query) }

func TestTestsAreLimited(t *testing.T) {
	l := newListener(t)
	var err error
	for range testPace.limit {
		if _, err = l.TestDelivery(l.ctx, l.user.Row, 0, l.channel); err != nil {
			t.Fatal(err)
		}
	}
	_, err = l.TestDelivery(l.ctx, l.user.Row, 0, l.channel)
	if _, many := err.(*TooManyError); !many {
		t.Errorf("one test too many: %v", err)
	}
	_, err = l.TestDelivery(l.ctx, l.user.Row+1, 0, l.channel)
	l.refused("a test of somebody else's channel", err, ErrNoChannel)
}

func TestChannels(t *testing.T) {
	l := newListener(t)
	if again := l.listen(l.user.Row, "https://ntfy.example/ana"); again != l.channel {
		t.Errorf("the same address makes channel %d and %d", l.channel, again)
	}
	for i := range maxChannels - 1 {
		l.listen(l.user.Row, "https://ntfy.example/"+string(rune('a'+i)))
	}
	_, err := l.SaveChannel(l.ctx, Channel{User: l.user.Row, Kind: ChannelMail, Settings: ChannelSettings{Address: "ana@example.org"}})
	l.refused("one channel too many", err, ErrTooMany)
	l.refused("removing somebody else's channel", l.RemoveChannel(l.ctx, l.user.Row+1, 0, l.channel), ErrNoChannel)
	l.must(l.RemoveChannel(l.ctx, l.user.Row, 0, l.channel))
	_, err = l.ChannelOf(l.user.Row, 0, l.channel)
	l.refused("a channel that was removed", err, ErrNoChannel)
}

func TestLostPhoneGetsNoNotices(t *testing.T) {
	l := newListener(t)
	_, err := l.SaveChannel(l.ctx, Channel{User: l.user.Row, Kind: ChannelPush, Settings: ChannelSettings{URL: "https://push.example/1"}})
	l.must(err)
	l.must(l.LosePhone(l.ctx, l.user.Row, Attempt{}))
	if list, err := l.Channels(l.user.Row); err != nil || len(list) != 1 || list[0].Kind != ChannelNtfy {
		t.Errorf("channels are %+v, %v", list, err)
	}
}

func TestLinkThatOnlyCloses(t *testing.T) {
	l := newListener(t)
	l.attempt()
	n := l.told()[1]
	if _, err := l.TakeLink(l.ctx, n.Ticket, LinkReset); err != ErrLinkSpent {
		t.Errorf("as a link of another purpose: %v", err)
	}
	if c, err := l.ClosingOf(n.Ticket); err != nil || c != (Closing{"servers", "servers"}) {
		t.Errorf("looking at the link: %+v, %v", c, err)
	}
	l.reads(l.account, true)
	_, err := l.CloseByLink(l.ctx, n.Ticket, Attempt{IP: "203.0.113.9"})
	l.must(err)
	l.reads(l.account, false)
	l.set(true)
	_, err = l.CloseByLink(l.ctx, n.Ticket, Attempt{})
	l.refused("the link's second use", err, ErrLinkSpent)
	l.reads(l.account, true)
	late := l.told()
	l.clock.pass(NoticeLife)
	_, err = l.CloseByLink(l.ctx, late[0].Ticket, Attempt{})
	l.refused("a link that is a day old", err, ErrLinkSpent)
	_, err = l.CloseByLink(l.ctx, strings.Repeat("A", 43), Attempt{})
	l.refused("a link that was made up", err, ErrLinkSpent)
}

func TestLinkClosesAnInstance(t *testing.T) {
	l := newListener(t)
	op, err := l.AddOperation(l.ctx, l.app, l.app.ID, Operation{Name: "ssh"})
	l.must(err)
	in, err := l.AddInstances(l.ctx, l.app, l.account, op.ID, []string{"laptop"})
	l.must(err)
	l.told()
	to := Target{OperationID: op.ID, InstanceID: in[0].ID}
	l.attempt(func(r *StatusRequest) { r.Target = to })
	n := l.told()[0]
	_, err = l.CloseByLink(l.ctx, n.Ticket, Attempt{})
	l.must(err)
	s, err := l.Status(l.ctx, StatusRequest{App: l.app, AccountID: l.account, Target: to})
	if err != nil || s.Open {
		t.Errorf("the instance reads %+v, %v", s, err)
	}
	s, err = l.Status(l.ctx, StatusRequest{App: l.app, AccountID: l.account, Target: Target{OperationID: op.ID}})
	if err != nil || !s.Open {
		t.Errorf("the operation around it reads %+v, %v", s, err)
	}
}

func TestOpeningByNotice(t *testing.T) {
	l := newListener(t)
	op, err := l.AddOperation(l.ctx, l.app, l.app.ID, Operation{Name: "remote"})
	l.must(err)
	under, err := l.AddOperation(l.ctx, l.app, op.ID, Operation{Name: "ssh"})
	l.must(err)
	beside, err := l.AddOperation(l.ctx, l.app, op.ID, Operation{Name: "ftp"})
	l.must(err)
	for _, name := range []string{"", under.ID, beside.ID} {
		_, err := l.SetByUser(l.ctx, "ana", l.app.ID, name, false)
		l.must(err)
	}
	l.told()
	reads := func(id string, open bool) {
		t.Helper()
		s, err := l.Status(l.ctx, StatusRequest{App: l.app, AccountID: l.account, Target: Target{OperationID: id}})
		if err != nil || s.Open != open {
			t.Errorf("operation reads %+v, %v; want %q", s, err, onOff(open))
		}
	}
	reads(under.ID, false)
	n := l.told()[0]
	if _, err := l.OpenByNotice(l.ctx, l.user.Row+1, n.Row, 10*time.Minute, Attempt{}); err != ErrNoNotice {
		t.Errorf("somebody else's notice: %v", err)
	}
	until, err := l.OpenByNotice(l.ctx, l.user.Row, n.Row, 10*time.Minute, Attempt{})
	if err != nil || until != l.millis()+(10*time.Minute).Milliseconds() {
		t.Errorf("open until %d, %v", until, err)
	}
	reads(under.ID, true)
	reads(beside.ID, false)
	l.clock.pass(10 * time.Minute)
	reads(under.ID, false)
	reads(op.ID, false)
	_, err = l.SetByUser(l.ctx, "ana", l.app.ID, "", true)
	l.must(err)
	reads(op.ID, true) // which was never closed, and was not opened for a while
}

// TestNoticesGoWithTheirOwner: of a person or an application that is removed nothing is left to send, nor where to.
func TestNoticesGoWithTheirOwner(t *testing.T) {
	l := newListener(t)
	_, err := l.SaveChannel(l.ctx, Channel{App: l.app.Row, Kind: ChannelWebhook, Label: "hook", Settings: ChannelSettings{URL: "https://hook.example/"}})
	l.must(err)
	l.attempt()
	l.set(false)
	l.told()
	l.must(l.RemoveUser(l.ctx, "ana"))
	l.must(l.RemoveApplication(l.ctx, l.app.Row))
	l.claims("after both were removed", 0)
	l.must(l.TidyNotices(l.ctx))
	for _, table := range []string{"notice_channels", "notice_windows", "outbox", "notices WHERE user != 0"} {
		var left int
		l.must(l.count(&left, `SELECT count(*) FROM `+table))
		if left != 0 {
			t.Errorf("%d left in %s", left, table)
		}
	}
}
