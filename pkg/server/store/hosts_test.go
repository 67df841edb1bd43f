package store

import (
	"errors"
	"testing"
	"time"
)

func (b *bed) link(user string) PairingRequest {
	b.t.Helper()
	r, err := b.RequestPairing(b.ctx, PairingRequest{App: b.app, Host: "web1", User: user, Attempt: Attempt{IP: "203.0.113.7"}}, "test")
	b.must(err)
	return r
}

func TestPairByLink(t *testing.T) {
	b := newBed(t)
	_, err := b.AddUser(b.ctx, "ana")
	b.must(err)
	r := b.link("root")
	seen, err := b.PairingByLink(r.Link)
	b.must(err)
	if seen.Host != "web1" || seen.User != "root" || seen.Check != r.Check || len(r.Check) != 4 || seen.App.ID != b.app.ID || seen.Attempt.IP != "203.0.113.7" {
		t.Errorf("the page sees %+v", seen)
	}
	if waiting, err := b.PairingByID(b.app, r.ID); err != nil || waiting.State != RequestWaiting || waiting.AccountID != "" {
		t.Errorf("the host sees %+v, %v", waiting, err)
	}
	done, err := b.ConfirmPairing(b.ctx, r.Link, "ana")
	b.must(err)
	fetched, err := b.PairingByID(b.app, r.ID)
	b.must(err)
	if fetched.State != RequestConfirmed || fetched.AccountID != done.AccountID || fetched.Person != "ana" || fetched.Known {
		t.Errorf("the host fetches %+v", fetched)
	}
	b.reads(fetched.AccountID, true)
	_, err = b.ConfirmPairing(b.ctx, r.Link, "ana")
	b.refused("a second confirmation", err, ErrNoRequest)
	b.refused("a refusal after the confirmation", b.RefusePairing(b.ctx, r.Link, "ana"), ErrNoRequest)

	again, err := b.ConfirmPairing(b.ctx, b.link("ana").Link, "ana")
	if err != nil || !again.Known || again.AccountID != done.AccountID {
		t.Errorf("a second host of the same application: %+v, %v", again, err)
	}
	last, ok, err := b.LastPaired("ana", 0)
	if err != nil || !ok || last.Context["name"] != "web1, ana" || last.Was != "paired" {
		t.Errorf("last paired: %+v, %v, %v", last, ok, err)
	}
}

func TestLinksThatAreNotConfirmed(t *testing.T) {
	b := newBed(t)
	_, err := b.AddUser(b.ctx, "ana")
	b.must(err)
	other, _, err := b.AddApplication(b.ctx, Application{Name: "others"})
	b.must(err)
	r := b.link("ana")
	_, err = b.PairingByID(other, r.ID)
	b.refused("another application's question", err, ErrNoRequest)
	_, err = b.WithdrawPairing(b.ctx, other, r.ID)
	b.refused("another application's withdrawal", err, ErrNoRequest)
	b.must(b.RefusePairing(b.ctx, r.Link, "ana"))
	if refused, err := b.PairingByID(b.app, r.ID); err != nil || refused.State != RequestRefused {
		t.Errorf("the host sees %+v, %v", refused, err)
	}
	gone := b.link("ana")
	_, err = b.WithdrawPairing(b.ctx, b.app, gone.ID)
	b.must(err)
	_, err = b.ConfirmPairing(b.ctx, gone.Link, "ana")
	b.refused("a confirmation after the withdrawal", err, ErrNoRequest)

	late := b.link("ana")
	for range maxWaiting - 1 {
		b.link("ana")
	}
	_, err = b.RequestPairing(b.ctx, PairingRequest{App: b.app, Host: "web1", User: "ana"}, "test")
	if many := new(TooManyError); !errors.As(err, &many) || many.After > RequestLife {
		t.Errorf("one more than %d: %v", maxWaiting, err)
	}
	b.clock.pass(RequestLife)
	_, err = b.ConfirmPairing(b.ctx, late.Link, "ana")
	b.refused("a confirmation after the end", err, ErrNoRequest)
	b.link("ana")
	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	_, err = b.ConfirmPairing(b.ctx, b.link("ana").Link, "ana")
	b.refused("a disabled person", err, ErrUserDisabled)
	if _, err := b.Accounts("ana"); !errors.Is(err, ErrNotPaired) {
		t.Errorf("something was paired: %v", err)
	}
}

