package store

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// person makes a person and returns the row.
func (b *bed) person(name string) int64 {
	b.t.Helper()
	u, err := b.AddUser(b.ctx, name)
	b.must(err)
	return u.Row
}

func (b *bed) signIn(user int64) string {
	b.t.Helper()
	ticket, err := b.StartSession(b.ctx, SignIn{User: user, Address: "192.0.2.1", UserAgent: "test"})
	b.must(err)
	return ticket
}

// signedIn tells whether a cookie still stands for a session.
func (b *bed) signedIn(ticket string) bool {
	b.t.Helper()
	_, _, err := b.Session(ticket)
	if err != nil && !errors.Is(err, ErrNoSession) {
		b.t.Fatal(err)
	}
	return err == nil
}

func TestSessionsEnd(t *testing.T) {
	b := newBed(t)
	ana, eva := b.person("ana"), b.person("eva")
	first, second, other := b.signIn(ana), b.signIn(ana), b.signIn(eva)
	e, u, err := b.Session(first)
	b.must(err)
	if u.Name != "ana" || e.Address != "192.0.2.1" || e.UserAgent != "test" || e.Strong {
		t.Errorf("got %+v of %q", e, u.Name)
	}
	b.refused("a stranger's ending", b.EndSession(b.ctx, eva, e.Row), ErrNoSession)
	b.must(b.EndSession(b.ctx, ana, e.Row))
	if b.signedIn(first) || !b.signedIn(second) || !b.signedIn(other) {
		t.Error("one ended session is not the only one that ended")
	}
	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	b.must(b.SetUserDisabled(b.ctx, "ana", false))
	if b.signedIn(second) {
		t.Error("a disabled person's session came back")
	}
	b.clock.pass(SessionIdle)
	if b.signedIn(other) {
		t.Error("a session that nobody used is alive")
	}
	if list, err := b.Sessions(eva); err != nil || len(list) != 0 {
		t.Errorf("dead sessions are listed: %v, %v", list, err)
	}
}

func TestSessionLivesByUseButNotForEver(t *testing.T) {
	b := newBed(t)
	ticket := b.signIn(b.person("ana"))
	for day := time.Duration(0); day < SessionLife; day += SessionIdle / 2 {
		e, _, err := b.Session(ticket)
		b.must(err)
		b.must(b.Seen(b.ctx, e, "192.0.2.2"))
		b.clock.pass(SessionIdle / 2)
	}
	if b.signedIn(ticket) {
		t.Error("a session outlived SessionLife")
	}
}

func TestProvedWearsOff(t *testing.T) {
	b := newBed(t)
	ticket := b.signIn(b.person("ana"))
	proven := func() bool {
		e, _, err := b.Session(ticket)
		b.must(err)
		return b.Proven(e, 5*time.Minute)
	}
	if !proven() {
		t.Error("a fresh session is not proven")
	}
	b.clock.pass(5 * time.Minute)
	if proven() {
		t.Error("it is proven after five minutes")
	}
	e, _, err := b.Session(ticket)
	b.must(err)
	b.must(b.Prove(b.ctx, e.Row, true))
	if e, _, _ = b.Session(ticket); !proven() || !e.Strong {
		t.Error("a factor proved nothing")
	}
	b.must(b.Prove(b.ctx, e.Row, false))
	if e, _, _ = b.Session(ticket); !e.Strong {
		t.Error("a password took the second factor back")
	}
	b.clock.pass(setBack)
	if b.signedIn(ticket) {
		t.Error("a clock that was set back prolongs a session")
	}
}

func TestLinksWorkOnce(t *testing.T) {
	b := newBed(t)
	ana := b.person("ana")
	link := func(purpose string) string {
		ticket, _, err := b.NewLink(b.ctx, Link{Purpose: purpose, User: ana}, ResetLife)
		b.must(err)
		return ticket
	}
	old := link(LinkReset)
	ticket := link(LinkReset)
	_, err := b.Link(old)
	b.refused("an earlier link", err, ErrLinkSpent)
	_, err = b.Link(ticket)
	b.must(err)
	_, err = b.TakeLink(b.ctx, ticket, LinkInvite)
	b.refused("another purpose", err, ErrLinkSpent)
	session := b.signIn(ana)
	user, err := b.SetPasswordByLink(b.ctx, ticket, LinkReset, "hash")
	b.must(err)
	if phc, _ := b.Password(ana); user != ana || phc != "hash" || b.signedIn(session) {
		t.Errorf("user %d has %q, signed in: %v", user, phc, b.signedIn(session))
	}
	_, err = b.SetPasswordByLink(b.ctx, ticket, LinkReset, "other")
	b.refused("the second use", err, ErrLinkSpent)
	late := link(LinkReset)
	b.clock.pass(ResetLife)
	_, err = b.Link(late)
	b.refused("a late use", err, ErrLinkSpent)
	b.must(b.SetUserDisabled(b.ctx, "ana", true))
	_, err = b.Link(link(LinkInvite))
	b.refused("a disabled person's link", err, ErrLinkSpent)
}

