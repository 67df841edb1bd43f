package ports

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latch-linux/latch/pkg/authn"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/gate"
	"github.com/latch-linux/latch/pkg/otpstore"
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

// NewCodes makes the port that latch.conf describes.
func NewCodes(c *config.Config, sshConnection string) Codes {
	return Codes{Store: CodeStore(c), App: c.AppID, Address: otpstore.AddressKey(sshConnection)}
}

// Find implements authn.Codes.
func (c Codes) Find(user string, uid int64) (authn.Enrolment, error) {
	r, err := c.Store.Load(user)
	switch {
	case errors.Is(err, otpstore.ErrNotEnrolled):
		return authn.Enrolment{}, nil
	case err != nil:
		return authn.Enrolment{}, err
	case r.OthersThan(uid):
		return authn.Enrolment{Detail: fmt.Sprintf("the one-time passwords are those of uid %d; run: latch otp remove --user %s", r.UID, user)}, nil
	}
	left, err := r.Bypass.Left()
	if err != nil {
		return authn.Enrolment{}, err
	}
	if left > 0 {
		return authn.Enrolment{Excused: true,
			Detail: fmt.Sprintf("%s excused the user for %v more: %s", r.Bypass.By, left.Round(time.Minute), r.Bypass.Reason)}, nil
	}
	recovery := r.RecoveryLeft() > 0
	return authn.Enrolment{Local: recovery || r.Authenticator != nil, Server: recovery || r.Remotes[c.App] != nil}, nil
}

// Check implements authn.Codes.
func (c Codes) Check(ctx context.Context, user string, uid int64, typed string) authn.Typed {
	return c.use(ctx, otpstore.Try{User: user, UID: uid, Address: c.Address, Typed: typed})
}

// CheckByServer implements authn.Codes.
func (c Codes) CheckByServer(ctx context.Context, user string, uid int64, typed string,
	validate func(id, code string) authn.Answer) authn.Typed {
	var failed *authn.Answer
	ask := func(id, code string) otpstore.Result {
		a := validate(id, code)
		switch {
		case a.NotEnrolled:
		case a.Kind == gate.On:
			return otpstore.RightCode
		case a.Kind == gate.Off:
			return otpstore.Wrong
		}
		failed = &a
		return otpstore.Failed
	}
	t := c.use(ctx, otpstore.Try{User: user, UID: uid, Address: c.Address, Typed: typed, App: c.App, Ask: ask})
	switch {
	case failed == nil:
	case failed.NotEnrolled:
		return authn.Typed{Proof: gate.ProofNotEnrolled, Detail: "neither is there one that the person enrolled at the server"}
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

func (c Codes) use(ctx context.Context, t otpstore.Try) authn.Typed {
	used, err := c.check(ctx, t)
	if err != nil {
		return authn.Typed{Proof: gate.ProofFailed, Detail: err.Error()}
	}
	switch used.Result {
	case otpstore.RightCode:
		return authn.Typed{Proof: gate.ProofRight}
	case otpstore.RightRecovery:
		return authn.Typed{Proof: gate.ProofRight, Detail: fmt.Sprintf("a recovery code was used up, %d are left", used.Left)}
	case otpstore.Wrong:
		return authn.Typed{Proof: gate.ProofWrong}
	case otpstore.Expired:
		return authn.Typed{Proof: gate.ProofFailed, Detail: fmt.Sprintf("the authenticator has expired; run: latch otp enroll --replace --user %s", t.User)}
	case otpstore.Replayed:
		return authn.Typed{Proof: gate.ProofUsed}
	case otpstore.Paused:
		return authn.Typed{Proof: gate.ProofPaused, Detail: "too many wrong codes from this address; no code is looked at until " + used.Until.UTC().Format(time.RFC3339)}
	case otpstore.DayFull:
		return authn.Typed{Proof: gate.ProofPaused, Detail: "too many wrong codes today; none is looked at from an address where none was right before"}
	}
	return authn.Typed{Proof: gate.ProofFailed}
}
