package otpstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
)

// maxTyped is the most that a person can mean, in bytes.
const maxTyped = 64

// Result is what came of a code.
type Result int8

// Results. The zero value opens nothing.
const (
	Failed        Result = iota // nothing was compared; counted as nothing
	Wrong                       // counted as a failure
	Replayed                    // right once; counted as a failure
	Paused                      // not compared: too many failures from this address
	DayFull                     // not compared: too many failures of this user today
	Expired                     // no recovery code, and the authenticator has ended
	RightCode                   // used up
	RightRecovery               // used up
)

// Try is what a person typed, and where.
type Try struct {
	User      string
	UID       int64  // -1 where it is not known
	Address   string // of AddressKey
	Typed     string
	Unlimited bool // root's own check: failures are neither counted nor limited
	Recovery  bool // recovery codes alone
	// App is the application whose server checks the code, through Ask; "" lets the authenticator of this machine do it. Ask
	// returns RightCode, Wrong, or Failed where the server did not say. The user's other logins wait meanwhile. The id is "" for
	// a user of whom this machine knows none: the person may have enrolled at the server.
	App string
	Ask func(id, code string) Result
}

// Used is a Result with what the log shall say besides.
type Used struct {
	Result
	Left  int       // recovery codes, with RightRecovery
	Until time.Time // with Paused
}

// Use checks a code and uses it up in one step, and counts a failure. The disk has it before Use returns. It waits for other
// logins of the same user as long as ctx allows; any error means that nothing is right.
func (s Store) Use(ctx context.Context, t Try) (Used, error) {
	// Who is paused takes no lock and writes nothing, so that guessing on is no way to keep the user out.
	if r, err := s.Load(t.User); err != nil {
		return Used{}, err
	} else if now := s.Now().Unix(); !t.Unlimited && !r.Guesses.settle(now) {
		if until := r.Guesses.pausedUntil(t.Address, now); until > 0 {
			return Used{Result: Paused, Until: time.Unix(until, 0)}, nil
		}
	}
	var used Used
	err := s.change(ctx, t.User, false, func(r *Record) (write bool, err error) {
		if r.BelongsToOtherUID(t.UID) {
			return false, errors.New("the one-time passwords are another user's, who had the name")
		}
		used, write = s.use(r, t)
		return write, nil
	})
	if err != nil {
		return Used{}, err
	}
	return used, nil
}

// use decides about a record that is locked.
func (s Store) use(r *Record, t Try) (used Used, write bool) {
	now := s.Now()
	settled := r.Guesses.settle(now.Unix())
	if until := r.Guesses.pausedUntil(t.Address, now.Unix()); until > 0 && !t.Unlimited {
		return Used{Result: Paused, Until: time.Unix(until, 0)}, settled
	}
	if normal, ok := otp.NormalRecovery(t.Typed); ok {
		used = s.useRecovery(r, normal)
	} else if r.Guesses.dayIsFull(t.Address) && !t.Unlimited {
		return Used{Result: DayFull}, settled
	} else {
		used = s.useCode(r, t)
	}
	switch {
	case used.Result == Failed, used.Result == Expired && !isEmergency(t.Typed): // nothing was compared
		return used, settled
	case used.Result == RightCode || used.Result == RightRecovery:
		if !t.Unlimited {
			r.Guesses.succeeded(t.Address)
		}
	case t.Unlimited:
		return used, false
	default:
		r.Guesses.failed(t.Address, now.Unix())
	}
	return used, true
}

// digitsOf takes the blanks and hyphens out of a code; what is too long is none.
func digitsOf(typed string) string {
	if len(typed) > maxTyped {
		return ""
	}
	return strings.NewReplacer(" ", "", "-", "").Replace(typed)
}

// IsRecovery tells whether this could be a recovery code.
func IsRecovery(typed string) bool {
	_, ok := otp.NormalRecovery(typed)
	return ok || isEmergency(typed)
}

// isEmergency tells whether this could be an emergency code of google-authenticator's.
func isEmergency(typed string) bool {
	digits := digitsOf(typed)
	return len(digits) == 8 && strings.Trim(digits, "0123456789") == ""
}

// AskServer lets the server check a code of a user of whom this machine keeps nothing.
func AskServer(t Try) Result { return (Store{}).useRemote(nil, digitsOf(t.Typed), t.Ask) }

// useCode checks a code, and an emergency code of google-authenticator's, which is as long as some.
func (s Store) useCode(r *Record, t Try) Used {
	typed := digitsOf(t.Typed)
	if isEmergency(typed) {
		if used := s.useRecovery(r, typed); used.Result == RightRecovery {
			return used
		}
	}
	if t.Recovery {
		return Used{Result: Wrong}
	}
	if t.App != "" {
		return Used{Result: s.useRemote(r.Remotes[t.App], typed, t.Ask)}
	}
	a := r.Authenticator
	switch {
	case a == nil:
		return Used{Result: Wrong}
	case s.Expired(a):
		return Used{Result: Expired}
	}
	n, found := a.Find(a.Secret, typed, s.Now(), a.Next, s.WindowOf(a))
	switch found {
	case otp.Right:
		a.Next, a.LastUsed = n+1, s.Now().Unix()
		return Used{Result: RightCode}
	case otp.Used:
		return Used{Result: Replayed}
	}
	return Used{Result: Wrong}
}

// useRemote lets the server check what can be a code.
func (s Store) useRemote(m *Remote, typed string, ask func(id, code string) Result) Result {
	switch {
	case typed == "" || len(typed) > 10 || strings.Trim(typed, "0123456789") != "":
		return Wrong
	case m == nil:
		return ask("", typed)
	case m.isSpent(typed, s.Now()):
		return Replayed
	}
	result := ask(m.ID, typed)
	if result == RightCode {
		m.spend(typed, s.Now())
	}
	return result
}

// useRecovery strikes a recovery code out.
func (s Store) useRecovery(r *Record, normal string) Used {
	v := r.Recovery
	if v == nil {
		return Used{Result: Wrong}
	}
	i := otp.FindRecovery(v.Key, v.Hashes, normal)
	if i < 0 {
		return Used{Result: Wrong}
	}
	v.Hashes = slices.Delete(v.Hashes, i, i+1)
	v.LastUsed = s.Now().Unix()
	return Used{Result: RightRecovery, Left: len(v.Hashes)}
}
