package store

import (
	"os"
	"slices"
	"testing"
	"time"
)

// entrances makes one of each thing that brings somebody in as a person, and returns a function that reports which still work,
// and the row of the session.
func (b *bed) entrances(user int64) (working func() []string, session int64) {
	b.t.Helper()
	u, err := b.UserByRow(user)
	b.must(err)
	b.must(b.SetRecovery(b.ctx, user, []string{"AAAAABBBBB"}))
	browser, err := b.KnowBrowser(b.ctx, user, "")
	b.must(err)
	signed := b.signIn(user)
	e, _, err := b.Session(signed)
	b.must(err)
	link, _, err := b.NewLink(b.ctx, Link{Purpose: LinkInvite, User: user}, InviteLife)
	b.must(err)
	step, err := b.BeginStep(b.ctx, Step{Purpose: StepSecond, User: user}, time.Minute)
	b.must(err)
	return func() (list []string) {
		if b.signedIn(signed) {
			list = append(list, "session")
		}
		if known, err := b.BrowserKnown(u.Row, browser); err != nil || known {
			list = append(list, "known browser")
		}
		if _, err := b.Link(link); err == nil {
			list = append(list, "link")
		}
		if _, err := b.Step(step, StepSecond); err == nil {
			list = append(list, "second step")
		}
		if b.UseRecovery(b.ctx, user, "AAAAABBBBB") == nil {
			list = append(list, "recovery code")
		}
		return list
	}, e.Row
}

// TestAResetEndsEverything: nothing that a thief made with the password of before survives a remedy of the owner's.
func TestAResetEndsEverything(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(b *bed, user, session int64) error
		left []string
	}{
		"a new password": {func(b *bed, user, session int64) error { return b.SetPassword(b.ctx, user, "new", session) }, []string{"session"}},
		"the first authenticator": {func(b *bed, user, session int64) error {
			return b.SetAuthenticator(b.ctx, user, "SEED", 1, session)
		}, []string{"session"}},
		"the first passkey": {func(b *bed, user, session int64) error {
			return b.AddPasskey(b.ctx, Passkey{CredentialID: []byte("id"), User: user, Name: "phone", Credential: "{}"}, session)
		}, []string{"session"}},
		"an admin's link": {func(b *bed, user, _ int64) error {
			_, _, err := b.NewLink(b.ctx, Link{Purpose: LinkReset, User: user, Data: LinkReplaceFactors}, ResetLife)
			return err
		}, nil},
		"coming back": {func(b *bed, user, _ int64) error { return b.ComeBack(b.ctx, user, "new") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			user := b.person("ana")
			b.must(b.SetPassword(b.ctx, user, "old", 0))
			b.must(b.SetWelcomed(b.ctx, user))
			working, session := b.entrances(user)
			b.must(c.act(b, user, session))
			if got := working(); !slices.Equal(got, c.left) {
				t.Errorf("still working: %v, want %v", got, c.left)
			}
			if u, err := b.UserByRow(user); err != nil || !u.CodesDue {
				t.Errorf("new recovery codes are not due: %v", err)
			}
		})
	}
}

// TestASecondFactorMoreIsNoReset: the owner who adds another passkey keeps what is written on paper.
func TestASecondFactorMoreIsNoReset(t *testing.T) {
	b := newBed(t)
	user := b.person("ana")
	b.must(b.SetAuthenticator(b.ctx, user, "SEED", 1, 0))
	working, session := b.entrances(user)
	b.must(b.AddPasskey(b.ctx, Passkey{CredentialID: []byte("id"), User: user, Name: "phone", Credential: "{}"}, session))
	if got := working(); len(got) != 5 {
		t.Errorf("still working: %v, want all five", got)
	}
}

