package store

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// listener is a person with a paired account and one channel.
type listener struct {
	*bed
	user    User
	account string
	channel int64
	seen    int64
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{bed: newBed(t)}
	l.account = l.pair("ana")
	var err error
	l.user, err = l.User("ana")
	l.must(err)
	l.channel = l.listen(l.user.Row, "https://ntfy.example/ana")
	return l
}

func (l *listener) listen(user int64, url string) int64 {
	l.t.Helper()
	row, err := l.SaveChannel(l.ctx, Channel{User: user, Kind: ChannelNtfy, Label: "ntfy", Settings: ChannelSettings{URL: url, Language: "es"}})
	l.must(err)
	return row
}

// attempt asks about the account as a host does; more changes the request.
func (l *listener) attempt(more ...func(*StatusRequest)) {
	l.t.Helper()
	r := StatusRequest{App: l.app, AccountID: l.account, Attempt: Attempt{IP: "192.0.2.1"}}
	for _, change := range more {
		change(&r)
	}
	_, err := l.Status(l.ctx, r)
	l.must(err)
	l.must(l.sqlite().flushRefusals(false)) // so that lines come in the order of attempts
}

func silently(r *StatusRequest) { r.Attempt.Silent, r.NoOTP = true, true }

func from(address string) func(*StatusRequest) {
	return func(r *StatusRequest) {
		r.Attempt.Context = map[string]string{"host": "web1", "service": "sshd", "user": "ana", "rhost": address}
	}
}

func (l *listener) set(open bool) {
	l.t.Helper()
	_, err := l.SetByUser(l.ctx, "ana", "", "", open)
	l.must(err)
}

// told runs the fan-out until it has seen everything and returns the notices of ana that are new, oldest first.
func (l *listener) told() []Notice {
	l.t.Helper()
	before, err := l.Notices(l.user.Row, 1000)
	l.must(err)
	for more := true; more; {
		l.seen, more, err = l.Fanout(l.ctx, l.seen)
		l.must(err)
	}
	l.must(l.Summaries(l.ctx))
	after, err := l.Notices(l.user.Row, 1000)
	l.must(err)
	fresh := after[:len(after)-len(before)]
	slices.Reverse(fresh)
	return fresh
}

func kinds(list []Notice) string {
	var words []string
	for _, n := range list {
		words = append(words, n.Kind)
	}
	return strings.Join(words, " ")
}

func (l *listener) tells(what, want string) []Notice {
	l.t.Helper()
	list := l.told()
	if got := kinds(list); got != want {
		l.t.Errorf("%s: told %q, want %q", what, got, want)
	}
	return list
}

func TestNoticesOfAttemptsAndChanges(t *testing.T) {
	l := newListener(t)
	email, phone := "it@example.org", "+34 900 000 000"
	l.must(l.ChangeApplication(l.ctx, l.app.Row, ApplicationChange{ContactEmail: &email, ContactPhone: &phone}))
	l.tells("the pairing, before there was a channel", "change")
	l.attempt(from("203.0.113.7"))
	list := l.tells("an attempt that was let in", "let_in")
	n := list[0]
	if n.App != "servers" || n.AppID != l.app.ID || n.NodeID != l.app.ID || n.Host != "web1" || n.Service != "sshd" || n.Login != "ana" ||
		n.Address != "203.0.113.7" || n.Asker != "192.0.2.1" || n.ContactEmail != email || n.ContactPhone != phone || n.Ticket == "" || n.T != l.millis() {
		t.Errorf("the notice says %+v", n)
	}
	l.set(false)
	if n := l.tells("a change", "change")[0]; n.Value != "off" || n.Action != ActionUser {
		t.Errorf("the notice says %+v", n)
	}
	l.attempt()
	l.tells("an attempt that was refused", "refused")
	l.tells("nothing new", "")
	l.reopen()
	l.seen = 0
	l.tells("nothing new, after a restart", "")
}

func TestSilentQuestionsAreNotTold(t *testing.T) {
	l := newListener(t)
	l.told()
	l.attempt(silently)
	l.set(false)
	l.tells("a silent question, let in", "change")
	l.attempt(silently)
	l.tells("a silent question, refused", "")
	l.clock.pass(noticeWindow)
	l.tells("the end of a window in which nothing was told", "")
}

func TestClosingByUseIsOneNotice(t *testing.T) {
	l := newListener(t)
	always := Mandatory
	l.must(l.ChangeApplication(l.ctx, l.app.Row, ApplicationChange{LockOnUse: &always}))
	l.reload()
	l.told()
	l.attempt()
	l.tells("an attempt after which the latch closed", "let_in")
}

func TestRules(t *testing.T) {
	l := newListener(t)
	op, err := l.AddOperation(l.ctx, l.app, l.app.ID, Operation{Name: "ssh"})
	l.must(err)
	l.told()
	at := func(r *StatusRequest) { r.Target.OperationID = op.ID }
	l.refused("somebody else's account", l.SetRules(l.ctx, l.user.Row+1, l.account, map[string]Rule{op.ID: {}}), ErrNotPaired)
	l.must(l.SetRules(l.ctx, l.user.Row, l.account, map[string]Rule{l.app.ID: {Refused: true, Quiet: true}}))
	l.attempt(at)
	l.tells("an operation with its application's rule", "")
	l.must(l.SetRules(l.ctx, l.user.Row, l.account, map[string]Rule{l.app.ID: {Refused: true, Quiet: true}, op.ID: {LetIn: true}}))
	l.attempt(at)
	l.attempt()
	if list := l.tells("an operation with a rule of its own", "let_in"); list[0].Quiet || list[0].Name != "ssh" {
		t.Errorf("the notice says %+v", list[0])
	}
	l.set(false)
	l.attempt()
	if list := l.tells("what the application's rule leaves", "refused"); !list[0].Quiet {
		t.Error("the rule's quiet is not in the notice")
	}
	rules, err := l.Rules(l.account)
	l.must(err)
	if len(rules) != 2 || rules[op.ID] != (Rule{LetIn: true}) || RuleFor(rules, "else", "") != everything {
		t.Errorf("rules are %+v", rules)
	}
}