func TestSteps(t *testing.T) {
	b := newBed(t)
	ana := b.person("ana")
	ticket, err := b.BeginStep(b.ctx, Step{Purpose: "a", User: ana, Data: []byte("state")}, time.Minute)
	b.must(err)
	_, err = b.Step(ticket, "b")
	b.refused("another purpose", err, ErrStepOver)
	p, err := b.Step(ticket, "a")
	b.must(err)
	if p.User != ana || string(p.Data) != "state" {
		t.Errorf("got %+v", p)
	}
	_, err = b.EndStep(b.ctx, ticket, "a")
	b.must(err)
	_, err = b.EndStep(b.ctx, ticket, "a")
	b.refused("the second end", err, ErrStepOver)
}

func TestRecoveryCodesWorkOnceEach(t *testing.T) {
	b := newBed(t)
	ana, eva := b.person("ana"), b.person("eva")
	b.must(b.SetRecovery(b.ctx, ana, []string{"AAAAABBBBB", "CCCCCDDDDD"}))
	b.refused("somebody else's code", b.UseRecovery(b.ctx, eva, "AAAAABBBBB"), ErrWrongCode)
	b.must(b.UseRecovery(b.ctx, ana, "AAAAABBBBB"))
	b.refused("a used code", b.UseRecovery(b.ctx, ana, "AAAAABBBBB"), ErrWrongCode)
	if f, err := b.Factors(ana); err != nil || f.RecoveryLeft != 1 {
		t.Errorf("left: %+v, %v", f, err)
	}
	b.must(b.SetRecovery(b.ctx, ana, []string{"EEEEEFFFFF"}))
	b.refused("an old code", b.UseRecovery(b.ctx, ana, "CCCCCDDDDD"), ErrWrongCode)
}

func TestAuthenticatorCodesWorkOnceEach(t *testing.T) {
	b := newBed(t)
	ana := b.person("ana")
	use := func(step int64) error {
		return b.UseAuthenticator(b.ctx, ana, func(secret string, _ int64) (int64, bool) { return step, secret == "SEED" })
	}
	b.refused("nobody's code", use(1), ErrWrongCode)
	b.must(b.SetAuthenticator(b.ctx, ana, "SEED", 5, 0))
	b.refused("the code that proved the seed", use(5), ErrWrongCode)
	b.must(use(6))
	b.refused("a used code", use(6), ErrWrongCode)
	b.must(b.RemoveAuthenticator(b.ctx, ana))
	b.refused("a removed seed's code", use(7), ErrWrongCode)
}

func TestLostPhoneClosesEverything(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	u, err := b.User("ana")
	b.must(err)
	ana := u.Row
	browser, err := b.KnowBrowser(b.ctx, ana, "")
	b.must(err)
	b.must(b.SetPassword(b.ctx, ana, "hash", 0))
	session := b.signIn(ana)
	b.must(b.SetAuthenticator(b.ctx, ana, "SEED", 1, 0))
	b.must(b.SetRecovery(b.ctx, ana, []string{"AAAAABBBBB"}))
	b.must(b.AddPasskey(b.ctx, Passkey{CredentialID: []byte("id"), User: ana, Name: "phone", Credential: "{}"}, 0))
	b.must(b.LosePhone(b.ctx, ana, Attempt{IP: "192.0.2.1"}))
	b.reads(account, false)
	f, err := b.Factors(ana)
	b.must(err)
	known, err := b.BrowserKnown(ana, browser)
	b.must(err)
	if u, _ = b.User("ana"); !u.Lost || b.signedIn(session) || known || f.Second() || !f.Password || f.RecoveryLeft != 1 {
		t.Errorf("lost %v, signed in %v, browser known %v, factors %+v", u.Lost, b.signedIn(session), known, f)
	}
	// Nothing opens until the person is back.
	_, err = b.SetByUser(b.ctx, "ana", "", "", true)
	b.refused("opening by an admin's command", err, ErrPhoneLost)
	b.reads(account, false)
	b.must(b.Unpair(b.ctx, b.app, account, Attempt{}))
	b.reads(account, false)
	b.must(b.ComeBack(b.ctx, ana, "new hash"))
	if u, _ = b.User("ana"); u.Lost {
		t.Error("still lost")
	}
	_, err = b.ask(account)
	b.refused("an account that was unpaired meanwhile", err, ErrNotPaired)
}

