package authn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/authn"
	"github.com/latch-linux/latch/pkg/gate"
)

// codes stands in for what this machine keeps; world's fields say what is there and what comes of a code.
type codes struct{ *world }

func (c codes) Find(user string, uid int64) (authn.Enrolment, error) {
	c.uids = append(c.uids, uid)
	return c.enrolled[user], c.noStore
}

func (c codes) Check(ctx context.Context, user string, uid int64, typed string) authn.Typed {
	c.uids = append(c.uids, uid)
	c.bounded(ctx)
	c.checked = append(c.checked, "here "+typed)
	return authn.Typed{Proof: c.proof, Detail: "typed here", Loud: c.loud}
}

func (c codes) CheckByServer(ctx context.Context, user string, uid int64, typed string, validate func(id, code string) authn.Answer) authn.Typed {
	c.uids = append(c.uids, uid)
	c.bounded(ctx)
	<-ctx.Done() // other logins of this user came first, and took all of the time
	id := "totp of " + user
	if !c.enrolled[user].Server {
		id = ""
	}
	a := validate(id, typed)
	if a.NotEnrolled {
		return authn.Typed{Proof: gate.ProofUnfit}
	}
	switch a.Kind {
	case gate.On:
		return authn.Typed{Proof: gate.ProofRight}
	case gate.Off:
		return authn.Typed{Proof: gate.ProofWrong}
	default:
		return authn.Typed{Unanswered: &a}
	}
}

func (c codes) CheckRecovery(ctx context.Context, user string, uid int64, typed string) authn.Typed {
	if typed != "recovery" {
		return authn.Typed{Proof: gate.ProofWrong}
	}
	return c.Check(ctx, user, uid, typed)
}

func (w *world) Keep(_ context.Context, _, _, token string, _ time.Duration) error {
	w.kept = token
	return w.noTokens
}

func (w *world) Take(_ context.Context, _, _, reply string) (bool, error) {
	same := w.kept != "" && reply == w.kept
	w.kept = ""
	return same, w.noTokens
}

func (w *world) bounded(ctx context.Context) {
	if _, bounded := ctx.Deadline(); !bounded {
		w.unbounded++
	}
}

func (w *world) Validate(ctx context.Context, id, code string) authn.Answer {
	w.checked = append(w.checked, id+" "+code)
	w.bounded(ctx)
	if ctx.Err() != nil {
		return authn.Answer{Kind: gate.NoAnswer}
	}
	return authn.Answer{Kind: w.validates, Detail: "of the code"}
}

func (w *world) KeepsOwn() bool { return w.keepsOwn }

func (w *world) ValidateOwn(ctx context.Context, accountID, code string) authn.Answer {
	a := w.Validate(ctx, "own of "+accountID[:3], code)
	a.NotEnrolled = w.validates == gate.Off
	return a
}

func (w *world) Spend(_ context.Context, accountID, token string, right bool) {
	w.spent = append(w.spent, fmt.Sprint(accountID == account, " ", token, " ", right))
}

// coded is a scene with ana enrolled for everything, who types 123456.
func coded(otp gate.Code) (*world, *authn.Login) {
	w, l := scene()
	w.pairings["ana"] = authn.Pairing{User: "ana", AccountID: account, UID: 1000}
	w.enrolled = map[string]authn.Enrolment{"ana": {User: "ana", Enrolled: true, Local: true, Server: true}}
	w.reply, w.proof, w.validates = "123456", gate.ProofRight, gate.On
	l.Settings.Policies.Code = otp
	l.Settings.LocalCode = time.Millisecond
	return w, l
}