func TestLiveCode(t *testing.T) {
	b := newBed(t)
	_, err := b.AddUser(b.ctx, "ana")
	b.must(err)
	if code, _, err := b.LiveCode("ana"); code != "" || err != nil {
		t.Errorf("before: %q, %v", code, err)
	}
	old, _, err := b.NewCode(b.ctx, "ana")
	b.must(err)
	code, until, err := b.NewCode(b.ctx, "ana")
	b.must(err)
	if shown, expires, err := b.LiveCode("ana"); shown != code || !expires.Equal(until.Truncate(time.Millisecond)) || err != nil {
		t.Errorf("shown %q until %v, %v, want %q until %v", shown, expires, err, code, until)
	}
	_, err = b.Pair(b.ctx, PairRequest{App: b.app, Code: old, Subject: "test"})
	b.refused("the code that the new one ended", err, ErrCodeUnknown)
	_, err = b.Pair(b.ctx, PairRequest{App: b.app, Code: code, Subject: "test", CommonName: "web1, ana"})
	b.must(err)
	if code, _, _ := b.LiveCode("ana"); code != "" {
		t.Errorf("a used code is shown: %q", code)
	}
	b.must(b.RenamePairing(b.ctx, "ana", b.app.ID, "at work"))
	b.refused("a name of two lines", b.RenamePairing(b.ctx, "ana", b.app.ID, "a\nb"), ErrBadName)
	list, err := b.Accounts("ana")
	if err != nil || len(list) != 1 || list[0].OwnName != "at work" || list[0].CommonName != "web1, ana" {
		t.Errorf("accounts are %+v, %v", list, err)
	}
	_, _, err = b.NewCode(b.ctx, "ana")
	b.must(err)
	b.clock.pass(CodeLife)
	if code, _, _ := b.LiveCode("ana"); code != "" {
		t.Errorf("an old code is shown: %q", code)
	}
}

func TestSpentTokens(t *testing.T) {
	b := newBed(t)
	mode := Mandatory
	b.must(b.ChangeApplication(b.ctx, b.app.Row, ApplicationChange{TwoFactor: &mode}))
	b.reload()
	id := b.pair("ana")
	asked, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: id, Attempt: Attempt{IP: "203.0.113.7", Context: map[string]string{"service": "sshd"}}})
	b.must(err)
	other, err := b.ask(id)
	b.must(err)
	list, err := b.Tokens("ana")
	if err != nil || len(list) != 2 || list[0].IP != "203.0.113.7" || list[0].Context["service"] != "sshd" || list[1].Context != nil {
		t.Fatalf("the page shows %+v, %v", list, err)
	}
	b.must(b.SpendToken(b.ctx, b.app, id, "nothing", true, Attempt{}))
	b.must(b.SpendToken(b.ctx, b.app, id, asked.Token, true, Attempt{}))
	b.must(b.SpendToken(b.ctx, b.app, id, asked.Token, false, Attempt{}))
	if list, err = b.Tokens("ana"); err != nil || len(list) != 1 || list[0].Token != other.Token {
		t.Errorf("the page still shows %+v, %v", list, err)
	}
	b.refused("a stranger's", b.SpendToken(b.ctx, b.app, "nobody", other.Token, true, Attempt{}), ErrNotPaired)
	log, err := b.Log("ana", 10)
	b.must(err)
	spent := 0
	for _, e := range log {
		if e.What == "token" {
			spent++
			if e.Value != "used" {
				t.Errorf("the history says %+v", e)
			}
		}
	}
	if spent != 1 {
		t.Errorf("%d lines about tokens that were typed, want 1", spent)
	}
}

// as is an authenticator that shows one code, good for one step.
func as(step int64, right bool) func(string, int64) (int64, bool) {
	return func(_ string, last int64) (int64, bool) { return step, right && step > last }
}