// TestARestoredBackupEndsEverything: what was used up after the backup must not work again.
func TestARestoredBackupEndsEverything(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	u, err := b.User("ana")
	b.must(err)
	b.must(b.SetPassword(b.ctx, u.Row, "old", 0))
	b.must(b.SetWelcomed(b.ctx, u.Row))
	b.entrances(u.Row)
	f, err := os.CreateTemp(t.TempDir(), "")
	b.must(err)
	defer f.Close()
	b.must(b.Backup(b.ctx, f))
	_, err = f.Seek(0, 0)
	b.must(err)
	dir := t.TempDir()
	b.must(Restore(b.ctx, dir, f))
	s, err := Open(dir, Options{Now: b.clock.now})
	b.must(err)
	defer s.Close()
	for _, table := range []string{"sessions", "recovery_codes", "known_browsers", "links", "steps", "codes", "tokens", "pair_requests", "outbox"} {
		var n int
		b.must(s.reads.get([]any{&n}, `SELECT count(*) FROM `+table))
		if n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	if _, err := s.Status(b.ctx, StatusRequest{App: b.app, AccountID: account}); err != nil {
		t.Errorf("the pairing is gone: %v", err)
	}
	if phc, err := s.Password(u.Row); err != nil || phc != "old" {
		t.Errorf("the password is %q, %v", phc, err)
	}
}

// TestAddedSinceTheLastLook: what a thief added is listed after the reset, and ends in one step.
func TestAddedSinceTheLastLook(t *testing.T) {
	l := newListener(t)
	user := l.user.Row
	l.clock.pass(time.Minute)
	l.must(l.SetAuthenticator(l.ctx, user, "SEED", 1, 0)) // the owner's
	l.must(l.KeepAdded(l.ctx, user, l.millis()))
	l.clock.pass(time.Minute)
	l.listen(user, "https://ntfy.example/thief")
	l.must(l.AddPasskey(l.ctx, Passkey{CredentialID: []byte("id"), User: user, Name: "thief", Credential: "{}"}, 0))
	working, session := l.entrances(user)
	list, err := l.Added(user)
	l.must(err)
	var kinds []string
	for _, a := range list {
		kinds = append(kinds, a.Kind)
	}
	slices.Sort(kinds)
	if !slices.Equal(kinds, []string{AddedPasskey, AddedReceiver}) {
		t.Errorf("added: %v", kinds)
	}
	shown := l.millis()
	l.clock.pass(time.Minute)
	l.listen(user, "https://ntfy.example/later")
	l.must(l.EndAdded(l.ctx, user, session, shown))
	if f, err := l.Factors(user); err != nil || f.Passkeys != 0 {
		t.Errorf("the passkey is left: %+v, %v", f, err)
	}
	channels, err := l.Channels(user)
	l.must(err)
	if len(channels) != 2 {
		t.Errorf("%d receivers are left, want the old one and the one that was not shown", len(channels))
	}
	if got := working(); !slices.Contains(got, "session") {
		t.Errorf("the session that asked ended: %v", got)
	}
}

// TestAccessNotices: every act on a person's access reaches the receivers of before it, whatever the person's rules say.
func TestAccessNotices(t *testing.T) {
	l := newListener(t)
	user := l.user.Row
	l.clock.pass(time.Second)
	ctx := WithActor(l.ctx, Actor{Via: ViaCommand, Name: "root", IP: "192.0.2.9"})
	_, _, err := l.NewLink(ctx, Link{Purpose: LinkReset, User: user}, ResetLife)
	l.must(err)
	n := l.claims("a reset", 1)[0].Notice
	if n.Kind != NoticeAccess || n.What != "link.make" || n.By != "root" || n.Address != "192.0.2.9" || n.Ticket == "" {
		t.Errorf("the notice is %+v", n)
	}
	if c, err := l.CloseByLink(l.ctx, n.Ticket, Attempt{}); err != nil || c != (Closing{}) {
		t.Errorf("its link closes %+v, %v; want everything", c, err)
	}
	l.reads(l.account, false)
}

// TestNoticesNameTheAdmin: a change by command says whose command it was.
func TestNoticesNameTheAdmin(t *testing.T) {
	l := newListener(t)
	l.clock.pass(time.Second)
	ctx := WithActor(l.ctx, Actor{Via: ViaCommand, Name: "root"})
	_, err := l.SwitchByName(ctx, "ana", "", Switch{Open: false})
	l.must(err)
	list := l.told()
	if n := list[len(list)-1]; n.Kind != NoticeChange || n.By != "root" || n.Way != WayCommand {
		t.Errorf("the notice is %+v", n)
	}
}

// TestAFirstFactorIsNoSurprise: the factor that somebody has just added does not stand on the list of what to look through.
func TestAFirstFactorIsNoSurprise(t *testing.T) {
	b := newBed(t)
	user := b.person("ana")
	b.must(b.AddPasskey(b.ctx, Passkey{CredentialID: []byte("id"), User: user, Name: "phone", Credential: "{}"}, 0))
	if list, err := b.Added(user); err != nil || len(list) != 0 {
		t.Errorf("added: %+v, %v", list, err)
	}
	b.clock.pass(time.Minute)
	b.must(b.SetPassword(b.ctx, user, "new", 0))
	if list, err := b.Added(user); err != nil || len(list) != 1 {
		t.Errorf("after the next reset: %+v, %v", list, err)
	}
}
