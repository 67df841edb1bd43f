package login_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
)

// tokened is a scene where the server sends the token g4K9wz, and ana has a recovery code.
func tokened() (*world, *login.Login) {
	w, l := coded(policy.TokenCode)
	w.answers[0] = login.Answer{Kind: policy.On, Token: "g4K9wz", Made: now}
	w.enrolled["ana"] = login.Enrolment{User: "ana", Enrolled: true, Local: true, Recovery: true}
	return w, l
}

// TestBesidesTheToken: a recovery code passes at its prompt, and a bypass makes it needless; neither is needed.
func TestBesidesTheToken(t *testing.T) {
	for name, c := range map[string]struct {
		reply   string
		change  func(*world)
		reason  policy.Reason
		warn    bool
		checked []string
	}{
		"recovery code":            {"recovery", nil, openByCode, true, []string{"here recovery"}},
		"token":                    {"g4K9wz", nil, openByCode, false, nil},
		"wrong":                    {"123456", nil, policy.CodeWrong, false, nil},
		"used recovery code":       {"recovery", func(w *world) { w.proof = policy.ProofWrong }, policy.CodeWrong, false, []string{"here recovery"}},
		"no recovery codes":        {"recovery", func(w *world) { w.enrolled = nil }, policy.CodeWrong, false, nil},
		"bypassed":                 {"", func(w *world) { w.enrolled["ana"] = login.Enrolment{User: "ana", Bypassed: true} }, "open-otp-excused", true, nil},
		"unreadable, token":        {"g4K9wz", func(w *world) { w.noStore = errors.New("damaged") }, openByCode, false, nil},
		"unreadable, recovery":     {"recovery", func(w *world) { w.noStore = errors.New("damaged") }, policy.CodeWrong, false, nil},
		"a recovery code too late": {"recovery", func(w *world) { w.time = now.Add(time.Hour) }, openByCode, true, []string{"here recovery"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := tokened()
			w.reply = c.reply
			if c.change != nil {
				c.change(w)
			}
			w.warn = c.warn
			o, err := l.Run(t.Context())
			if err != nil || o.Reason != c.reason || o.Warn != c.warn || !slices.Equal(w.checked, c.checked) || w.unbounded > 0 {
				t.Errorf("%+v, error %v, checked %q", o, err, w.checked)
			}
			if opens := o.Verdict == policy.Success; opens != (c.reason != policy.CodeWrong) {
				t.Errorf("verdict %v", o.Verdict)
			}
		})
	}
}

// TestTypedAhead: where a code is typed before the server is asked, the token of a login that was refused is for the next one, and
// for that one alone.
func TestTypedAhead(t *testing.T) {
	w, l := tokened()
	l.Settings.CodeBeforeStatus = true
	for i, c := range []struct {
		token, reply string
		reason       policy.Reason
		kept         string
	}{
		{"first1", "", policy.CodeNotAsked, "first1"},
		{"secon2", "first1", openByCode, ""},
		{"third3", "first1", policy.CodeWrong, "third3"},
		{"forth4", "000000", policy.CodeWrong, "forth4"},
		{"fifth5", "third3", policy.CodeWrong, "fifth5"},
		{"sixth6", "recovery", openByCode, ""},
		{"seven7", "seven7", openByCode, ""}, // whose host asks after all
	} {
		w.answers[0].Token, w.reply, w.warn, w.spent = c.token, c.reply, c.reply == "recovery", nil
		o, err := l.Run(t.Context())
		if err != nil || o.Reason != c.reason || w.kept != c.kept {
			t.Errorf("login %d: %+v, error %v; kept %q, want %q", i+1, o, err, w.kept, c.kept)
		}
		var spent []string
		switch {
		case c.reason == openByCode && c.reply == "recovery":
			spent = []string{"true " + c.token + " false"}
		case c.reason == openByCode:
			spent = []string{fmt.Sprint("true ", c.reply, " true")}
		}
		if !slices.Equal(w.spent, spent) {
			t.Errorf("login %d: the server was told %q, want %q", i+1, w.spent, spent)
		}
	}
	w.noTokens, w.reply = errors.New("no place"), "g4K9wz"
	if o, err := l.Run(t.Context()); err != nil || o.Verdict != policy.Refuse || o.Reason != policy.CodeFailed {
		t.Errorf("what cannot be taken away: %+v, error %v", o, err)
	}
	w, l = tokened()
	w.kept, w.reply = "first1", "first1"
	if o, err := l.Run(t.Context()); err != nil || o.Reason != policy.CodeWrong || w.kept != "first1" {
		t.Errorf("where the server is asked first: %+v, error %v", o, err)
	}
}
