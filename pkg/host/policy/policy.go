// Package policy decides. From the policy of latch.conf and the facts of one login it derives the verdict and the
// reason, as a pure and total function: no I/O, no clock, no case without an answer. Whatever it does not
// know refuses.
package policy

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
	OTP  // ask for a code of this machine's
)

// Code is what a person must type.
type Code int8

// Codes.
const (
	NoCode     Code = iota
	TokenCode       // the one-time token that the Latch server sent with its answer
	LocalCode       // of the authenticator that this machine knows, or a recovery code
	ServerCode      // of the authenticator that the Latch server knows, or a recovery code
)

// Policies are the choices of latch.conf.
type Policies struct {
	Action, OnError, Unpaired, UnpairedByServer Policy
	Code                                        Code // what every way in asks for besides, of whoever is enrolled
	Required                                    bool // who has nothing to type is refused
}

// Seen is what this machine saw of a latch the last time that the server said.
type Seen int8

// What was seen. Never counts as closed.
const (
	Never Seen = iota
	SeenOpen
	SeenClosed
)

// Decision is a verdict with its reason. One with a Code refuses until Coded has heard what came of asking for it; its reason is
// the one of the way in that the code guards.
type Decision struct {
	Verdict       Verdict
	Reason        Reason
	Code          Code
	IfNotEnrolled Verdict // with a Code: the verdict for an unenrolled user
}

// Reasons that no server answer leads to.
const (
	ExemptUser     Reason = "exempt-user"
	ExemptGroup    Reason = "exempt-group"
	ExemptService  Reason = "exempt-service"
	SkippedService Reason = "skipped-service"
	ScreenLocker   Reason = "screen-locker"
	UnpairedOpen   Reason = "unpaired-open"
	UnpairedClose  Reason = "unpaired-close"
	UIDChanged     Reason = "uid-changed"
	NSSFailed      Reason = "nss-failed"
	NSSDisagrees   Reason = "nss-disagrees"
	BadConfig      Reason = "bad-config"
	HostNotRoot    Reason = "host-not-root"
	BadPairings    Reason = "bad-pairings"
	BadRequest     Reason = "bad-request"
	HostGone       Reason = "host-gone"
	Local          Reason = "local-failure"
	CodeWrong      Reason = "otp-wrong"
	CodeExpired    Reason = "otp-expired"
	CodeNotAsked   Reason = "otp-cannot-ask"
	CodeUsed       Reason = "otp-used"
	CodePaused     Reason = "otp-paused"
	CodeUnknown    Reason = "otp-not-enrolled"
	CodeFailed     Reason = "otp-failure"
)

// What a right code and a bypass add to the reason of the way in.
const (
	byCode   Reason = "-otp"
	byBypass Reason = "-otp-excused"
)

// Proof is what came of asking for a code.
type Proof int8

// Proofs. The zero value is a failure of this machine.
const (
	ProofFailed      Proof = iota
	ProofRight             // and used up
	ProofBypassed          // by root, for a while: nobody was asked
	ProofWrong             // no code of this person's now
	ProofUsed              // right once before
	ProofExpired           // too old
	ProofNotAsked          // nobody could be asked, or nothing was typed
	ProofNotEnrolled       // nothing is kept of this person
	ProofWrongKind         // the user's record is for codes of another kind
	ProofPaused            // not looked at, after too many that were wrong
)

// Coded decides about a login that asked for a code, by what came of it.
func Coded(d Decision, p Proof) Decision {
	why := map[Proof]Reason{ProofWrong: CodeWrong, ProofUsed: CodeUsed, ProofExpired: CodeExpired, ProofNotAsked: CodeNotAsked,
		ProofNotEnrolled: CodeUnknown, ProofWrongKind: CodeUnknown, ProofPaused: CodePaused}[p]
	switch {
	case d.Code != NoCode && p == ProofRight:
		return Decision{Verdict: Success, Reason: d.Reason + byCode}
	case d.Code != NoCode && p == ProofBypassed:
		return Decision{Verdict: Success, Reason: d.Reason + byBypass}
	case d.Code != NoCode && p == ProofNotEnrolled && d.IfNotEnrolled != Refuse:
		return Decision{Verdict: d.IfNotEnrolled, Reason: d.Reason}
	case why == "":
		why = CodeFailed
	}
	return Failed(why)
}

// Exempt is the decision for somebody who is never asked about.
func Exempt(why Reason) Decision { return Decision{Verdict: Ignore, Reason: why} }

// Failed is the decision for what went wrong on this machine: it never opens.
func Failed(why Reason) Decision { return Decision{Verdict: Refuse, Reason: why} }

// NotOurs decides about a user without a pairing here.
func NotOurs(p Policies) Decision {
	if p.Unpaired != Open {
		return Decision{Verdict: Refuse, Reason: UnpairedClose}
	}
	return p.guard(Decision{Verdict: Ignore, Reason: UnpairedOpen}, true, false)
}

// Answered decides about a paired user. token tells that the server sent a one-time token; seen is what an earlier
// answer was.
func Answered(p Policies, a Answer, seen Seen, token bool) Decision {
	return p.guard(p.latch(a, seen), a == On || a == NotPaired, a == On && token)
}

// latch decides by the latch alone.
func (p Policies) latch(a Answer, seen Seen) Decision {
	switch a {
	case On:
		return Decision{Verdict: Success, Reason: "open"}
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

// guard puts the code that latch.conf wants before a way in. reached tells that the server could check one, token that it sent one.
func (p Policies) guard(d Decision, reached, token bool) Decision {
	if d.Verdict == Refuse || p.Code == NoCode || p.Code == TokenCode && !token && !p.Required {
		return d
	}
	code, ifNotEnrolled := p.Code, d.Verdict
	if code == ServerCode && !reached || code == TokenCode && !token {
		code = LocalCode
	}
	// Whether somebody is enrolled at the server this machine cannot tell, so it takes the paired for it.
	if p.Required || p.Code == TokenCode || p.Code == ServerCode && d.Verdict == Success {
		ifNotEnrolled = Refuse
	}
	return Decision{Reason: d.Reason, Code: code, IfNotEnrolled: ifNotEnrolled}
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
	switch p {
	case Open:
		return Decision{Verdict: Success, Reason: what + "-open"}
	case OTP:
		return Decision{Reason: what, Code: LocalCode}
	}
	return Decision{Verdict: Refuse, Reason: what + "-close"}
}
