package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/gate"
)

var (
	policies = map[string]gate.Policy{"open": gate.Open, "close": gate.Close, "last": gate.Last, "otp": gate.OTP, "99": 99}
	answers  = map[string]gate.Answer{"local": gate.LocalFailure, "on": gate.On, "off": gate.Off, "none": gate.NoAnswer,
		"error": gate.ErrorAnswer, "certificate": gate.BadCertificate, "201": gate.NotPaired, "99": 99}
	sightings = map[string]gate.Seen{"never": gate.Never, "open": gate.SeenOpen, "closed": gate.SeenClosed, "99": 99}
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
						p := gate.Policies{Action: a, OnError: e, UnpairedByServer: b, Unpaired: gate.Close}
						deciding := map[string]string{"none": action, "error": onError, "certificate": onError, "201": byServer}[answerName]
						want := lookUp(t, answerName, deciding, seenName)
						got := gate.Answered(p, answer, seen, false)
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

func lookUp(t *testing.T, answer, policy, seen string) string {
	t.Helper()
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) != 5 || f[0] != answer {
			continue
		}
		if policy == "99" && answer != "none" {
			policy = "close" // an unknown policy refuses
		}
		if (f[1] == "-" || f[1] == policy) && (f[2] == "-" || f[2] == seen) {
			return f[3] + " " + f[4]
		}
	}
	t.Fatalf("the table has no line for %s %s %s", answer, policy, seen)
	return ""
}

// words are the verdict and the reason; "ask" refuses unless a code of this machine's is right.
func words(d gate.Decision) string {
	if d.Code == gate.LocalCode && d.Verdict == gate.Refuse {
		return fmt.Sprint("ask ", d.Reason)
	}
	return fmt.Sprint(map[gate.Verdict]string{gate.Refuse: "refuse", gate.Success: "success", gate.Ignore: "ignore"}[d.Verdict], " ", d.Reason)
}

// TestEveryWayInAsks: whatever opens without the key otp asks for a code with it, and what refuses goes on refusing. The one
// exception is a token that the server did not send.
func TestEveryWayInAsks(t *testing.T) {
	for name, answer := range answers {
		for _, policy := range policies {
			for _, token := range []bool{false, true} {
				for _, required := range []bool{false, true} {
					for _, code := range []gate.Code{gate.TokenCode, gate.LocalCode, gate.ServerCode, 99} {
						p := gate.Policies{Action: policy, OnError: policy, UnpairedByServer: policy}
						bare := gate.Answered(p, answer, gate.SeenOpen, token)
						p.Code, p.Required = code, required
						d := gate.Answered(p, answer, gate.SeenOpen, token)
						if bare.Verdict == gate.Refuse || code == gate.TokenCode && !required && !(token && answer == gate.On) {
							if d != bare {
								t.Errorf("%s, policy %d, otp %d: %+v, without otp %+v", name, policy, code, d, bare)
							}
							continue
						}
						if d.Verdict != gate.Refuse || d.Code == gate.NoCode || d.Reason != bare.Reason {
							t.Errorf("%s, policy %d, otp %d, token %v: %+v opens without a code", name, policy, code, token, d)
						}
						if required && d.Spared != gate.Refuse {
							t.Errorf("%s, policy %d, otp %d: who is not enrolled gets %v", name, policy, code, d.Spared)
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
	reasons := map[gate.Proof]gate.Reason{gate.ProofFailed: gate.CodeFailed, gate.ProofWrong: gate.CodeWrong, gate.ProofUsed: gate.CodeUsed,
		gate.ProofExpired: gate.CodeExpired, gate.ProofNotAsked: gate.CodeNotAsked, gate.ProofNotEnrolled: gate.CodeUnknown,
		gate.ProofUnfit: gate.CodeUnknown, gate.ProofPaused: gate.CodePaused, 99: gate.CodeFailed,
		gate.ProofRight: "x-otp", gate.ProofExcused: "x-otp-excused"}
	for proof, reason := range reasons {
		for _, code := range []gate.Code{gate.NoCode, gate.TokenCode, gate.LocalCode, gate.ServerCode, 99} {
			for _, spared := range []gate.Verdict{gate.Refuse, gate.Success, gate.Ignore} {
				want := gate.Decision{Reason: reason}
				switch opens := proof == gate.ProofRight || proof == gate.ProofExcused; {
				case opens && code == gate.NoCode:
					want.Reason = gate.CodeFailed
				case opens:
					want.Verdict = gate.Success
				case proof == gate.ProofNotEnrolled && code != gate.NoCode && spared != gate.Refuse:
					want = gate.Decision{Verdict: spared, Reason: "x"}
				}
				if got := gate.Coded(gate.Decision{Reason: "x", Code: code, Spared: spared}, proof); got != want {
					t.Errorf("proof %d, code %d, spared %d: %+v, want %+v", proof, code, spared, got, want)
				}
			}
		}
	}
}

// TestIgnoreMeansNotOurUser finds the only decisions that step aside.
func TestIgnoreMeansNotOurUser(t *testing.T) {
	for name, answer := range answers {
		for _, seen := range sightings {
			open := gate.Policies{Action: gate.Open, OnError: gate.Open, Unpaired: gate.Open, UnpairedByServer: gate.Open}
			if d := gate.Answered(open, answer, seen, false); d.Verdict == gate.Ignore {
				t.Errorf("%s is ignored", name)
			}
		}
	}
	if d := gate.NotOurs(gate.Policies{Unpaired: gate.Open}); d.Verdict != gate.Ignore {
		t.Errorf("unpaired = open gives %v", d)
	}
	for _, p := range []gate.Policy{gate.Close, gate.Last, gate.OTP, 99} {
		if d := gate.NotOurs(gate.Policies{Unpaired: p}); d.Verdict != gate.Refuse {
			t.Errorf("unpaired = %d gives %v", p, d)
		}
	}
	if d := gate.Failed(gate.NSSFailed); d.Verdict != gate.Refuse {
		t.Errorf("a local failure gives %v", d)
	}
	var zero gate.Decision
	if zero.Verdict != gate.Refuse {
		t.Error("a decision that nobody made does not refuse")
	}
}
