package login_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
)

// codes stands in for what this machine keeps; world's fields say what is there and what comes of a code.
type codes struct{ *world }

func (c codes) Find(user string, uid int64) (login.Enrolment, error) {
	c.uids = append(c.uids, uid)
	return c.enrolled[user], c.noStore
}

func (c codes) Check(ctx context.Context, user string, uid int64, typed string) login.Typed {
	c.uids = append(c.uids, uid)
	c.bounded(ctx)
	c.checked = append(c.checked, "here "+typed)
	return login.Typed{Proof: c.proof, Detail: "typed here", Warn: c.warn}
}

func (c codes) CheckByServer(ctx context.Context, user string, uid int64, typed string, validate func(id, code string) login.Answer) login.Typed {
	c.uids = append(c.uids, uid)
	c.bounded(ctx)
	<-ctx.Done() // other logins of this user came first, and took all of the time
	id := "totp of " + user
	if !c.enrolled[user].Server {
		id = ""
	}
	a := validate(id, typed)
	if a.NotEnrolled {
		return login.Typed{Proof: policy.ProofWrongKind}
	}
	switch a.Kind {
	case policy.On:
		return login.Typed{Proof: policy.ProofRight}
	case policy.Off:
		return login.Typed{Proof: policy.ProofWrong}
	default:
		return login.Typed{Unanswered: &a}
	}
}

