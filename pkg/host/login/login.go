// Package login takes one login through its steps: who is the user, is there a pairing, what does the Latch server
// say, must a code be typed. It does all I/O through ports and leaves every decision to package policy.
package login

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/host/policy"
)

// closedText is shown in the account phase to a user who has proved a key, and to nobody else: to somebody who has
// only the password, a closed latch looks like a wrong password.
const closedText = "Latch: this account is closed."

// pollEvery is the pace of asking again while a refused login waits for the phone.
const pollEvery = 2 * time.Second

// NSS is what the host's name service said of the user.
type NSS int8

// What it can say. The zero value is a failure.
const (
	NSSFailed NSS = iota
	NSSFound
	NSSUnknown
)

// Request is one PAM call.
type Request struct {
	Account     bool   // the account phase, else auth
	Service     string // PAM_SERVICE
	User        string // as given
	NSS         NSS
	Canonical   string // with NSSFound: pw_name
	UID         int64  // with NSSFound
	SSHAuthInfo string // SSH_AUTH_INFO_0
	SSH         bool   // through sshd
}

// name is what the log and the exemptions know the user by.
func (r Request) name() string {
	if r.NSS == NSSFound {
		return r.Canonical
	}
	return r.User
}

// Settings are what latch.conf and the PAM line say.
type Settings struct {
	Policies           policy.Policies
	Operation          string        // operation id, or "" for the whole application
	Echo               bool          // show a code while it is typed
	NoMessages         bool          // profile openvpn: no message but the prompt
	CodeBeforeStatus   bool          // profile openvpn: codes are typed before the status query
	SilentAccountCheck bool          // the account phase queries without a notification on the phone
	Timeout            time.Duration // for one question, its repetition included
	LocalCode          time.Duration // for checking a code on this machine
	Wait               time.Duration // for the phone to open
	ExemptUsers        []string
	ExemptGroups       []string
	ExemptServices     []string
	AccountSkip        []string
}

// Pairing is what the pairing file says of a user.
type Pairing struct {
	User      string // as it stands in the file
	AccountID string
	UID       int64 // -1 where none was recorded
}

// Question is one question for the server.
type Question struct {
	AccountID, OperationID string
	NoToken, Silent        bool
}

// silent is the question without a trace: no notice, no token.
func (q Question) silent() Question {
	q.Silent, q.NoToken = true, true
	return q
}

// Answer is what came of it. Detail is for the log and holds no secret.
type Answer struct {
	Kind   policy.Answer
	Token  string
	Made   time.Time
	Detail string
	// Sent and Answered are the times of the query since boot. Login sets them.
	Sent, Answered time.Duration
	// NotEnrolled is about codes alone: there is nothing to check one with.
	NotEnrolled bool
}

// Pairings finds a user's pairing. Loosely is for names that NSS does not know.
type Pairings interface {
	Find(canonical string) (Pairing, bool, error)
	FindLoosely(given string) (Pairing, bool, error)
}

// Server asks the Latch server. It returns by ctx's deadline.
type Server interface {
	// Prepare reads what queries need of this machine, which is no part of their time.
	Prepare(ctx context.Context) error
	Ask(ctx context.Context, q Question) Answer
	// CanAwait reports whether its latest answer said that it can hold an answer until a latch is open.
	CanAwait() bool
	// Await asks silently and is answered when the latch is open, or after some seconds in which it was not.
	Await(ctx context.Context, q Question) Answer
	// Validate has a code of the user's authenticator checked: On is right, Off is wrong.
	Validate(ctx context.Context, id, code string) Answer
	// KeepsOwn reports whether its latest answer said that people enrol authenticators at the server themselves.
	KeepsOwn() bool
	// ValidateOwn is Validate for what the person behind an account has enrolled.
	ValidateOwn(ctx context.Context, accountID, code string) Answer
	// Spend tells a server that wants to know that a token was typed, right or wrong. It takes no time, and may say nothing.
	Spend(ctx context.Context, accountID, token string, right bool)
}

// Person is the one at the other end of the PAM conversation.
type Person interface {
	Ask(text string, echo bool) (reply string, asked bool, err error)
	Tell(text string) error
}

// Host answers what only the host's side knows.
type Host interface {
	Member(group string) (bool, error)
	// Lists reports whether the machine's own list of users has the name.
	Lists(name string) (bool, error)
}

// Memory keeps what was seen. It loses nothing that matters when it fails, so it returns no errors.
type Memory interface {
	// RecentlyDenied reports whether this user was asked about at this service, and not let in, within the last minute.
	RecentlyDenied(user, service string) bool
	// Asking notes a question before it is asked: whoever ends the login in its middle has it shown on the phone all
	// the same. Forget takes the note back.
	Asking(user, service string)
	Forget(user, service string)
	// Last returns the last known state of a latch.
	Last(accountID, operationID string) policy.Seen
	// Remember stores an answer, unless that of a newer query is there. The times, since boot, are those of this query.
	Remember(accountID, operationID string, open bool, sent, answered time.Duration)
}

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// SinceBoot orders the queries of all processes. Nobody can set it.
	SinceBoot() time.Duration
	// Sleep returns false when ctx ended first.
	Sleep(ctx context.Context, d time.Duration) bool
}

