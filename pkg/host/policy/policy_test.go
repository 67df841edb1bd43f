package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/host/policy"
)

var (
	policies = map[string]policy.Policy{"open": policy.Open, "close": policy.Close, "last": policy.Last, "otp": policy.OTP, "99": 99}
	answers  = map[string]policy.Answer{"local": policy.LocalFailure, "on": policy.On, "off": policy.Off, "none": policy.NoAnswer,
		"error": policy.ErrorAnswer, "certificate": policy.BadCertificate, "201": policy.NotPaired, "99": 99}
	sightings = map[string]policy.Seen{"never": policy.Never, "open": policy.SeenOpen, "closed": policy.SeenClosed, "99": 99}
)

// table is the specification: one line per answer and the policy that decides about it.
const table = `
on           -      -       success  open
off          -      -       refuse   closed
local        -      -       refuse   local-failure
99           -      -       refuse   local-failure
none         open   -       success  no-answer-open
none         otp    -       ask      no-answer
none         close  -       refuse   no-answer-close
none         99     -       refuse   no-answer-close
none         last   open    success  no-answer-last-open
none         last   closed  refuse   no-answer-last-closed
none         last   never   refuse   no-answer-never-seen
none         last   99      refuse   no-answer-never-seen
error        open   -       success  error-open
error        otp    -       ask      error
error        close  -       refuse   error-close
error        last   -       refuse   error-close
certificate  open   -       success  bad-certificate-open
certificate  otp    -       ask      bad-certificate
certificate  close  -       refuse   bad-certificate-close
certificate  last   -       refuse   bad-certificate-close
201          open   -       success  unpaired-by-server-open
201          otp    -       ask      unpaired-by-server
201          close  -       refuse   unpaired-by-server-close
201          last   -       refuse   unpaired-by-server-close
`

// TestEveryCombination runs all policies, answers and sightings, and holds each against the one line that
// decides about it: what a line leaves out must not matter.
func TestEveryCombination(t *testing.T) {
	cases := 0
	for answerName, answer := range answers {
		for action, a := range policies {
			for onError, e := range policies {
				for byServer, b := range policies {
					for seenName, seen := range sightings {
						p := policy.Policies{Action: a, OnError: e, UnpairedByServer: b, Unpaired: policy.Close}
						deciding := map[string]string{"none": action, "error": onError, "certificate": onError, "201": byServer}[answerName]
						want := lookUp(t, answerName, deciding, seenName)
						got := policy.Answered(p, answer, seen, false)
						if words(got) != want {
							t.Errorf("%s, action %s, on_error %s, unpaired_by_server %s, seen %s: %s, want %s",
								answerName, action, onError, byServer, seenName, words(got), want)
						}
						cases++
					}
				}
			}
		}
	}
	if want := 8 * 5 * 5 * 5 * 4; cases != want {
		t.Errorf("%d cases, want %d", cases, want)
	}
}

func lookUp(t *testing.T, answer, action, seen string) string {
	t.Helper()
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) != 5 || f[0] != answer {
			continue
		}
		if action == "99" && answer != "none" {
			action = "close" // an unknown policy refuses
		}
		if (f[1] == "-" || f[1] == action) && (f[2] == "-" || f[2] == seen) {
			return f[3] + " " + f[4]
		}
	}
	t.Fatalf("the table has no line for %s %s %s", answer, action, seen)
	return ""
}

// words are the verdict and the reason; "ask" refuses unless a code of this machine's is right.
func words(d policy.Decision) string {
	if d.Code == policy.LocalCode && d.Verdict == policy.Refuse {
		return fmt.Sprint("ask ", d.Reason)
	}
	return fmt.Sprint(map[policy.Verdict]string{policy.Refuse: "refuse", policy.Success: "success", policy.Ignore: "ignore"}[d.Verdict], " ", d.Reason)
}

