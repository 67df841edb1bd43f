package login

import (
	"cmp"
	"context"
	"crypto/subtle"
	"time"

	"github.com/latch-linux/latch/pkg/host/policy"
)

// TokenLife is how long a one-time token is good for, counted from the server's own stamp.
const TokenLife = 5 * time.Minute

// What is asked for. OpenVPN's name list matches on the first word.
const (
	tokenPrompt = "Latch one-time password: "
	codePrompt  = "Latch code of your authenticator: "
)

// Enrolment is what is kept of a user to check codes with. The zero value is nothing at all.
type Enrolment struct {
	User     string // whose record it is: the user's, in the spelling that it was enrolled by
	Enrolled bool   // for codes of this machine's, or of the server's for this application
	Local    bool   // there is an authenticator of this machine's that has not expired, or a recovery code
	Server   bool   // there is one of the server's, or a recovery code
	Recovery bool   // there is a recovery code
	Expired  bool   // this machine's authenticator has
	Bypassed bool   // from codes, by root, for a while
	Detail   string // for the log
}

// Typed is what came of a code.
type Typed struct {
	Proof      policy.Proof
	Unanswered *Answer // the server's, which was asked and did not say whether the code is right
	Warn       bool    // logged as a warning, although it is right: a recovery code
	Kept       string  // the token, where it was that of the login before
	Detail     string  // for the log; holds no code
}

// Codes checks what people type. A code that is right is used up when it returns, and one that is wrong is counted.
type Codes interface {
	// Find looks for what is kept of a user. uid is -1 where the name service does not know the name, which then counts in any
	// spelling. What cannot be read or trusted is an error, and never the zero Enrolment.
	Find(user string, uid int64) (Enrolment, error)
	Check(ctx context.Context, user string, uid int64, typed string) Typed
	// CheckByServer lets validate ask the server, for which ctx is no bound; recovery codes are this machine's all the same. The
	// id is "" where this machine knows of no authenticator.
	CheckByServer(ctx context.Context, user string, uid int64, typed string, validate func(id, code string) Answer) Typed
	// CheckRecovery takes recovery codes alone, and counts nothing else.
	CheckRecovery(ctx context.Context, user string, uid int64, typed string) Typed
}

// Tokens keeps the server's last token where codes are typed before the server is asked.
type Tokens interface {
	// Keep holds a token, made so long ago, until it is TokenLife old, in place of any before.
	Keep(ctx context.Context, accountID, operationID, token string, age time.Duration) error
	// Take reports whether a reply is the token that was kept. It is gone afterwards, whatever comes of it.
	Take(ctx context.Context, accountID, operationID, reply string) (bool, error)
}

// code asks for what a decision wants typed, each thing once. Where the server cannot say whether its code is right,
// the policies decide as they do about the latch, and what they open wants a code of this machine's.
func (l *Login) code(ctx context.Context, p Pairing, o Outcome, a Answer) (Outcome, error) {
	if o.Code == policy.TokenCode {
		t, err := l.token(ctx, p, a)
		return coded(o, t), err
	}
	t, err := l.typed(ctx, p, o.Decision)
	if err == nil && t.Unanswered != nil {
		// The latch was open a moment ago, which is what action = last goes by.
		o.Decision = policy.Answered(l.policies(), t.Unanswered.Kind, policy.SeenOpen, false)
		o.Detail = join(o.Detail, t.Unanswered.Detail)
		if o.Code == policy.NoCode {
			return o, nil
		}
		o.Code, o.IfNotEnrolled = policy.LocalCode, policy.Refuse
		t, err = l.typed(ctx, p, o.Decision)
	}
	return coded(o, t), err
}

