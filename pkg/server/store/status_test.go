package store

import (
	"slices"
	"testing"
	"time"
)

func (b *bed) askFor(account string, to Target) (Status, error) {
	return b.Status(b.ctx, StatusRequest{App: b.app, AccountID: account, Target: to})
}

func (b *bed) set(user, operation string, open bool) {
	b.t.Helper()
	_, err := b.SetByUser(b.ctx, user, "servers", operation, open)
	b.must(err)
}

func TestStatusTree(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	ssh, err := b.AddOperation(b.ctx, b.app, b.app.ID, Operation{Name: "ssh"})
	b.must(err)
	root, err := b.AddOperation(b.ctx, b.app, ssh.ID, Operation{Name: "root"})
	b.must(err)
	_, err = b.AddOperation(b.ctx, b.app, "nowhere", Operation{Name: "x"})
	b.refused("an unknown parent", err, ErrNoOperation)
	instances, err := b.AddInstances(b.ctx, b.app, id, ssh.ID, []string{"web1"})
	b.must(err)

	check := func(app, ssh2, root2, instance bool) {
		t.Helper()
		for _, c := range []struct {
			name string
			to   Target
			want bool
		}{
			{"application", Target{}, app}, {"application by op", Target{OperationID: b.app.ID}, app},
			{"ssh", Target{OperationID: ssh.ID}, ssh2}, {"root", Target{OperationID: root.ID}, root2},
			{"web1", Target{OperationID: ssh.ID, InstanceID: instances[0].ID}, instance},
		} {
			s, err := b.askFor(id, c.to)
			if err != nil || s.Open != c.want {
				t.Errorf("%s reads %v (%v), want %v", c.name, s.Open, err, c.want)
			}
		}
		s, err := b.ask(id)
		b.must(err)
		if s.ID != b.app.ID || len(s.Children) != 1 || s.Children[0].ID != ssh.ID || s.Children[0].Open != ssh2 ||
			len(s.Children[0].Children) != 1 || s.Children[0].Children[0].Open != root2 {
			t.Errorf("tree is %+v", s)
		}
	}
	check(true, true, true, true)
	b.set("ana", "root", false)
	check(true, true, false, true)
	b.set("ana", "root", true)
	b.set("ana", "ssh", false)
	check(true, false, false, false)
	b.set("ana", "ssh", true)
	b.set("ana", "", false)
	check(false, false, false, false)
	b.set("ana", "", true)
	check(true, true, true, true)
	b.must(b.SetByApplication(b.ctx, b.app, id, Target{OperationID: ssh.ID, InstanceID: instances[0].ID}, false, Attempt{}))
	check(true, true, true, false)

	_, err = b.askFor(id, Target{OperationID: "nowhere"})
	b.refused("an unknown operation", err, ErrNoOperation)
	_, err = b.askFor("nobody", Target{OperationID: "nowhere"})
	b.refused("an unknown account and operation", err, ErrNotPaired)
	_, err = b.askFor(id, Target{InstanceID: instances[0].ID})
	b.refused("an instance without its operation", err, ErrNoInstance)

	b.must(b.RemoveOperation(b.ctx, b.app.Row, ssh.ID))
	_, err = b.askFor(id, Target{OperationID: root.ID})
	b.refused("the child of a removed operation", err, ErrNoOperation)
	b.reads(id, true)
}

func TestOneAccountDoesNotOpenAnother(t *testing.T) {
	b := newBed(t)
	ana, eva := b.pair("ana"), b.pair("eva")
	b.set("ana", "", false)
	b.reads(ana, false)
	b.reads(eva, true)
	other, _, err := b.AddApplication(b.ctx, Application{Name: "other"})
	b.must(err)
	_, err = b.Status(b.ctx, StatusRequest{App: other, AccountID: eva})
	b.refused("another application's account", err, ErrNotPaired)
}

func TestSecondFactor(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		mode   Mode
		chosen *bool
		closed bool
		noOTP  bool
		want   bool
	}{
		"disabled":                {mode: Disabled},
		"disabled, though chosen": {mode: Disabled, chosen: &yes},
		"mandatory":               {mode: Mandatory, want: true},
		"mandatory, not chosen":   {mode: Mandatory, chosen: &no, want: true},
		"mandatory, closed":       {mode: Mandatory, closed: true},
		"mandatory, nootp":        {mode: Mandatory, noOTP: true},
		"opt in, not asked yet":   {mode: OptIn},
		"opt in, chosen":          {mode: OptIn, chosen: &yes, want: true},
		"opt in, not chosen":      {mode: OptIn, chosen: &no},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			id := b.pair("ana")
			b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{TwoFactor: &c.mode}))
			b.reload()
			if c.chosen != nil {
				b.must(b.SetChoice(b.ctx, "ana", "servers", "", c.chosen, nil))
			}
			if c.closed {
				b.set("ana", "", false)
			}
			s, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: id, NoOTP: c.noOTP})
			b.must(err)
			if (s.Token != "") != c.want || c.want && (len(s.Token) != 6 || s.Made != b.millis()) {
				t.Errorf("token is %q, made %d", s.Token, s.Made)
			}
			list, err := b.Tokens("ana")
			b.must(err)
			if (len(list) == 1 && list[0].Token == s.Token) != c.want {
				t.Errorf("the phone shows %+v", list)
			}
			b.clock.pass(TokenLife)
			if list, err := b.Tokens("ana"); err != nil || len(list) != 0 {
				t.Errorf("the phone still shows %+v, %v", list, err)
			}
		})
	}
}