func TestStrangersDoNotSlowTheOwnerDown(t *testing.T) {
	b := newBed(t)
	stranger := Guess{What: GuessPassword, Account: "ana", Address: "192.0.2.66"}
	owner := Guess{What: GuessPassword, Account: "ana", Address: "192.0.2.1", Browser: "known"}
	for range passwordPace.limit {
		b.must(b.BeginGuess(b.ctx, stranger))
	}
	var pause *TooManyError
	if err := b.BeginGuess(b.ctx, stranger); !errors.As(err, &pause) || pause.After > passwordPace.window {
		t.Errorf("after %d guesses: %v", passwordPace.limit, err)
	}
	stranger.Address = "192.0.2.67"
	if err := b.BeginGuess(b.ctx, stranger); !errors.As(err, &pause) {
		t.Errorf("from elsewhere: %v", err)
	}
	b.must(b.BeginGuess(b.ctx, owner))
	b.clock.pass(passwordPace.window)
	b.must(b.BeginGuess(b.ctx, stranger))
}

func TestRightGuessesCostNothing(t *testing.T) {
	b := newBed(t)
	g := Guess{What: GuessStep, Account: "ana", Address: "192.0.2.1"}
	for range 3 * stepDaily.limit {
		b.must(b.BeginGuess(b.ctx, g))
		b.must(b.GuessedRight(b.ctx, g))
	}
}

func TestOneAddressGuessesAtFewAccounts(t *testing.T) {
	b := newBed(t)
	var pause *TooManyError
	for i := range addressPace.limit {
		b.must(b.BeginGuess(b.ctx, Guess{What: GuessPassword, Account: string(rune('a' + i)), Address: "192.0.2.1"}))
	}
	err := b.BeginGuess(b.ctx, Guess{What: GuessPassword, Account: "next", Address: "192.0.2.1"})
	if !errors.As(err, &pause) {
		t.Errorf("got %v", err)
	}
	b.must(b.BeginGuess(b.ctx, Guess{What: GuessPassword, Account: "next", Address: "192.0.2.2"}))
}