// Login is one authentication with its ports.
type Login struct {
	Request  Request
	Settings Settings
	Pairings Pairings
	Server   Server
	Codes    Codes
	Tokens   Tokens
	Person   Person
	Host     Host
	Memory   Memory
	Clock    Clock
}

// Outcome is the decision with what the log shall say besides.
type Outcome struct {
	policy.Decision
	Detail string
	Warn   bool // logged as a warning, although it opens
}

func outcome(d policy.Decision) Outcome { return Outcome{Decision: d} }

// Run decides, within Timeout and Wait and the time that the person takes to type. An error means that the conversation with the host
// broke: there is nobody left to tell a verdict to.
func (l *Login) Run(ctx context.Context) (Outcome, error) {
	switch why, exempt, err := l.exempt(); {
	case err != nil:
		return outcome(policy.Failed(policy.BadRequest)), err
	case exempt:
		return outcome(policy.Exempt(why)), nil
	}
	p, decided := l.pairing()
	var (
		o   Outcome
		a   Answer
		err error
	)
	if decided != nil {
		o = outcome(*decided)
	} else {
		o, a = l.ask(ctx, p)
	}
	if o.Reason == "closed" && !l.Request.Account && l.Settings.Wait > 0 {
		o, a = l.wait(ctx, p, o)
	}
	if o.Code != policy.NoCode {
		o, err = l.code(ctx, p, o, a)
	}
	if err == nil && l.mayTell(o) {
		err = l.Person.Tell(closedText)
	}
	return o, err
}

func (l *Login) exempt() (policy.Reason, bool, error) {
	r, s := l.Request, l.Settings
	switch {
	case slices.Contains(s.ExemptServices, r.Service):
		return policy.ExemptService, true, nil
	case r.Account && slices.Contains(s.AccountSkip, r.Service):
		return policy.SkippedService, true, nil
	case slices.Contains(s.ExemptUsers, r.name()):
		return policy.ExemptUser, true, nil
	case r.NSS != NSSFound:
		return "", false, nil // membership is asked of a user that NSS knows
	}
	for _, group := range s.ExemptGroups {
		if member, err := l.Host.Member(group); err != nil || member {
			return policy.ExemptGroup, member, err
		}
	}
	return "", false, nil
}

// pairing returns the user's pairing, or the decision where there is none to ask about; the user's name stands in both.
func (l *Login) pairing() (Pairing, *policy.Decision) {
	stop := func(d policy.Decision) (Pairing, *policy.Decision) { return Pairing{User: l.Request.name()}, &d }
	p, found, failed := Pairing{}, false, error(nil)
	switch l.Request.NSS {
	case NSSFound:
		p, found, failed = l.Pairings.Find(l.Request.Canonical)
	case NSSUnknown:
		// A caller's limits can make NSS miss a local user. The name service behind the host is not asked again,
		// but the machine's own list is, under limits of our own.
		if listed, err := l.Host.Lists(l.Request.User); listed || err != nil {
			return stop(policy.Failed(policy.NSSDisagrees))
		}
		p, found, failed = l.Pairings.FindLoosely(l.Request.User)
	default:
		return stop(policy.Failed(policy.NSSFailed))
	}
	switch {
	case failed != nil:
		return stop(policy.Failed(policy.BadPairings))
	case !found:
		return stop(policy.NotOurs(l.policies()))
	case l.Request.NSS == NSSFound && p.UID >= 0 && p.UID != l.Request.UID:
		// The name has passed to somebody else, who neither inherits the latch nor gets in by having none.
		return stop(policy.Failed(policy.UIDChanged))
	}
	return p, nil
}

// question is what the phone is told of.
func (l *Login) question(p Pairing) Question {
	return Question{AccountID: p.AccountID, OperationID: l.Settings.Operation, NoToken: !l.wantsToken()}
}

// ask queries the server. Its time begins when everything that the query needs of this machine has been read.
func (l *Login) ask(ctx context.Context, p Pairing) (Outcome, Answer) {
	ask := l.query
	// By the name in the pairing file: a directory takes "ana", "ANA" and "ana@REALM" for one, and whoever has the
	// password could try them all.
	if l.silent() || l.Memory.RecentlyDenied(p.User, l.Request.Service) {
		ask = l.askSilently
	}
	if !l.silent() {
		l.Memory.Asking(p.User, l.Request.Service)
	}
	q := l.question(p)
	if err := l.Server.Prepare(ctx); err != nil {
		a := Answer{Kind: policy.LocalFailure, Detail: err.Error()}
		return l.weigh(p, q, a), a
	}
	ctx, cancel := context.WithTimeout(ctx, l.Settings.Timeout)
	defer cancel()
	a := ask(ctx, q)
	return l.weigh(p, q, a), a
}

