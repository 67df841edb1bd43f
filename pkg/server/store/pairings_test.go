package store

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPairingCodes(t *testing.T) {
	b := newBed(t)
	_, err := b.AddUser(b.ctx, "ana")
	b.must(err)
	pair := func(code string) (string, error) {
		return b.Pair(b.ctx, PairRequest{App: b.app, Code: code, Subject: "test"})
	}
	code := func() string {
		c, expires, err := b.NewCode(b.ctx, "ana")
		b.must(err)
		if len(c) != 6 || expires.Sub(b.clock.now()) != CodeLife {
			t.Errorf("code %q lives %v", c, expires.Sub(b.clock.now()))
		}
		return c
	}

	late := code()
	b.clock.pass(CodeLife)
	_, err = pair(late)
	b.refused("an expired code", err, ErrCodeUnknown)

	c := code()
	_, err = pair(strings.ToLower(c) + "x")
	b.refused("another code", err, ErrCodeUnknown)
	b.clock.pass(CodeLife - time.Millisecond)
	id, err := pair(c)
	if err != nil || len(id) != 64 {
		t.Errorf("a code in its last millisecond: %q, %v", id, err)
	}
	_, err = pair(c)
	b.refused("a used code", err, ErrCodeUnknown)
	b.reads(id, true)

	again, err := pair(code())
	if !errors.Is(err, ErrAlreadyPaired) || again != id {
		t.Errorf("pairing twice: %q, %v, want the same id and %v", again, err, ErrAlreadyPaired)
	}
	_, _, err = b.NewCode(b.ctx, "eva")
	b.refused("an unknown person", err, ErrNoUser)
}

func TestGuessingCodesPauses(t *testing.T) {
	b := newBed(t)
	guess := func(subject string) error {
		_, err := b.Pair(b.ctx, PairRequest{App: b.app, Code: "aaaaaa", Subject: subject})
		return err
	}
	for range codePace.limit {
		b.refused("a wrong code", guess("web1"), ErrCodeUnknown)
	}
	var many *TooManyError
	if err := guess("web1"); !errors.As(err, &many) || many.After != codePace.window {
		t.Fatalf("after %d wrong codes: %v", codePace.limit, err)
	}
	_, err := b.AddUser(b.ctx, "ana")
	b.must(err)
	code, _, err := b.NewCode(b.ctx, "ana")
	b.must(err)
	if _, err := b.Pair(b.ctx, PairRequest{App: b.app, Code: code, Subject: "web1"}); !errors.As(err, &many) {
		t.Errorf("a right code while pausing: %v", err)
	}
	b.refused("another host meanwhile", guess("web2"), ErrCodeUnknown)
	if _, err := b.Pair(b.ctx, PairRequest{App: b.app, Code: code, Subject: "web2"}); err != nil {
		t.Errorf("a right code from another host: %v", err)
	}
	b.clock.pass(codePace.window)
	b.refused("after the pause", guess("web1"), ErrCodeUnknown)
	for range codePace.limit {
		guess("web1")
	}
	b.clock.pass(-24 * time.Hour)
	b.refused("after the clock was set back", guess("web1"), ErrCodeUnknown)
}

func TestPairByName(t *testing.T) {
	b := newBed(t)
	_, err := b.PairByName(b.ctx, PairRequest{App: b.app}, "ana")
	b.refused("an unknown person", err, ErrNoUser)
	_, err = b.AddUser(b.ctx, "ana")
	b.must(err)
	id, err := b.PairByName(b.ctx, PairRequest{App: b.app}, "ana")
	b.must(err)
	b.reads(id, true)
	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	_, err = b.PairByName(b.ctx, PairRequest{App: b.app}, "ana")
	b.refused("a disabled person", err, ErrUserDisabled)
}

func TestUnpair(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	op, err := b.AddOperation(b.ctx, b.app, b.app.ID, Operation{Name: "ssh"})
	b.must(err)
	_, err = b.SetByUser(b.ctx, "ana", "servers", "ssh", false)
	b.must(err)
	other, _, err := b.AddApplication(b.ctx, Application{Name: "other"})
	b.must(err)
	b.refused("another application", b.Unpair(b.ctx, other, id, Attempt{}), ErrNotPaired)
	b.must(b.Unpair(b.ctx, b.app, id, Attempt{}))
	_, err = b.ask(id)
	b.refused("status afterwards", err, ErrNotPaired)
	b.refused("unpairing again", b.Unpair(b.ctx, b.app, id, Attempt{}), ErrNotPaired)

	second := b.pairAgain("ana")
	if second == id {
		t.Error("a new pairing has the old account id")
	}
	s, err := b.Status(b.ctx, StatusRequest{App: b.app, AccountID: second, Target: Target{OperationID: op.ID}})
	if err != nil || !s.Open {
		t.Errorf("a new pairing inherited a closed operation: %+v, %v", s, err)
	}
	b.must(b.UnpairUser(b.ctx, "ana", "servers"))
	b.refused("the person has unpaired", b.UnpairUser(b.ctx, "ana", ""), ErrNotPaired)
}

