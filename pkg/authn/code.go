package authn

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/latch-linux/latch/pkg/gate"
)

// tokenLife is how long a one-time token is good for, counted from the server's own stamp.
const tokenLife = 5 * time.Minute

// What is asked for. OpenVPN's name list matches on the first word.
const (
	tokenPrompt = "Latch one-time password: "
	codePrompt  = "Latch code of your authenticator: "
)

// Enrolment is what is kept of a user to check codes with.
type Enrolment struct {
	Excused bool   // from codes, by root, for a while
	Local   bool   // there is an authenticator of this machine's, or a recovery code
	Server  bool   // there is one of the server's, or a recovery code
	Detail  string // for the log
}

// Typed is what came of a code.
type Typed struct {
	Proof      gate.Proof
	Unanswered *Answer // the server's, which was asked and did not say whether the code is right
	Detail     string  // for the log; holds no code
}

// Codes checks what people type. A code that is right is used up when it returns, and one that is wrong is counted.
type Codes interface {
	Find(user string, uid int64) (Enrolment, error)
	Check(ctx context.Context, user string, uid int64, typed string) Typed
	// CheckByServer lets validate ask the server, for which ctx is no bound; recovery codes are this machine's all the same. The
	// id is "" where this machine knows of no authenticator.
	CheckByServer(ctx context.Context, user string, uid int64, typed string, validate func(id, code string) Answer) Typed
}

// code asks for what a decision wants typed, each thing once. Where the server cannot say whether its code is right,
// the policies decide as they do about the latch, and may want one of this machine's.
func (l *Login) code(ctx context.Context, p Pairing, o Outcome, a Answer) (Outcome, error) {
	if o.Code == gate.TokenCode {
		d, err := l.token(ctx, p, o.Decision, a)
		return Outcome{d, o.Detail}, err
	}
	t, err := l.typed(ctx, p, o.Code)
	if err == nil && t.Unanswered != nil {
		// The latch was open a moment ago, which is what action = last goes by.
		o = Outcome{gate.Answered(l.Settings.Policies, t.Unanswered.Kind, gate.SeenOpen, false), join(o.Detail, t.Unanswered.Detail)}
		if o.Code == gate.NoCode {
			return o, nil
		}
		t, err = l.typed(ctx, p, gate.LocalCode)
	}
	return Outcome{gate.Coded(o.Decision, t.Proof), join(o.Detail, t.Detail)}, err
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// typed asks for a code of this machine's or of the server's. In the account phase there is nobody to ask.
func (l *Login) typed(ctx context.Context, p Pairing, want gate.Code) (Typed, error) {
	uid := int64(-1)
	if l.Request.NSS == NSSFound {
		uid = l.Request.UID
	}
	e, err := l.Codes.Find(p.User, uid)
	switch {
	case err != nil:
		return Typed{Proof: gate.ProofFailed, Detail: err.Error()}, nil
	case e.Excused:
		return Typed{Proof: gate.ProofExcused, Detail: e.Detail}, nil
	case want == gate.LocalCode && !e.Local, want == gate.ServerCode && !e.Server && !l.Server.KeepsOwn():
		return Typed{Proof: gate.ProofNotEnrolled, Detail: e.Detail}, nil
	case l.Request.Account:
		return Typed{Proof: gate.ProofNotAsked}, nil
	}
	reply, asked, err := l.Person.Ask(codePrompt, l.Settings.Echo)
	if err != nil || !asked || reply == "" {
		return Typed{Proof: gate.ProofNotAsked}, err
	}
	// Waiting for other logins of this user is this machine's time. The server has all of its own, whoever came first: one
	// that was left none would seem to give no answer.
	local, cancel := context.WithTimeout(ctx, l.Settings.LocalCode)
	defer cancel()
	if want == gate.ServerCode {
		return l.Codes.CheckByServer(local, p.User, uid, reply, func(id, code string) Answer {
			ctx, cancel := context.WithTimeout(ctx, l.Settings.Timeout)
			defer cancel()
			return l.validate(ctx, p, id, code)
		}), nil
	}
	return l.Codes.Check(local, p.User, uid, reply), nil
}

// validate asks about the authenticator that this machine knows of, else about the person's own.
func (l *Login) validate(ctx context.Context, p Pairing, id, code string) Answer {
	switch {
	case id != "":
		return l.Server.Validate(ctx, id, code)
	case l.Server.KeepsOwn():
		return l.Server.ValidateOwn(ctx, p.AccountID, code)
	}
	return Answer{Kind: gate.Off}
}

// token asks for the token that the server sent. Right or wrong, it is of no use after that, and the server may tell the person so.
func (l *Login) token(ctx context.Context, p Pairing, d gate.Decision, token Answer) (gate.Decision, error) {
	reply, asked, err := l.Person.Ask(tokenPrompt, l.Settings.Echo)
	proof := gate.ProofRight
	switch {
	case err != nil, !asked, reply == "":
		proof = gate.ProofNotAsked
	case subtle.ConstantTimeCompare([]byte(reply), []byte(token.Token)) != 1:
		proof = gate.ProofWrong
	case l.Clock.Now().Sub(token.Made) > tokenLife:
		proof = gate.ProofExpired
	}
	if err == nil {
		l.Server.Spend(ctx, p.AccountID, token.Token, proof == gate.ProofRight)
	}
	return gate.Coded(d, proof), err
}
