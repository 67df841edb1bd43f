package adapters_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// TestEnrolment: what a record is good for, and that none of them reads as if its user had never been enrolled.
func TestEnrolment(t *testing.T) {
	const app, seed, code = "this-application", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "ABCDEFGHJK"
	here := func(s otpstore.Store, ago time.Duration) error {
		return s.Enrol(t.Context(), "ana", 1000, otpstore.Authenticator{Parameters: otp.Standard(), Secret: seed, Window: 1, Enrolled: time.Now().Add(-ago).Unix()})
	}
	there := func(s otpstore.Store, app string) error {
		return s.EnrolRemote(t.Context(), "ana", 1000, app, "totp1", "none")
	}
	recovery := func(s otpstore.Store) error { return s.SetRecovery(t.Context(), "ana", 1000, []string{code}) }
	spend := func(s otpstore.Store) error {
		_, err := s.Use(t.Context(), otpstore.Try{User: "ana", UID: 1000, Typed: code})
		return err
	}
	for name, c := range map[string]struct {
		do   []func(otpstore.Store) error
		want login.Enrolment
	}{
		"nobody":                  {nil, login.Enrolment{}},
		"authenticator":           {[]func(otpstore.Store) error{func(s otpstore.Store) error { return here(s, 0) }}, login.Enrolment{User: "ana", Enrolled: true, Local: true}},
		"expired":                 {[]func(otpstore.Store) error{func(s otpstore.Store) error { return here(s, 2*time.Hour) }}, login.Enrolment{User: "ana", Enrolled: true, Expired: true}},
		"expired, recovery codes": {[]func(otpstore.Store) error{func(s otpstore.Store) error { return here(s, 2*time.Hour) }, recovery}, login.Enrolment{User: "ana", Enrolled: true, Expired: true, Local: true, Server: true, Recovery: true}},
		"at the server":           {[]func(otpstore.Store) error{func(s otpstore.Store) error { return there(s, app) }}, login.Enrolment{User: "ana", Enrolled: true, Server: true}},
		"at another application's server": {[]func(otpstore.Store) error{func(s otpstore.Store) error { return there(s, "another") }, recovery},
			login.Enrolment{User: "ana", Local: true, Server: true, Recovery: true}},
		"recovery codes":             {[]func(otpstore.Store) error{recovery}, login.Enrolment{User: "ana", Enrolled: true, Local: true, Server: true, Recovery: true}},
		"recovery codes all used up": {[]func(otpstore.Store) error{recovery, spend}, login.Enrolment{User: "ana", Enrolled: true}},
		"a bypass that is over": {[]func(otpstore.Store) error{func(s otpstore.Store) error {
			if err := s.Excuse(t.Context(), "ana", 1000, otpstore.Bypass{Reason: "x", By: "root"}, time.Hour); err != nil {
				return err
			}
			return s.EndBypass(t.Context(), "ana")
		}}, login.Enrolment{User: "ana"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			s := otpstore.At(dir, filepath.Join(dir, "key"))
			s.Lifetime = time.Hour
			if _, err := s.CreateKey(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, do := range c.do {
				if err := do(s); err != nil {
					t.Fatal(err)
				}
			}
			codes := adapters.Codes{Store: s, App: app}
			got, err := codes.Find("ana", 1000)
			if got.Detail = ""; err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
			if len(c.do) == 0 {
				return
			}
			if got, err := codes.Find("ana", 1001); err == nil {
				t.Errorf("another uid's reads as %+v", got)
			}
			if got, err := codes.Find("ANA@example.org", -1); err != nil || got.User != "ana" {
				t.Errorf("in another spelling: %+v, %v", got, err)
			}
			if err := os.WriteFile(filepath.Join(s.Dir, "ana"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := codes.Find("ana", 1000); err == nil {
				t.Errorf("damaged, it reads as %+v", got)
			}
		})
	}
}