func TestBlockedPeopleReadClosed(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	b.must(b.SetUserDisabled(b.ctx, "ana", true)) // twice is as once
	b.reads(id, false)
	_, _, err := b.NewCode(b.ctx, "ana")
	b.refused("a code for a disabled person", err, ErrUserDisabled)
	_, err = b.SetByUser(b.ctx, "ana", "", "", true)
	b.refused("opening for a disabled person", err, ErrUserDisabled)
	b.reads(id, false)
	b.must(b.SetUserDisabled(b.ctx, "ana", false))
	b.reads(id, true)

	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	b.must(b.Unpair(b.ctx, b.app, id, Attempt{}))
	b.reads(id, false) // never "not paired" while disabled
	b.refused("unpairing it twice", b.Unpair(b.ctx, b.app, id, Attempt{}), ErrNotPaired)
	b.must(b.SetUserDisabled(b.ctx, "ana", false))
	_, err = b.ask(id)
	b.refused("unpaired while disabled, then enabled", err, ErrNotPaired)

	second := b.pairAgain("ana")
	b.must(b.RemoveUser(b.ctx, "ana"))
	b.reads(second, false)
	b.must(b.Unpair(b.ctx, b.app, second, Attempt{}))
	b.reads(second, false)
	b.refused("removing again", b.RemoveUser(b.ctx, "ana"), ErrNoUser)
	_, err = b.SetByUser(b.ctx, "ana", "", "", true)
	b.refused("opening for a removed person", err, ErrNoUser)

	third := b.pair("ana") // a newcomer of the same name
	b.reads(third, true)
	b.reads(second, false)
	if list, err := b.Users(); err != nil || len(list) != 1 || list[0].Pairings != 1 {
		t.Errorf("people are %+v, %v", list, err)
	}
}

func TestACodeOfAPersonDisabledMeanwhile(t *testing.T) {
	b := newBed(t)
	_, err := b.AddUser(b.ctx, "ana")
	b.must(err)
	code, _, err := b.NewCode(b.ctx, "ana")
	b.must(err)
	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	b.must(b.SetUserDisabled(b.ctx, "ana", false))
	_, err = b.Pair(b.ctx, PairRequest{App: b.app, Code: code, Subject: "test"})
	b.refused("a code from before", err, ErrCodeUnknown)
}

func TestImport(t *testing.T) {
	b := newBed(t)
	ana := b.pair("ana")
	ids, err := b.Import(b.ctx, b.app, []string{"eva", "ana", "eva"})
	if err != nil || len(ids) != 3 || ids[1] != ana || ids[0] != ids[2] || ids[0] == ana {
		t.Errorf("imported %q, %v", ids, err)
	}
	b.reads(ids[0], true)
	_, err = b.Import(b.ctx, b.app, []string{"leo", ""})
	b.refused("an empty name", err, ErrBadName)
	_, err = b.User("leo")
	b.refused("the name before it", err, ErrNoUser)
	b.must(b.SetUserDisabled(b.ctx, "eva", true))
	_, err = b.Import(b.ctx, b.app, []string{"eva"})
	b.refused("a disabled person", err, ErrUserDisabled)
}

// TestWhatADisabledPersonSees: the phone shows what the hosts read, and unpairing there opens nothing either.
func TestWhatADisabledPersonSees(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	accounts, err := b.Accounts("ana")
	if err != nil || len(accounts) != 1 || accounts[0].Status.Open {
		t.Errorf("the phone shows %+v, %v", accounts, err)
	}
	b.must(b.UnpairUser(b.ctx, "ana", "servers"))
	b.reads(id, false)
	b.must(b.SetUserDisabled(b.ctx, "ana", false))
	_, err = b.ask(id)
	b.refused("the unpaired account of a person who is back", err, ErrNotPaired)
}