func TestATokenThatTheApplicationBrings(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	mode := Mandatory
	op, err := b.AddOperation(b.ctx, b.app, b.app.ID, Operation{Name: "pay", TwoFactor: mode})
	b.must(err)
	s, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: id, Target: Target{OperationID: op.ID}, Token: "123456", Message: "10 EUR"})
	b.must(err)
	list, err := b.Tokens("ana")
	if s.Token != "123456" || err != nil || len(list) != 1 || list[0].Message != "10 EUR" || list[0].Node != op.ID {
		t.Errorf("answer %+v, phone %+v, %v", s, list, err)
	}
	if s, err := b.ask(id); err != nil || s.Token != "" {
		t.Errorf("the application got its operation's token: %+v, %v", s, err)
	}
}

func TestLockOnRequest(t *testing.T) {
	for name, c := range map[string]struct {
		mode           Mode
		silent, closes bool
	}{
		"mandatory":         {mode: Mandatory, closes: true},
		"mandatory, silent": {mode: Mandatory, silent: true},
		"disabled":          {mode: Disabled},
		"opt in":            {mode: OptIn},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			id := b.pair("ana")
			b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{LockOnUse: &c.mode}))
			b.reload()
			s, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: id, Attempt: Attempt{Silent: c.silent}})
			if err != nil || !s.Open {
				t.Errorf("first answer: %+v, %v", s, err)
			}
			b.reads(id, !c.closes)
		})
	}
}

func TestLockOnRequestOpensOnceAmongMany(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	mode := Mandatory
	b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{LockOnUse: &mode}))
	b.reload()
	answers := make(chan bool)
	for range 50 {
		go func() {
			s, err := b.ask(id)
			answers <- err == nil && s.Open
		}()
	}
	opened := 0
	for range 50 {
		if <-answers {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d of 50 simultaneous questions were let in, want 1", opened)
	}
}

func TestSetByApplication(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.must(b.SetByApplication(b.ctx, b.app, id, Target{}, false, Attempt{}))
	b.reads(id, false)
	b.refused("opening without the switch", b.SetByApplication(b.ctx, b.app, id, Target{}, true, Attempt{}), ErrNotAllowed)
	b.reads(id, false)
	on := true
	b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{OpenByAPI: &on}))
	b.reload()
	b.must(b.SetByApplication(b.ctx, b.app, id, Target{}, true, Attempt{}))
	b.reads(id, true)
	b.refused("a stranger", b.SetByApplication(b.ctx, b.app, "nobody", Target{}, true, Attempt{}), ErrNotPaired)
}

func TestSetByUser(t *testing.T) {
	b := newBed(t)
	first := b.pair("ana")
	servers := b.app
	other, _, err := b.AddApplication(b.ctx, Application{Name: "mail"})
	b.must(err)
	b.app = other
	second := b.pairAgain("ana")
	names, err := b.SetByUser(b.ctx, "ana", "", "", false)
	if err != nil || len(names) != 2 {
		t.Errorf("closed %q, %v", names, err)
	}
	b.reads(second, false)
	b.app = servers
	b.reads(first, false)
	names, err = b.SetByUser(b.ctx, "ana", other.ID, "", true)
	if err != nil || len(names) != 1 || names[0] != "mail" {
		t.Errorf("opened %q, %v", names, err)
	}
	b.reads(first, false)
	_, err = b.SetByUser(b.ctx, "eva", "", "", true)
	b.refused("an unknown person", err, ErrNoUser)
	_, err = b.SetByUser(b.ctx, "ana", "nothing", "", true)
	b.refused("an unknown application", err, ErrNoApplication)
	_, err = b.SetByUser(b.ctx, "ana", "mail", "nothing", true)
	b.refused("an unknown operation", err, ErrNoOperation)
	b.must(b.UnpairUser(b.ctx, "ana", "mail"))
	_, err = b.SetByUser(b.ctx, "ana", "mail", "", true)
	b.refused("an application without pairing", err, ErrNotPaired)
}