func (c codes) CheckRecovery(ctx context.Context, user string, uid int64, typed string) login.Typed {
	if typed != "recovery" {
		return login.Typed{Proof: policy.ProofWrong}
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

func (w *world) Validate(ctx context.Context, id, code string) login.Answer {
	w.checked = append(w.checked, id+" "+code)
	w.bounded(ctx)
	if ctx.Err() != nil {
		return login.Answer{Kind: policy.NoAnswer}
	}
	return login.Answer{Kind: w.validates, Detail: "of the code"}
}

func (w *world) KeepsOwn() bool { return w.keepsOwn }

func (w *world) ValidateOwn(ctx context.Context, accountID, code string) login.Answer {
	a := w.Validate(ctx, "own of "+accountID[:3], code)
	a.NotEnrolled = w.validates == policy.Off
	return a
}

func (w *world) Spend(_ context.Context, accountID, token string, right bool) {
	w.spent = append(w.spent, fmt.Sprint(accountID == account, " ", token, " ", right))
}

// coded is a scene with ana enrolled for everything, who types 123456.
func coded(otp policy.Code) (*world, *login.Login) {
	w, l := scene()
	w.pairings["ana"] = login.Pairing{User: "ana", AccountID: account, UID: 1000}
	w.enrolled = map[string]login.Enrolment{"ana": {User: "ana", Enrolled: true, Local: true, Server: true}}
	w.reply, w.proof, w.validates = "123456", policy.ProofRight, policy.On
	l.Settings.Policies.Code = otp
	l.Settings.LocalCode = time.Millisecond
	return w, l
}

func TestCodes(t *testing.T) {
	const here, there, own = "here 123456", "totp of ana 123456", "own of acc 123456"
	for name, c := range map[string]struct {
		otp     policy.Code
		change  func(*world, *login.Login)
		reason  policy.Reason
		opens   bool
		checked []string
	}{
		"right":           {policy.LocalCode, nil, "open-otp", true, []string{here}},
		"wrong":           {policy.LocalCode, func(w *world, _ *login.Login) { w.proof = policy.ProofWrong }, policy.CodeWrong, false, []string{here}},
		"used":            {policy.LocalCode, func(w *world, _ *login.Login) { w.proof = policy.ProofUsed }, policy.CodeUsed, false, []string{here}},
		"paused":          {policy.LocalCode, func(w *world, _ *login.Login) { w.proof = policy.ProofPaused }, policy.CodePaused, false, []string{here}},
		"store fails":     {policy.LocalCode, func(w *world, _ *login.Login) { w.proof = policy.ProofFailed }, policy.CodeFailed, false, []string{here}},
		"cannot be read":  {policy.LocalCode, func(w *world, _ *login.Login) { w.noStore = errors.New("damaged") }, policy.CodeFailed, false, nil},
		"bypassed":        {policy.LocalCode, func(w *world, _ *login.Login) { w.enrolled["ana"] = login.Enrolment{Bypassed: true} }, "open-otp-excused", true, nil},
		"cannot be asked": {policy.LocalCode, func(w *world, _ *login.Login) { w.cannotAsk = true }, policy.CodeNotAsked, false, nil},
		"nothing typed":   {policy.LocalCode, func(w *world, _ *login.Login) { w.reply = "" }, policy.CodeNotAsked, false, nil},
		"closed":          {policy.LocalCode, func(w *world, _ *login.Login) { w.answers[0].Kind = policy.Off }, "closed", false, nil},
		"account phase":   {policy.LocalCode, func(_ *world, l *login.Login) { l.Request.Account = true }, "open", true, nil},
		"another spelling": {policy.LocalCode, func(_ *world, l *login.Login) {
			l.Request.NSS, l.Request.User = login.NSSUnknown, " ANA"
		}, "open-otp", true, []string{here}},

		"server: right": {policy.ServerCode, nil, "open-otp", true, []string{there}},
		"server: wrong": {policy.ServerCode, func(w *world, _ *login.Login) { w.validates = policy.Off }, policy.CodeWrong, false, []string{there}},
		"server: own":   {policy.ServerCode, func(w *world, _ *login.Login) { w.enrolled, w.keepsOwn = nil, true }, "open-otp", true, []string{own}},
		"server: no own": {policy.ServerCode, func(w *world, l *login.Login) {
			w.enrolled, w.keepsOwn, w.validates, l.Settings.Policies.OnError = nil, true, policy.Off, policy.Open
		}, policy.CodeUnknown, false, []string{own}},
		"server: recovery here, own there": {policy.ServerCode, func(w *world, _ *login.Login) {
			w.enrolled["ana"], w.keepsOwn = login.Enrolment{Local: true}, true
		}, "open-otp", true, []string{own}},
		"server: silent, open": {policy.ServerCode, func(w *world, _ *login.Login) { w.validates = policy.NoAnswer }, "no-answer-open-otp", true, []string{there, here}},
		"server: silent, nothing here": {policy.ServerCode, func(w *world, _ *login.Login) {
			w.validates, w.enrolled["ana"] = policy.NoAnswer, login.Enrolment{User: "ana", Enrolled: true, Server: true}
		}, policy.CodeUnknown, false, []string{there}},
		"server: silent, close": {policy.ServerCode, func(w *world, l *login.Login) {
			w.validates, l.Settings.Policies.Action = policy.NoAnswer, policy.Close
		}, "no-answer-close", false, []string{there}},
		"server: silent, last": {policy.ServerCode, func(w *world, l *login.Login) {
			w.validates, l.Settings.Policies.Action = policy.NoAnswer, policy.Last
		}, "no-answer-last-open-otp", true, []string{there, here}},
		"server: silent, otp": {policy.ServerCode, func(w *world, l *login.Login) {
			w.validates, l.Settings.Policies.Action = policy.NoAnswer, policy.OTP
		}, "no-answer-otp", true, []string{there, here}},
		"server: silent, otp, wrong": {policy.ServerCode, func(w *world, l *login.Login) {
			w.validates, l.Settings.Policies.Action, w.proof = policy.NoAnswer, policy.OTP, policy.ProofWrong
		}, policy.CodeWrong, false, []string{there, here}},
		"server: error": {policy.ServerCode, func(w *world, _ *login.Login) { w.validates = policy.ErrorAnswer }, "error-close", false, []string{there}},
		"server: held up here": {policy.ServerCode, func(w *world, l *login.Login) {
			w.validates, l.Settings.Policies.OnError = policy.LocalFailure, policy.Open
		}, policy.Local, false, []string{there}},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := coded(c.otp)
			if c.change != nil {
				c.change(w, l)
			}
			o, err := l.Run(t.Context())
			if err != nil || (o.Verdict == policy.Success) != c.opens || o.Reason != c.reason || o.Code != policy.NoCode {
				t.Errorf("%+v, error %v; want %q", o, err, c.reason)
			}
			if !slices.Equal(w.checked, c.checked) || w.unbounded > 0 {
				t.Errorf("checked %q, %d without a deadline", w.checked, w.unbounded)
			}
			if uid := map[login.NSS]int64{login.NSSFound: 1000, login.NSSUnknown: -1}[l.Request.NSS]; slices.ContainsFunc(w.uids, func(u int64) bool { return u != uid }) {
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
	for answer, reason := range map[policy.Answer]policy.Reason{policy.NoAnswer: "no-answer-otp", policy.ErrorAnswer: "error-otp",
		policy.BadCertificate: "bad-certificate-otp", policy.NotPaired: "unpaired-by-server-otp"} {
		policies := policy.Policies{Action: policy.OTP, OnError: policy.OTP, UnpairedByServer: policy.OTP}
		w, l := coded(policy.NoCode)
		l.Settings.Policies, w.answers[0] = policies, login.Answer{Kind: answer, Detail: "why"}
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != policy.Success || o.Reason != reason || o.Detail != "why; typed here" {
			t.Errorf("%+v, error %v; want %q", o, err, reason)
		}
		w, l = coded(policy.NoCode)
		l.Settings.Policies, w.answers[0].Kind, w.proof = policies, answer, policy.ProofWrong
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != policy.Refuse || o.Reason != policy.CodeWrong || len(w.prompts) != 1 {
			t.Errorf("wrong code: %+v, error %v, prompts %q", o, err, w.prompts)
		}
		w, l = coded(policy.NoCode)
		l.Settings.Policies, w.answers[0].Kind, l.Request.Account = policies, answer, true
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != policy.Refuse || o.Reason != policy.CodeNotAsked || len(w.prompts) != 0 {
			t.Errorf("account phase: %+v, error %v, prompts %q", o, err, w.prompts)
		}
		w.enrolled["ana"] = login.Enrolment{Bypassed: true}
		if o, err := l.Run(t.Context()); err != nil || o.Verdict != policy.Success || o.Reason != reason+"-excused" {
			t.Errorf("account phase, excused: %+v, error %v", o, err)
		}
	}
}

// TestHostGoneAtACode: nobody is left to hear a verdict.
func TestHostGoneAtACode(t *testing.T) {
	w, l := coded(policy.LocalCode)
	w.hostGone = errors.New("gone")
	if o, err := l.Run(t.Context()); err == nil || o.Verdict != policy.Refuse || len(w.checked) != 0 {
		t.Errorf("%+v, checked %q", o, w.checked)
	}
}
