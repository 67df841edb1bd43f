package testbed

import (
	"context"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/otpstore"
)

// Seed is the seed of everybody whom Enrol gives an authenticator, RecoveryCode their only recovery code.
const (
	Seed         = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // RFC 6238's
	RecoveryCode = "ABCDE-FGHJK"
)

// Enrol gives a user an authenticator and a recovery code, in place of any other; none of their codes has been used.
func Enrol(store otpstore.Store, user string, uid int64) error {
	ctx := context.Background()
	if _, err := store.CreateKey(ctx); err != nil {
		return err
	}
	a := otpstore.Authenticator{Parameters: otp.Standard(), Secret: Seed, Window: 1, Enrolled: time.Now().Unix()}
	if err := store.Enrol(ctx, user, uid, a); err != nil {
		return err
	}
	normal, _ := otp.NormalRecovery(RecoveryCode)
	return store.SetRecovery(ctx, user, uid, []string{normal})
}

// CodeOf is what an app with the seed shows now.
func CodeOf(seed string) (string, error) { return otp.Code(seed, time.Now().Unix()/30) }