func TestFloodIsSummedUp(t *testing.T) {
	l := newListener(t)
	l.set(false)
	l.told()
	for i := range noticesPerLatch {
		l.attempt(from([]string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}[i]))
	}
	for i := range 37 {
		how := []func(*StatusRequest){from([]string{"203.0.113.1", "203.0.113.2", "203.0.113.3"}[i%3])}
		if i%2 == 0 {
			how = append(how, silently) // as a host asks within a minute of a refusal
		}
		l.attempt(how...)
	}
	l.tells("a flood", "refused refused refused")
	l.clock.pass(noticeWindow - time.Second)
	l.tells("before the window ends", "")
	l.clock.pass(time.Second)
	n := l.tells("the window's end", "summary")[0]
	if n.Count != 37 || n.Addresses != 3 || n.Latches != 1 || n.Of != NoticeRefused || n.T-n.Since != noticeWindow.Milliseconds() ||
		n.App != "servers" || n.Ticket == "" {
		t.Errorf("the summary says %+v", n)
	}
	l.attempt()
	l.tells("the flood goes on", "")
	l.clock.pass(noticeWindow)
	if n := l.tells("the next window's end", "summary")[0]; n.Count != 1 || n.Addresses != 1 {
		t.Errorf("the second summary says %+v", n)
	}
	l.clock.pass(noticeWindow)
	l.tells("a window without attempts", "")
	l.attempt()
	l.tells("an attempt in peace", "refused")
}

func TestALoginAmongAFloodIsTold(t *testing.T) {
	l := newListener(t)
	l.set(false)
	for range 20 {
		l.attempt()
	}
	l.set(true)
	l.attempt()
	l.tells("a login after a flood", "change change refused change let_in")
}

func TestFloodOverManyLatches(t *testing.T) {
	l := newListener(t)
	l.told()
	for i := range noticesPerPerson + 5 {
		op, err := l.AddOperation(l.ctx, l.app, l.app.ID, Operation{Name: "op" + string(rune('a'+i))})
		l.must(err)
		l.attempt(func(r *StatusRequest) { r.Target.OperationID = op.ID })
	}
	l.tells("a flood", strings.TrimSpace(strings.Repeat("let_in ", noticesPerPerson)))
	l.clock.pass(noticeWindow)
	n := l.tells("the window's end", "summary")[0]
	if n.Count != 5 || n.Latches != 5 || n.AppID != "" {
		t.Errorf("the summary says %+v", n)
	}
	c, err := l.ClosingOf(n.Ticket)
	if err != nil || c != (Closing{}) {
		t.Errorf("its link closes %+v, %v; want everything", c, err)
	}
	_, err = l.CloseByLink(l.ctx, n.Ticket, Attempt{})
	l.must(err)
	l.reads(l.account, false)
}

func TestFanoutAfterTheHistoryWasEmptied(t *testing.T) {
	l := newListener(t)
	l.attempt()
	l.tells("an attempt", "change let_in")
	l.must(l.sqlite().write(l.ctx, func(t *tx) error { return t.exec(`DELETE FROM history`) }))
	l.attempt()
	l.tells("an attempt whose number was used before", "let_in")
}

func TestFanoutInTwoProcesses(t *testing.T) {
	l := newListener(t)
	l.told()
	other, err := over.open(l.dir, Options{Now: l.clock.now})
	l.must(err)
	defer other.Close()
	for range 10 {
		l.attempt()
		ended := make(chan error, 2)
		for _, s := range []Backend{l.Backend, other} {
			go func() {
				_, _, err := s.Fanout(l.ctx, 0)
				ended <- err
			}()
		}
		l.must(<-ended)
		l.must(<-ended)
		l.clock.pass(noticeWindow)
	}
	if list, err := l.Notices(l.user.Row, 100); err != nil || len(list) != 11 {
		t.Errorf("%d notices of a pairing and ten attempts, %v", len(list), err)
	}
}

func TestWebhookGetsChangesAlone(t *testing.T) {
	l := newListener(t)
	l.told()
	_, err := l.SaveChannel(l.ctx, Channel{App: l.app.Row, Kind: ChannelWebhook, Label: "hook", Settings: ChannelSettings{URL: "https://hook.example/"}})
	l.must(err)
	l.must(l.RemoveChannel(l.ctx, l.user.Row, 0, l.channel))
	l.attempt()
	l.set(false)
	l.told()
	list, err := l.Claim(l.ctx, 10)
	l.must(err)
	if len(list) != 1 || list[0].Notice.Account != l.account || list[0].Notice.Value != "off" || list[0].Notice.Action != ActionUser {
		t.Errorf("the webhook gets %+v", list)
	}
}
