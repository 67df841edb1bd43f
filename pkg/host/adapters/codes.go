package adapters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/host/policy"
)

// CodeStore is where latch.conf keeps what codes are checked with.
func CodeStore(c *config.Config) otpstore.Store {
	s := otpstore.At(c.StateDir, c.OTPKey)
	s.Window, s.Lifetime, s.Clear, s.RefuseClear = c.OTPWindow, c.OTPLifetime, !c.OTPEncrypt, c.OTPRefuseClear
	return s
}

// Codes checks what somebody typed at an address, as otpstore.AddressKey has it.
type Codes struct {
	Store   otpstore.Store
	App     string // application id; its server checks codes under otp = server-totp
	Address string
}

// NewCodes makes the port that latch.conf describes, for a login over a connection, as otpstore.AddressKey has it.
func NewCodes(c *config.Config, connection string) Codes {
	return Codes{Store: CodeStore(c), App: c.AppID, Address: otpstore.AddressKey(connection)}
}

// NewTokens keeps the server's tokens where latch.conf says.
func NewTokens(c *config.Config) otpstore.Tokens { return otpstore.TokensAt(c.RunDir, login.TokenLife) }

// Find implements login.Codes.
func (c Codes) Find(user string, uid int64) (login.Enrolment, error) {
	r, err := c.load(user, uid)
	switch {
	case errors.Is(err, otpstore.ErrNotEnrolled):
		return login.Enrolment{}, nil
	case err != nil:
		return login.Enrolment{}, err
	case r.BelongsToOtherUID(uid):
		// The name has passed to somebody else, who neither has the codes nor gets in by having none.
		return login.Enrolment{}, fmt.Errorf("the one-time passwords are those of uid %d; run: latch otp remove --user %s", r.UID, r.User)
	}
	left, err := r.Bypass.Left()
	if err != nil {
		return login.Enrolment{}, err
	}
	if left > 0 {
		return login.Enrolment{User: r.User, Bypassed: true,
			Detail: fmt.Sprintf("%s excused the user for %v more: %s", r.Bypass.By, left.Round(time.Minute), r.Bypass.Reason)}, nil
	}
	return c.enrolment(r), nil
}

// enrolment says what a record is good for. Recovery codes that are all used up still tell that their user was enrolled; those that
// came with a TOTP of another application's say nothing of this one.
func (c Codes) enrolment(r *otpstore.Record) login.Enrolment {
	here, there, recovery := r.Authenticator != nil, r.Remotes[c.App] != nil, r.RecoveryLeft() > 0
	expired := here && c.Store.Expired(r.Authenticator)
	e := login.Enrolment{User: r.User, Enrolled: here || there || r.Recovery != nil && len(r.Remotes) == 0,
		Local: recovery || here && !expired, Server: recovery || there, Recovery: recovery, Expired: expired}
	if expired {
		e.Detail = expiredAdvice(r.User)
	}
	return e
}

func expiredAdvice(user string) string {
	return "the authenticator has expired; run: latch otp enroll --replace --user " + user
}

// load reads a user's record. Who has no uid has a name that no name service knows, and a record in any spelling of it.
func (c Codes) load(user string, uid int64) (*otpstore.Record, error) {
	r, err := c.Store.Load(user)
	if uid >= 0 || !errors.Is(err, otpstore.ErrNotEnrolled) {
		return r, err
	}
	names, failed := c.Store.Users()
	if failed != nil {
		return nil, failed
	}
	name, found, failed := pairings.Same(names, user)
	switch {
	case failed != nil:
		return nil, failed
	case !found:
		return nil, err
	}
	return c.Store.Load(name)
}

// Check implements login.Codes.
func (c Codes) Check(ctx context.Context, user string, uid int64, typed string) login.Typed {
	return c.use(ctx, otpstore.Try{User: user, UID: uid, Address: c.Address, Typed: typed})
}

// CheckRecovery implements login.Codes.
func (c Codes) CheckRecovery(ctx context.Context, user string, uid int64, typed string) login.Typed {
	if !otpstore.IsRecovery(typed) {
		return login.Typed{Proof: policy.ProofWrong}
	}
	return c.use(ctx, otpstore.Try{User: user, UID: uid, Address: c.Address, Typed: typed, Recovery: true})
}

// CheckByServer implements login.Codes.
func (c Codes) CheckByServer(ctx context.Context, user string, uid int64, typed string,
	validate func(id, code string) login.Answer) login.Typed {
	var failed *login.Answer
	ask := func(id, code string) otpstore.Result {
		a := validate(id, code)
		switch {
		case a.NotEnrolled:
		case a.Kind == policy.On:
			return otpstore.RightCode
		case a.Kind == policy.Off:
			return otpstore.Wrong
		}
		failed = &a
		return otpstore.Failed
	}
	t := c.use(ctx, otpstore.Try{User: user, UID: uid, Address: c.Address, Typed: typed, App: c.App, Ask: ask})
	switch {
	case failed == nil:
	case failed.NotEnrolled:
		// Who was asked is spared no more.
		return login.Typed{Proof: policy.ProofWrongKind, Detail: "neither is there one that the person enrolled at the server"}
	default:
		t.Unanswered = failed
	}
	return t
}

// check uses up what this machine keeps of a user. Of one of whom it keeps nothing only the server can know, which then counts
// the wrong codes alone.
func (c Codes) check(ctx context.Context, t otpstore.Try) (otpstore.Used, error) {
	used, err := c.Store.Use(ctx, t)
	if t.Ask == nil || !errors.Is(err, otpstore.ErrNotEnrolled) {
		return used, err
	}
	return otpstore.Used{Result: otpstore.AskServer(t)}, nil
}

func (c Codes) use(ctx context.Context, t otpstore.Try) login.Typed {
	used, err := c.check(ctx, t)
	if err != nil {
		return login.Typed{Proof: policy.ProofFailed, Detail: err.Error()}
	}
	switch used.Result {
	case otpstore.RightCode:
		return login.Typed{Proof: policy.ProofRight}
	case otpstore.RightRecovery:
		return login.Typed{Proof: policy.ProofRight, Warn: true, Detail: fmt.Sprintf("a recovery code was used up, %d are left", used.Left)}
	case otpstore.Wrong:
		return login.Typed{Proof: policy.ProofWrong}
	case otpstore.Expired:
		return login.Typed{Proof: policy.ProofExpired, Detail: expiredAdvice(t.User)}
	case otpstore.Replayed:
		return login.Typed{Proof: policy.ProofUsed}
	case otpstore.Paused:
		return login.Typed{Proof: policy.ProofPaused, Detail: "too many wrong codes from this address; no code is looked at until " + used.Until.UTC().Format(time.RFC3339)}
	case otpstore.DayFull:
		return login.Typed{Proof: policy.ProofPaused, Detail: "too many wrong codes today; none is looked at from an address where none was right before"}
	}
	return login.Typed{Proof: policy.ProofFailed}
}