func TestInstances(t *testing.T) {
	b := newBed(t)
	ana, eva := b.pair("ana"), b.pair("eva")
	list, err := b.AddInstances(b.ctx, b.app, ana, "", []string{"one", "two"})
	b.must(err)
	name, mode := "uno", Mandatory
	b.must(b.ChangeInstance(b.ctx, b.app, ana, "", list[0].ID, OperationChange{Name: &name, TwoFactor: &mode}))
	got, err := b.Instances(b.app, ana, "")
	if err != nil || len(got) != 2 || got[0].Name != "uno" || got[0].TwoFactor != Mandatory || got[1].Name != "two" {
		t.Errorf("instances are %+v, %v", got, err)
	}
	b.refused("another person's", b.ChangeInstance(b.ctx, b.app, eva, "", list[0].ID, OperationChange{Name: &name}), ErrNoInstance)
	_, err = b.AddInstances(b.ctx, b.app, ana, "", []string{"three", ""})
	b.refused("an empty name", err, ErrBadName)
	b.must(b.RemoveInstance(b.ctx, b.app, ana, "", list[0].ID))
	b.refused("a removed one", b.RemoveInstance(b.ctx, b.app, ana, "", list[0].ID), ErrNoInstance)
	if got, err := b.Instances(b.app, ana, ""); err != nil || len(got) != 1 {
		t.Errorf("instances are %+v, %v; the one beside an empty name must not stay", got, err)
	}
}

func TestTOTPStepIsBurnt(t *testing.T) {
	b := newBed(t)
	k, err := b.AddTOTP(b.ctx, b.app, TOTP{UserID: "ana", CommonName: "Ana", Secret: "SEED"})
	b.must(err)
	try := func(step int64, ok bool) error {
		return b.CheckTOTP(b.ctx, b.app, k.ID, func(secret string, _ int64) (int64, bool) {
			if secret != "SEED" {
				t.Errorf("seed is %q", secret)
			}
			return step, ok // whatever was used before: the store relies on nobody
		})
	}
	b.must(try(7, true))
	b.refused("the same step", try(7, true), ErrTOTPWrong)
	b.refused("an older step", try(6, true), ErrTOTPWrong)
	b.refused("no step", try(0, false), ErrTOTPWrong)
	b.reopen()
	b.refused("the same step after a restart", try(7, true), ErrTOTPWrong)
	b.must(try(8, true))
	for range codePace.limit {
		try(0, false)
	}
	if err := try(9, true); err == nil {
		t.Error("guessing was not stopped")
	}
	b.clock.pass(time.Hour)
	b.must(try(10, true))
	b.must(b.RemoveTOTP(b.ctx, b.app, k.ID))
	b.refused("a removed one", try(11, true), ErrNoTOTP)
}

func TestOneTOTPCodePassesOnceAmongMany(t *testing.T) {
	b := newBed(t)
	k, err := b.AddTOTP(b.ctx, b.app, TOTP{UserID: "ana", Secret: "SEED"})
	b.must(err)
	results := make(chan error)
	for range 10 {
		go func() {
			results <- b.CheckTOTP(b.ctx, b.app, k.ID, func(_ string, last int64) (int64, bool) { return 5, last < 5 })
		}()
	}
	passed := 0
	for range 10 {
		if <-results == nil {
			passed++
		}
	}
	if passed != 1 {
		t.Errorf("one code passed %d times", passed)
	}
}

func TestOperationsAreBounded(t *testing.T) {
	b := newBed(t)
	b.must(b.sqlite().write(b.ctx, func(t *tx) error {
		for i := range maxOperations - 1 {
			if err := t.exec(`INSERT INTO operations (op_id, app, name) VALUES (?, ?, 'many')`, i, b.app.Row); err != nil {
				return err
			}
		}
		return nil
	}))
	_, err := b.AddOperation(b.ctx, b.app, b.app.ID, Operation{Name: "the last"})
	b.must(err)
	_, err = b.AddOperation(b.ctx, b.app, b.app.ID, Operation{Name: "one more"})
	b.refused("one more", err, ErrTooMany)
	other, _, err := b.AddApplication(b.ctx, Application{Name: "others"})
	b.must(err)
	_, err = b.AddOperation(b.ctx, other, other.ID, Operation{Name: "first"})
	b.must(err)
}

func TestInstancesOfOneAccountAreBounded(t *testing.T) {
	b := newBed(t)
	ana, eva := b.pair("ana"), b.pair("eva")
	op, err := b.AddOperation(b.ctx, b.app, b.app.ID, Operation{Name: "ssh"})
	b.must(err)
	names := slices.Repeat([]string{"x"}, maxInstances-1)
	_, err = b.AddInstances(b.ctx, b.app, ana, op.ID, names)
	b.must(err)
	_, err = b.AddInstances(b.ctx, b.app, ana, "", []string{"a", "b"})
	b.refused("two more than there is room for", err, ErrTooMany)
	last, err := b.AddInstances(b.ctx, b.app, ana, "", []string{"a"})
	b.must(err)
	_, err = b.AddInstances(b.ctx, b.app, eva, "", []string{"a"})
	b.must(err)
	b.must(b.RemoveInstance(b.ctx, b.app, ana, "", last[0].ID))
	_, err = b.AddInstances(b.ctx, b.app, ana, "", []string{"a"})
	b.must(err)
}
