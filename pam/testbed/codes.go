package testbed

import (
	"context"
	"time"

	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// Seed is the seed of everybody whom Enrol gives an authenticator, RecoveryCode their only recovery code.
const (
	Seed         = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // RFC 6238's
	RecoveryCode = "ABCDE-FGHJK"
)

// Window is that of an authenticator in a test: wide, since a login on a machine with much to do may take its time.
const Window = 10

// Enrol gives a user an authenticator and a recovery code, in place of any other; none of their codes has been used.
func Enrol(store otpstore.Store, user string, uid int64) error {
	ctx := context.Background()
	if _, err := store.CreateKey(ctx); err != nil {
		return err
	}
	a := otpstore.Authenticator{Parameters: otp.Standard(), Secret: Seed, Window: Window, Enrolled: time.Now().Unix()}
	if err := store.Enrol(ctx, user, uid, a); err != nil {
		return err
	}
	normal, _ := otp.NormalRecovery(RecoveryCode)
	return store.SetRecovery(ctx, user, uid, []string{normal})
}

// EnrolAtServer has the Latch server that a configuration names make an authenticator for a user, and notes it beside whatever the
// user has. It returns the seed.
func EnrolAtServer(conf string, store otpstore.Store, user string, uid int64) (seed string, err error) {
	c, err := config.Load(conf)
	if err != nil {
		return "", err
	}
	client, err := adapters.NewClient(c, nil)
	if err != nil {
		return "", err
	}
	ctx := context.Background()
	made, err := client.CreateTOTP(ctx, user, user)
	if err != nil {
		return "", err
	}
	return made.Secret, store.EnrolRemote(ctx, user, uid, c.AppID, made.TOTPID, "none")
}

// CodeOf is what an app with the seed shows now.
func CodeOf(seed string) (string, error) { return otp.Code(seed, time.Now().Unix()/30) }