func TestSweepTakesOnlyWhatIsOver(t *testing.T) {
	b := newBed(t)
	ana := b.person("ana")
	count := func() (n int) {
		b.must(b.sqlite().reads.get([]any{&n}, `SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM links)
			+ (SELECT count(*) FROM steps) + (SELECT count(*) FROM known_browsers) + (SELECT count(*) FROM guesses)`))
		return n
	}
	b.signIn(ana)
	_, err := b.KnowBrowser(b.ctx, ana, "")
	b.must(err)
	_, _, err = b.NewLink(b.ctx, Link{Purpose: LinkReset, User: ana}, ResetLife)
	b.must(err)
	_, err = b.BeginStep(b.ctx, Step{Purpose: "a"}, time.Minute)
	b.must(err)
	b.must(b.BeginGuess(b.ctx, Guess{What: GuessPassword, Account: "ana", Address: "192.0.2.1"}))
	before := count()
	b.must(b.Sweep(b.ctx))
	if n := count(); n != before {
		t.Errorf("%d of %d rows are left while all of it lives", n, before)
	}
	b.clock.pass(BrowserLife + time.Hour)
	b.must(b.Sweep(b.ctx))
	if n := count(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	b := newBed(t)
	ana, eva := b.person("ana"), b.person("eva")
	admin, person := RoleAdmin, RolePerson
	b.must(b.ChangeProfile(b.ctx, ana, ProfileChange{Role: &admin}))
	b.refused("taking the role", b.ChangeProfile(b.ctx, ana, ProfileChange{Role: &person}), ErrLastAdmin)
	b.refused("disabling", b.SetUserDisabled(b.ctx, "ana", true), ErrLastAdmin)
	b.refused("removing", b.RemoveUser(b.ctx, "ana"), ErrLastAdmin)
	b.must(b.ChangeProfile(b.ctx, eva, ProfileChange{Role: &admin}))
	b.must(b.RemoveUser(b.ctx, "ana"))
}

// What was made for the password before, or got halfway with it, is worth nothing beside a new one.
func TestANewPasswordEndsWhatTheOldOneBegan(t *testing.T) {
	b := newBed(t)
	ana := b.person("ana")
	ways := map[string]func(){
		"by its person": func() { b.must(b.SetPassword(b.ctx, ana, "new", 0)) },
		"by a link": func() {
			ticket, _, err := b.NewLink(b.ctx, Link{Purpose: LinkReset, User: ana}, ResetLife)
			b.must(err)
			_, err = b.SetPasswordByLink(b.ctx, ticket, LinkReset, "new")
			b.must(err)
		},
	}
	for name, change := range ways {
		invitation, _, err := b.NewLink(b.ctx, Link{Purpose: LinkInvite, User: ana}, InviteLife)
		b.must(err)
		step, err := b.BeginStep(b.ctx, Step{Purpose: StepSecond, User: ana}, time.Hour)
		b.must(err)
		change()
		_, err = b.Link(invitation)
		b.refused(name+", then an invitation", err, ErrLinkSpent)
		_, err = b.Step(step, StepSecond)
		b.refused(name+", then the second step", err, ErrStepOver)
	}
}

// Between the password that was right and the session the phone may be lost: hashing takes its time.
func TestNoSessionOfSomebodyWhoLostThePhone(t *testing.T) {
	b := newBed(t)
	ana := b.person("ana")
	b.must(b.LosePhone(b.ctx, ana, Attempt{}))
	_, err := b.StartSession(b.ctx, SignIn{User: ana})
	b.refused("a session", err, ErrPhoneLost)
	b.must(b.ComeBack(b.ctx, ana, "hash"))
	_, err = b.StartSession(b.ctx, SignIn{User: ana})
	b.must(err)
}

// A stranger who types recovery codes must not keep the owner from using one, nor take the second step's tries.
func TestStrangersUseUpNoRecoveryCodeTries(t *testing.T) {
	b := newBed(t)
	for i := range 10 * int(stepDaily.limit) {
		b.must(b.BeginGuess(b.ctx, Guess{What: GuessRecovery, Account: "ana", Address: fmt.Sprintf("192.0.2.%d", i)}))
	}
	b.must(b.BeginGuess(b.ctx, Guess{What: GuessRecovery, Account: "ana", Address: "198.51.100.1"}))
	b.must(b.BeginGuess(b.ctx, Guess{What: GuessStep, Account: "ana", Address: "198.51.100.1"}))
	var pause *TooManyError
	var err error
	for range addressPace.limit {
		err = b.BeginGuess(b.ctx, Guess{What: GuessRecovery, Account: "ana", Address: "198.51.100.1", Browser: "known"})
	}
	if !errors.As(err, &pause) {
		t.Errorf("one address types as many as it likes: %v", err)
	}
}

func TestNamesHideNothing(t *testing.T) {
	b := newBed(t)
	for _, name := range []string{"a\u009b2Jb", "ana\u202eabc", "\u2066ana", "ana\x1b[2J", "ana\x7f"} {
		_, err := b.AddUser(b.ctx, name)
		b.refused(fmt.Sprintf("%q", name), err, ErrBadName)
	}
}

func TestNoSessionByThePasswordOfBefore(t *testing.T) {
	b := newBed(t)
	ana := b.person("ana")
	b.must(b.SetPassword(b.ctx, ana, "old", 0))
	old, err := b.Password(ana)
	b.must(err)
	_, err = b.StartSession(b.ctx, SignIn{User: ana, Password: old})
	b.must(err)
	b.must(b.SetPassword(b.ctx, ana, "new", 0))
	_, err = b.StartSession(b.ctx, SignIn{User: ana, Password: old})
	b.refused("a session by the old one", err, ErrOldPassword)
	_, err = b.StartSession(b.ctx, SignIn{User: ana, Password: "new"})
	b.must(err)
}

func TestOneSiteOfIPv6GuessesAsMuchAsItMay(t *testing.T) {
	b := newBed(t)
	guess := func(site, subnet int) error {
		return b.BeginGuess(b.ctx, Guess{What: GuessPassword, Account: fmt.Sprintf("%d of %d", subnet, site), Address: fmt.Sprintf("2001:db8:%x:%x::/64", site, subnet)})
	}
	for i := range int(areaPace.limit) {
		b.must(guess(1, i))
	}
	var pause *TooManyError
	if err := guess(1, 1000); !errors.As(err, &pause) {
		t.Errorf("one more address of the site: %v", err)
	}
	b.must(guess(2, 1000))
}

func TestOnePersonHasSoManyBrowsers(t *testing.T) {
	b := newBed(t)
	ana, eva := b.person("ana"), b.person("eva")
	know := func(user int64, ticket string) string {
		b.clock.pass(time.Second)
		ticket, err := b.KnowBrowser(b.ctx, user, ticket)
		b.must(err)
		return ticket
	}
	known := func(user int64, ticket string) bool {
		yes, err := b.BrowserKnown(user, ticket)
		b.must(err)
		return yes
	}
	first, second, others := know(ana, ""), know(ana, ""), know(eva, "")
	for range maxBrowsers - 2 {
		know(ana, "")
	}
	know(ana, first) // which is no new one
	if !known(ana, first) || !known(ana, second) {
		t.Fatal("one was forgotten too early")
	}
	know(ana, "")
	if known(ana, second) || !known(ana, first) || !known(eva, others) {
		t.Error("not the one was forgotten that was not seen for longest")
	}
}