func coded(o Outcome, t Typed) Outcome {
	return Outcome{Decision: policy.Coded(o.Decision, t.Proof), Detail: join(o.Detail, t.Detail), Warn: t.Warn || t.Proof == policy.ProofBypassed}
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// uid is what records are compared by; -1 makes the name count in any spelling.
func (l *Login) uid() int64 {
	if l.Request.NSS == NSSFound {
		return l.Request.UID
	}
	return -1
}

// typed asks for a code of this machine's or of the server's.
func (l *Login) typed(ctx context.Context, p Pairing, d policy.Decision) (Typed, error) {
	e, err := l.Codes.Find(p.User, l.uid())
	if err != nil {
		return Typed{Proof: policy.ProofFailed, Detail: err.Error()}, nil
	}
	if proof, known := l.unasked(e, p, d); known {
		return Typed{Proof: proof, Detail: e.Detail}, nil
	}
	owner := cmp.Or(e.User, p.User)
	reply, asked, err := l.Person.Ask(codePrompt, l.Settings.Echo)
	if err != nil || !asked || reply == "" {
		return Typed{Proof: policy.ProofNotAsked}, err
	}
	// Waiting for other logins of this user is this machine's time. The server has all of its own, whoever came first: one
	// that was left none would seem to give no answer.
	local, cancel := context.WithTimeout(ctx, l.Settings.LocalCode)
	defer cancel()
	if d.Code == policy.ServerCode {
		return l.Codes.CheckByServer(local, owner, l.uid(), reply, func(id, code string) Answer {
			ctx, cancel := context.WithTimeout(ctx, l.Settings.Timeout)
			defer cancel()
			return l.validate(ctx, p, id, code)
		}), nil
	}
	return l.Codes.Check(local, owner, l.uid(), reply), nil
}

// validate asks about the authenticator that this machine knows of, else about the person's own.
func (l *Login) validate(ctx context.Context, p Pairing, id, code string) Answer {
	switch {
	case id != "":
		return l.Server.Validate(ctx, id, code)
	case p.AccountID != "" && l.Server.KeepsOwn():
		return l.Server.ValidateOwn(ctx, p.AccountID, code)
	}
	return Answer{Kind: policy.Off}
}

// unasked is what is known without asking anybody.
func (l *Login) unasked(e Enrolment, p Pairing, d policy.Decision) (proof policy.Proof, known bool) {
	can := e.Local
	if d.Code == policy.ServerCode {
		can = e.Server || p.AccountID != "" && l.Server.KeepsOwn()
	}
	switch {
	case e.Bypassed:
		return policy.ProofBypassed, true
	case !e.Enrolled && (!can || d.IfNotEnrolled != policy.Refuse):
		return policy.ProofNotEnrolled, true
	case !can && e.Expired && d.Code == policy.LocalCode:
		return policy.ProofExpired, true
	case !can:
		return policy.ProofWrongKind, true
	case l.Request.Account:
		return policy.ProofNotAsked, true
	}
	return policy.ProofFailed, false
}

// token asks for the token that the server sent, or for a recovery code. It needs no record, so one that cannot be read is no
// reason to refuse. Right or wrong, a token is of no use after that, and the server may tell the person so.
func (l *Login) token(ctx context.Context, p Pairing, a Answer) (Typed, error) {
	e, unread := l.Codes.Find(p.User, l.uid())
	if unread == nil && e.Bypassed {
		return Typed{Proof: policy.ProofBypassed, Detail: e.Detail}, nil
	}
	reply, asked, err := l.Person.Ask(tokenPrompt, l.Settings.Echo)
	if err != nil {
		return Typed{Proof: policy.ProofNotAsked}, err
	}
	local, cancel := context.WithTimeout(ctx, l.Settings.LocalCode)
	defer cancel()
	t := Typed{Proof: policy.ProofNotAsked}
	if asked && reply != "" {
		if t = l.tokenProof(local, p, a, reply); t.Proof == policy.ProofWrong && unread == nil && e.Recovery {
			t = l.Codes.CheckRecovery(local, e.User, l.uid(), reply)
		}
	}
	if unread != nil {
		t.Detail = join(t.Detail, unread.Error())
	}
	if !l.Settings.CodeBeforeStatus || t.Proof == policy.ProofRight {
		l.Server.Spend(ctx, p.AccountID, cmp.Or(t.Kept, a.Token), t.Proof == policy.ProofRight && !t.Warn)
		return t, nil
	}
	if err := l.Tokens.Keep(local, p.AccountID, l.Settings.Operation, a.Token, l.Clock.Now().Sub(a.Made)); err != nil {
		t.Detail = join(t.Detail, "the token cannot be kept for the next login: "+err.Error())
	}
	return t, nil
}

// tokenProof compares a reply with this answer's token, and where the person had to type before there was one with the token before.
func (l *Login) tokenProof(ctx context.Context, p Pairing, a Answer, reply string) Typed {
	same := subtle.ConstantTimeCompare([]byte(reply), []byte(a.Token)) == 1
	if l.Settings.CodeBeforeStatus {
		kept, err := l.Tokens.Take(ctx, p.AccountID, l.Settings.Operation, reply)
		switch {
		case err != nil:
			return Typed{Proof: policy.ProofFailed, Detail: err.Error()}
		case kept:
			return Typed{Proof: policy.ProofRight, Kept: reply, Detail: "the token of the login before"}
		}
	}
	switch {
	case !same:
		return Typed{Proof: policy.ProofWrong}
	case l.Clock.Now().Sub(a.Made) > TokenLife:
		return Typed{Proof: policy.ProofExpired}
	}
	return Typed{Proof: policy.ProofRight}
}