func TestCodes(t *testing.T) {
	const here, there, own = "here 123456", "totp of ana 123456", "own of acc 123456"
	for name, c := range map[string]struct {
		otp     gate.Code
		change  func(*world, *authn.Login)
		reason  gate.Reason
		opens   bool
		checked []string
	}{
		"right":           {gate.LocalCode, nil, "open-otp", true, []string{here}},
		"wrong":           {gate.LocalCode, func(w *world, _ *authn.Login) { w.proof = gate.ProofWrong }, gate.CodeWrong, false, []string{here}},
		"used":            {gate.LocalCode, func(w *world, _ *authn.Login) { w.proof = gate.ProofUsed }, gate.CodeUsed, false, []string{here}},
		"paused":          {gate.LocalCode, func(w *world, _ *authn.Login) { w.proof = gate.ProofPaused }, gate.CodePaused, false, []string{here}},
		"store fails":     {gate.LocalCode, func(w *world, _ *authn.Login) { w.proof = gate.ProofFailed }, gate.CodeFailed, false, []string{here}},
		"cannot be read":  {gate.LocalCode, func(w *world, _ *authn.Login) { w.noStore = errors.New("damaged") }, gate.CodeFailed, false, nil},
		"excused":         {gate.LocalCode, func(w *world, _ *authn.Login) { w.enrolled["ana"] = authn.Enrolment{Excused: true} }, "open-otp-excused", true, nil},
		"cannot be asked": {gate.LocalCode, func(w *world, _ *authn.Login) { w.cannotAsk = true }, gate.CodeNotAsked, false, nil},
		"nothing typed":   {gate.LocalCode, func(w *world, _ *authn.Login) { w.reply = "" }, gate.CodeNotAsked, false, nil},
		"closed":          {gate.LocalCode, func(w *world, _ *authn.Login) { w.answers[0].Kind = gate.Off }, "closed", false, nil},
		"account phase":   {gate.LocalCode, func(_ *world, l *authn.Login) { l.Request.Account = true }, "open", true, nil},
		"another spelling": {gate.LocalCode, func(_ *world, l *authn.Login) {
			l.Request.NSS, l.Request.User = authn.NSSUnknown, " ANA"
		}, "open-otp", true, []string{here}},

		"server: right": {gate.ServerCode, nil, "open-otp", true, []string{there}},
		"server: wrong": {gate.ServerCode, func(w *world, _ *authn.Login) { w.validates = gate.Off }, gate.CodeWrong, false, []string{there}},
		"server: own":   {gate.ServerCode, func(w *world, _ *authn.Login) { w.enrolled, w.keepsOwn = nil, true }, "open-otp", true, []string{own}},
		"server: no own": {gate.ServerCode, func(w *world, l *authn.Login) {
			w.enrolled, w.keepsOwn, w.validates, l.Settings.Policies.OnError = nil, true, gate.Off, gate.Open
		}, gate.CodeUnknown, false, []string{own}},
		"server: recovery here, own there": {gate.ServerCode, func(w *world, _ *authn.Login) {
			w.enrolled["ana"], w.keepsOwn = authn.Enrolment{Local: true}, true
		}, "open-otp", true, []string{own}},
		"server: silent, open": {gate.ServerCode, func(w *world, _ *authn.Login) { w.validates = gate.NoAnswer }, "no-answer-open-otp", true, []string{there, here}},
		"server: silent, nothing here": {gate.ServerCode, func(w *world, _ *authn.Login) {
			w.validates, w.enrolled["ana"] = gate.NoAnswer, authn.Enrolment{User: "ana", Enrolled: true, Server: true}
		}, gate.CodeUnknown, false, []string{there}},
		"server: silent, close": {gate.ServerCode, func(w *world, l *authn.Login) {
			w.validates, l.Settings.Policies.Action = gate.NoAnswer, gate.Close
		}, "no-answer-close", false, []string{there}},
		"server: silent, last": {gate.ServerCode, func(w *world, l *authn.Login) {
			w.validates, l.Settings.Policies.Action = gate.NoAnswer, gate.Last
		}, "no-answer-last-open-otp", true, []string{there, here}},
		"server: silent, otp": {gate.ServerCode, func(w *world, l *authn.Login) {
			w.validates, l.Settings.Policies.Action = gate.NoAnswer, gate.OTP
		}, "no-answer-otp", true, []string{there, here}},
		"server: silent, otp, wrong": {gate.ServerCode, func(w *world, l *authn.Login) {
			w.validates, l.Settings.Policies.Action, w.proof = gate.NoAnswer, gate.OTP, gate.ProofWrong
		}, gate.CodeWrong, false, []string{there, here}},
		"server: error": {gate.ServerCode, func(w *world, _ *authn.Login) { w.validates = gate.ErrorAnswer }, "error-close", false, []string{there}},
		"server: held up here": {gate.ServerCode, func(w *world, l *authn.Login) {
			w.validates, l.Settings.Policies.OnError = gate.LocalFailure, gate.Open
		}, gate.Local, false, []string{there}},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := coded(c.otp)
			if c.change != nil {
				c.change(w, l)
			}
			o, err := l.Run(t.Context())
			if err != nil || (o.Verdict == gate.Success) != c.opens || o.Reason != c.reason || o.Code != gate.NoCode {
				t.Errorf("%+v, error %v; want %q", o, err, c.reason)
			}
			if !slices.Equal(w.checked, c.checked) || w.unbounded > 0 {
				t.Errorf("checked %q, %d without a deadline", w.checked, w.unbounded)
			}
			if uid := map[authn.NSS]int64{authn.NSSFound: 1000, authn.NSSUnknown: -1}[l.Request.NSS]; slices.ContainsFunc(w.uids, func(u int64) bool { return u != uid }) {
				t.Errorf("codes of the uids %d, want %d", w.uids, uid)
			}
			if len(w.prompts) < len(c.checked) || slices.ContainsFunc(w.prompts, func(p string) bool { return !strings.HasPrefix(p, "Latch code") }) {
				t.Errorf("prompts %q", w.prompts)
			}
			if strings.Contains(o.Detail, "123456") {
				t.Errorf("a code in the log: %q", o.Detail)
			}
		})
	}
}

