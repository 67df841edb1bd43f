// Package gate decides. From the policy of latch.conf and the facts of one login it derives the verdict and the
// reason, as a pure and total function: no I/O, no clock, no case without an answer. Whatever it does not
// know refuses.
package gate

// Verdict is what the host is told.
type Verdict int8

// Verdicts. The zero value refuses.
const (
	Refuse  Verdict = iota
	Success         // let in
	Ignore          // not our user, and nothing else
)

// Reason is one stable word for the log.
type Reason string

// Answer is what is known of the server's answer.
type Answer int8

// Answers. The zero value is a local failure.
const (
	LocalFailure   Answer = iota
	On                    // a well-formed "on"
	Off                   // a well-formed "off"
	NoAnswer              // refused, reset, unreachable, timed out, name server silent, 5xx
	ErrorAnswer           // it answered with an error, or with something that is no answer
	BadCertificate        // its certificate does not verify
	NotPaired             // error 201
)

// Policy is what to do where the server gave no verdict.
type Policy int8

// Policies. The zero value refuses.
const (
	Close Policy = iota
	Open
	Last // as seen last; for Action alone
)

// Policies are the four choices of latch.conf.
type Policies struct {
	Action, OnError, Unpaired, UnpairedByServer Policy
}

// Seen is what this machine saw of a latch the last time that the server said.
type Seen int8

// What was seen. Never counts as closed.
const (
	Never Seen = iota
	SeenOpen
	SeenClosed
)

// Decision is a verdict with its reason. Code says that the server's one-time token must be typed first.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Code    bool
}

// Reasons that no server answer leads to.
const (
	ExemptUser     Reason = "exempt-user"
	ExemptGroup    Reason = "exempt-group"
	ExemptService  Reason = "exempt-service"
	SkippedService Reason = "skipped-service"
	UnpairedOpen   Reason = "unpaired-open"
	UnpairedClose  Reason = "unpaired-close"
	UIDChanged     Reason = "uid-changed"
	NSSFailed      Reason = "nss-failed"
	NSSDisagrees   Reason = "nss-disagrees"
	BadConfig      Reason = "bad-config"
	BadPairings    Reason = "bad-pairings"
	BadRequest     Reason = "bad-request"
	HostGone       Reason = "host-gone"
	Local          Reason = "local-failure"
	CodeWrong      Reason = "otp-wrong"
	CodeExpired    Reason = "otp-expired"
	CodeNotAsked   Reason = "otp-cannot-ask"
	CodeRight      Reason = "open-otp"
)

// Exempt is the decision for somebody who is never asked about.
func Exempt(why Reason) Decision { return Decision{Verdict: Ignore, Reason: why} }

// Failed is the decision for what went wrong on this machine: it never opens.
func Failed(why Reason) Decision { return Decision{Verdict: Refuse, Reason: why} }

// NotOurs decides about a user without a pairing here.
func NotOurs(p Policies) Decision {
	if p.Unpaired == Open {
		return Decision{Verdict: Ignore, Reason: UnpairedOpen}
	}
	return Decision{Verdict: Refuse, Reason: UnpairedClose}
}

// Answered decides about a paired user. token tells that the server sent a one-time token that this login
// must ask for; seen is what an earlier answer was.
func Answered(p Policies, a Answer, seen Seen, token bool) Decision {
	switch a {
	case On:
		return Decision{Verdict: Success, Reason: "open", Code: token}
	case Off:
		return Decision{Verdict: Refuse, Reason: "closed"}
	case NoAnswer:
		return noAnswer(p.Action, seen)
	case ErrorAnswer:
		return choose(p.OnError, "error")
	case BadCertificate:
		return choose(p.OnError, "bad-certificate")
	case NotPaired:
		return choose(p.UnpairedByServer, "unpaired-by-server")
	}
	return Failed(Local)
}

func noAnswer(action Policy, seen Seen) Decision {
	if action != Last {
		return choose(action, "no-answer")
	}
	switch seen {
	case SeenOpen:
		return Decision{Verdict: Success, Reason: "no-answer-last-open"}
	case SeenClosed:
		return Decision{Verdict: Refuse, Reason: "no-answer-last-closed"}
	}
	return Decision{Verdict: Refuse, Reason: "no-answer-never-seen"}
}

func choose(p Policy, what Reason) Decision {
	if p == Open {
		return Decision{Verdict: Success, Reason: what + "-open"}
	}
	return Decision{Verdict: Refuse, Reason: what + "-close"}
}