func TestOwnTOTP(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	check := func(step int64, right bool) error { return b.CheckOwnTOTP(b.ctx, b.app, id, "host", as(step, right)) }
	b.refused("before", check(1, true), ErrNotEnrolled)
	b.must(b.BeginOwnTOTP(b.ctx, "ana", "FIRST"))
	b.refused("what no code has proven", check(1, true), ErrNotEnrolled)
	b.refused("a wrong first code", b.ProveOwnTOTP(b.ctx, "ana", as(0, false)), ErrTOTPWrong)
	b.must(b.ProveOwnTOTP(b.ctx, "ana", as(5, true)))
	b.refused("the code that proved it", check(5, true), ErrTOTPWrong)
	b.must(check(6, true))
	b.refused("the same again", check(6, true), ErrTOTPWrong)

	b.must(b.SetSetting(b.ctx, SettingTOTPDays, "30"))
	b.must(b.BeginOwnTOTP(b.ctx, "ana", "SECOND"))
	if k, err := b.OwnTOTP("ana", true); err != nil || k.Secret != "FIRST" || k.Expires != 0 {
		t.Errorf("while the second waits: %+v, %v", k, err)
	}
	b.must(b.ProveOwnTOTP(b.ctx, "ana", as(7, true)))
	if k, err := b.OwnTOTP("ana", true); err != nil || k.Secret != "SECOND" || k.Expires != b.clock.now().AddDate(0, 0, 30).UnixMilli() {
		t.Errorf("the second: %+v, %v", k, err)
	}
	b.clock.pass(31 * 24 * time.Hour)
	b.refused("after its lifetime", check(8, true), ErrNotEnrolled)

	b.must(b.BeginOwnTOTP(b.ctx, "ana", "THIRD"))
	b.clock.pass(provingTime)
	b.refused("a seed that waited for too long", b.ProveOwnTOTP(b.ctx, "ana", as(9, true)), ErrNotEnrolled)
	b.must(b.SetSetting(b.ctx, SettingTOTPEnrol, "no"))
	b.refused("enrolment switched off", b.BeginOwnTOTP(b.ctx, "ana", "FOURTH"), ErrSwitchedOff)
	b.must(b.SetSetting(b.ctx, SettingTOTPRemove, "no"))
	b.refused("removal switched off", b.RemoveOwnTOTP(b.ctx, "ana"), ErrSwitchedOff)
	b.must(b.EndOwnTOTP(b.ctx, "ana"))
	b.refused("after the admin's removal", check(9, true), ErrNotEnrolled)
	b.must(b.SetSetting(b.ctx, SettingTOTPEnrol, "yes"))
	b.must(b.BeginOwnTOTP(b.ctx, "ana", "FOURTH"))
	b.must(b.ProveOwnTOTP(b.ctx, "ana", as(9, true)))
	b.must(b.SetSetting(b.ctx, SettingTOTPRemove, "yes"))
	b.must(b.RemoveOwnTOTP(b.ctx, "ana"))
	b.refused("a second removal", b.RemoveOwnTOTP(b.ctx, "ana"), ErrNotEnrolled)

	b.must(b.SetSetting(b.ctx, SettingTOTPEnrol, "yes"))
	b.must(b.BeginOwnTOTP(b.ctx, "ana", "FIFTH"))
	b.must(b.ProveOwnTOTP(b.ctx, "ana", as(10, true)))
	u, err := b.User("ana")
	b.must(err)
	b.must(b.LosePhone(b.ctx, u.Row, Attempt{}))
	if _, err := b.OwnTOTP("ana", true); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("a lost phone still shows codes: %v", err)
	}
}

func TestGuessingAtOwnTOTPs(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.must(b.BeginOwnTOTP(b.ctx, "ana", "SEED"))
	b.must(b.ProveOwnTOTP(b.ctx, "ana", as(1, true)))
	many := new(TooManyError)
	wrong := 0
	for range 24 * 60 {
		err := b.CheckOwnTOTP(b.ctx, b.app, id, "host", as(0, false))
		if errors.Is(err, ErrTOTPWrong) {
			wrong++
		} else if !errors.As(err, &many) {
			t.Fatal(err)
		}
		b.clock.pass(time.Minute / 20)
	}
	if int64(wrong) != hostDaily.limit {
		t.Errorf("%d codes were looked at, want %d", wrong, hostDaily.limit)
	}
	if err := b.CheckOwnTOTP(b.ctx, b.app, id, "host", as(2, true)); !errors.As(err, &many) || many.After < time.Hour {
		t.Errorf("a right code then: %v", err)
	}
	b.must(b.CheckOwnTOTP(b.ctx, b.app, id, "another host", as(2, true)))
	b.clock.pass(24 * time.Hour)
	b.must(b.CheckOwnTOTP(b.ctx, b.app, id, "host", as(3, true)))
}