// TestPoliciesAskForACode: what the policy otp decides about, and that the account phase, which can ask nobody, is closed.
func TestPoliciesAskForACode(t *testing.T) {
	for answer, reason := range map[gate.Answer]gate.Reason{gate.NoAnswer: "no-answer-otp", gate.ErrorAnswer: "error-otp",
		gate.BadCertificate: "bad-certificate-otp", gate.NotPaired: "unpaired-by-server-otp"} {
		policies := gate.Policies{Action: gate.OTP, OnError: gate.OTP, UnpairedByServer: gate.OTP}
		w, l := coded(gate.NoCode)
		l.Settings.Policies, w.answers[0] = policies, authn.Answer{Kind: answer, Detail: "why"}
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != gate.Success || o.Reason != reason || o.Detail != "why; typed here" {
			t.Errorf("%+v, error %v; want %q", o, err, reason)
		}
		w, l = coded(gate.NoCode)
		l.Settings.Policies, w.answers[0].Kind, w.proof = policies, answer, gate.ProofWrong
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != gate.Refuse || o.Reason != gate.CodeWrong || len(w.prompts) != 1 {
			t.Errorf("wrong code: %+v, error %v, prompts %q", o, err, w.prompts)
		}
		w, l = coded(gate.NoCode)
		l.Settings.Policies, w.answers[0].Kind, l.Request.Account = policies, answer, true
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != gate.Refuse || o.Reason != gate.CodeNotAsked || len(w.prompts) != 0 {
			t.Errorf("account phase: %+v, error %v, prompts %q", o, err, w.prompts)
		}
		w.enrolled["ana"] = authn.Enrolment{Excused: true}
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != gate.Success || o.Reason != reason+"-excused" {
			t.Errorf("account phase, excused: %+v, error %v", o, err)
		}
	}
}

// TestHostGoneAtACode: nobody is left to hear a verdict.
func TestHostGoneAtACode(t *testing.T) {
	w, l := coded(gate.LocalCode)
	w.hostGone = errors.New("gone")
	if o, err := l.Run(t.Context()); err == nil || o.Verdict != gate.Refuse || len(w.checked) != 0 {
		t.Errorf("%+v, checked %q", o, w.checked)
	}
}