// query sends one query and notes its times.
func (l *Login) query(ctx context.Context, q Question) Answer {
	sent := l.Clock.SinceBoot()
	a := l.Server.Ask(ctx, q)
	a.Sent, a.Answered = sent, l.Clock.SinceBoot()
	return a
}

// silent reports whether this login never notifies the phone. The auth phase always may: it may need a token.
func (l *Login) silent() bool { return l.Settings.SilentAccountCheck && l.Request.Account }

// askSilently queries without a notification first, and repeats with one only after "open" or an error.
func (l *Login) askSilently(ctx context.Context, q Question) Answer {
	a := l.query(ctx, q.silent())
	switch a.Kind {
	case policy.On:
		if l.silent() {
			return a
		}
		// Nobody else enters without a notification; a latch that closes after use does so, and a token is made.
		return l.query(ctx, q)
	case policy.ErrorAnswer:
		// Not every plan has silent questions; what that costs is one more notice. A server that has answered with an
		// error is not one that gives no answer: whoever uses up its limit must not get what is meant for that.
		if again := l.query(ctx, q); again.Kind != policy.NoAnswer {
			return again
		}
	}
	return a
}

func (l *Login) weigh(p Pairing, q Question, a Answer) Outcome {
	seen := policy.Never
	switch a.Kind {
	case policy.On, policy.Off:
		l.Memory.Remember(q.AccountID, q.OperationID, a.Kind == policy.On, a.Sent, a.Answered)
	case policy.NoAnswer:
		if l.Settings.Policies.Action == policy.Last {
			seen = l.Memory.Last(q.AccountID, q.OperationID)
		}
	}
	l.mark(p, a)
	return Outcome{Decision: policy.Answered(l.policies(), a.Kind, seen, a.Token != "" && !q.NoToken), Detail: a.Detail}
}

// policies are latch.conf's. In the account phase nobody can be asked for a code: the auth phase has done so, or there was none. A
// login through sshd has it in the same process where it asked, so one that comes here has shown a key or a ticket alone; that is
// enough unless a code is required.
func (l *Login) policies() policy.Policies {
	p := l.Settings.Policies
	if l.Request.Account && !(p.Required && l.Request.SSH) {
		p.Code = policy.NoCode
	}
	return p
}

// mark keeps or takes back the note that ask made. A silent query says nothing about what the phone has shown.
func (l *Login) mark(p Pairing, a Answer) {
	switch {
	case l.silent(), a.Kind == policy.NoAnswer: // which the phone may have shown
	case a.Kind == policy.Off:
		l.Memory.Asking(p.User, l.Request.Service) // the minute counts from the answer
	default:
		l.Memory.Forget(p.User, l.Request.Service)
	}
}

func (l *Login) wantsToken() bool {
	return l.Settings.Policies.Code == policy.TokenCode && !l.Request.Account
}

// wait asks again, silently, until the phone opens the latch or the time is over. Somebody with a stopwatch
// then learns that the password was right; latch.conf says so.
func (l *Login) wait(ctx context.Context, p Pairing, refused Outcome) (Outcome, Answer) {
	ctx, cancel := context.WithTimeout(ctx, l.Settings.Wait)
	defer cancel()
	end := l.Clock.Now().Add(l.Settings.Wait)
	for q := l.question(p); ctx.Err() == nil && l.Clock.Now().Before(end); {
		if !l.await(ctx, q) {
			continue
		}
		if a := l.query(ctx, q); a.Kind == policy.On {
			return l.weigh(p, q, a), a
		}
		l.Clock.Sleep(ctx, pollEvery)
	}
	return refused, Answer{}
}

// await asks once, not sooner than pollEvery after the question before, and tells whether the latch is open now. A server that
// can hold its answer is asked at once: the answer comes with the phone's touch.
func (l *Login) await(ctx context.Context, q Question) bool {
	if !l.Server.CanAwait() {
		return l.Clock.Sleep(ctx, pollEvery) && l.Server.Ask(ctx, q.silent()).Kind == policy.On
	}
	begun := l.Clock.Now()
	if l.Server.Await(ctx, q.silent()).Kind == policy.On {
		return true
	}
	if early := pollEvery - l.Clock.Now().Sub(begun); early > 0 {
		l.Clock.Sleep(ctx, early)
	}
	return false
}

func (l *Login) mayTell(o Outcome) bool {
	return l.Request.Account && !l.Settings.NoMessages && o.Reason == "closed" && onlyKey(l.Request.SSHAuthInfo)
}

// onlyKey reports whether sshd's list of what the person has shown names a public key and no password. Its
// lines begin with the method's name.
func onlyKey(info string) bool {
	key := false
	for line := range strings.Lines(info) {
		switch method, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
		case method == "publickey":
			key = true
		case strings.HasPrefix(method, "password"), strings.HasPrefix(method, "keyboard-interactive"):
			return false
		}
	}
	return key
}