// TestEveryWayInAsks: whatever opens without the key otp asks for a code with it, and what refuses goes on refusing. The one
// exception is a token that the server did not send.
func TestEveryWayInAsks(t *testing.T) {
	for name, answer := range answers {
		for _, action := range policies {
			for _, token := range []bool{false, true} {
				for _, required := range []bool{false, true} {
					for _, code := range []policy.Code{policy.TokenCode, policy.LocalCode, policy.ServerCode, 99} {
						p := policy.Policies{Action: action, OnError: action, UnpairedByServer: action}
						bare := policy.Answered(p, answer, policy.SeenOpen, token)
						p.Code, p.Required = code, required
						d := policy.Answered(p, answer, policy.SeenOpen, token)
						if bare.Verdict == policy.Refuse || code == policy.TokenCode && !required && !(token && answer == policy.On) {
							if d != bare {
								t.Errorf("%s, policy %d, otp %d: %+v, without otp %+v", name, action, code, d, bare)
							}
							continue
						}
						if d.Verdict != policy.Refuse || d.Code == policy.NoCode || d.Reason != bare.Reason {
							t.Errorf("%s, policy %d, otp %d, token %v: %+v opens without a code", name, action, code, token, d)
						}
						if required && d.IfNotEnrolled != policy.Refuse {
							t.Errorf("%s, policy %d, otp %d: who is not enrolled gets %v", name, action, code, d.IfNotEnrolled)
						}
					}
				}
			}
		}
	}
}

// TestCoded: the right code opens a decision that asks for one, and nothing else does; who is not enrolled gets what the decision
// spares them.
func TestCoded(t *testing.T) {
	reasons := map[policy.Proof]policy.Reason{policy.ProofFailed: policy.CodeFailed, policy.ProofWrong: policy.CodeWrong, policy.ProofUsed: policy.CodeUsed,
		policy.ProofExpired: policy.CodeExpired, policy.ProofNotAsked: policy.CodeNotAsked, policy.ProofNotEnrolled: policy.CodeUnknown,
		policy.ProofWrongKind: policy.CodeUnknown, policy.ProofPaused: policy.CodePaused, 99: policy.CodeFailed,
		policy.ProofRight: "x-otp", policy.ProofBypassed: "x-otp-excused"}
	for proof, reason := range reasons {
		for _, code := range []policy.Code{policy.NoCode, policy.TokenCode, policy.LocalCode, policy.ServerCode, 99} {
			for _, ifNotEnrolled := range []policy.Verdict{policy.Refuse, policy.Success, policy.Ignore} {
				want := policy.Decision{Reason: reason}
				switch opens := proof == policy.ProofRight || proof == policy.ProofBypassed; {
				case opens && code == policy.NoCode:
					want.Reason = policy.CodeFailed
				case opens:
					want.Verdict = policy.Success
				case proof == policy.ProofNotEnrolled && code != policy.NoCode && ifNotEnrolled != policy.Refuse:
					want = policy.Decision{Verdict: ifNotEnrolled, Reason: "x"}
				}
				if got := policy.Coded(policy.Decision{Reason: "x", Code: code, IfNotEnrolled: ifNotEnrolled}, proof); got != want {
					t.Errorf("proof %d, code %d, ifNotEnrolled %d: %+v, want %+v", proof, code, ifNotEnrolled, got, want)
				}
			}
		}
	}
}

// TestIgnoreMeansNotOurUser finds the only decisions that step aside.
func TestIgnoreMeansNotOurUser(t *testing.T) {
	for name, answer := range answers {
		for _, seen := range sightings {
			open := policy.Policies{Action: policy.Open, OnError: policy.Open, Unpaired: policy.Open, UnpairedByServer: policy.Open}
			if d := policy.Answered(open, answer, seen, false); d.Verdict == policy.Ignore {
				t.Errorf("%s is ignored", name)
			}
		}
	}
	if d := policy.NotOurs(policy.Policies{Unpaired: policy.Open}); d.Verdict != policy.Ignore {
		t.Errorf("unpaired = open gives %v", d)
	}
	for _, p := range []policy.Policy{policy.Close, policy.Last, policy.OTP, 99} {
		if d := policy.NotOurs(policy.Policies{Unpaired: p}); d.Verdict != policy.Refuse {
			t.Errorf("unpaired = %d gives %v", p, d)
		}
	}
	if d := policy.Failed(policy.NSSFailed); d.Verdict != policy.Refuse {
		t.Errorf("a local failure gives %v", d)
	}
	var zero policy.Decision
	if zero.Verdict != policy.Refuse {
		t.Error("a decision that nobody made does not refuse")
	}
}
