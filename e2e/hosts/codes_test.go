package hosts

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// codeStore is where latch.conf keeps one-time passwords unless it says otherwise.
var codeStore = otpstore.At("/var/lib/latch", "/etc/latch/otp.key")

// enrolled gives the user whose latch is open an authenticator for the time of one test.
func enrolled(t *testing.T) {
	t.Helper()
	if err := fixture.Enrol(codeStore, opened, int64(bed.users[opened].ID)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := codeStore.Remove(context.Background(), opened); err != nil {
			t.Error(err)
		}
	})
}

// code is a file with what the app shows some steps of 30 s from now.
func code(t *testing.T, seed string, steps int64) string {
	t.Helper()
	c, err := otp.Code(seed, time.Now().Unix()/30+steps)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, c)
}

func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

type codeRow struct {
	name, method, file string
	in                 bool
	log                string
}

func tryCodes(t *testing.T, rows []codeRow) {
	t.Helper()
	for _, row := range rows {
		r := sshResult(client(row.method, fixture.Password, row.file, "ssh", opened+"@127.0.0.1", proveIt))
		if r.in(opened) != row.in {
			t.Errorf("%s: in = %v, want %v\n%s", row.name, !row.in, row.in, r.stderr)
		}
		if row.log != "" && len(bed.log.Await(`user="`+opened+`"`, `reason="`+row.log+`"`)) == 0 {
			t.Errorf("%s: no log line with %q", row.name, row.log)
		}
	}
}

// TestSSHDCodes is otp = totp at a real sshd: each code passes once, and only where sshd can ask.
func TestSSHDCodes(t *testing.T) {
	configure(t, bed.conf.With("otp", "totp"))
	tryCodes(t, []codeRow{{"not enrolled", "keyboard-interactive", "/dev/null", true, "open"}})
	configure(t, bed.conf.With("otp", "totp").With("otp_required", "yes"))
	tryCodes(t, []codeRow{
		{"not enrolled, required", "keyboard-interactive", code(t, fixture.Seed, 0), false, "otp-not-enrolled"},
		{"not enrolled, required, a key", "publickey", "/dev/null", false, "otp-not-enrolled"},
	})
	enrolled(t)
	tryCodes(t, []codeRow{{"required, a key alone", "publickey", "/dev/null", false, "otp-cannot-ask"}})
	configure(t, bed.conf.With("otp", "totp"))
	right := code(t, fixture.Seed, 0)
	tryCodes(t, []codeRow{{"wrong", "keyboard-interactive", written(t, "no-code"), false, "otp-wrong"}})
	if r, err := codeStore.Load(opened); err != nil || len(r.Guesses.Sources) != 1 || r.Guesses.Sources[0].Address != "127.0.0.1" {
		t.Errorf("the wrong code counts against %+v, %v", r.Guesses.Sources, err)
	}
	tryCodes(t, []codeRow{
		{"empty", "keyboard-interactive", "/dev/null", false, "otp-cannot-ask"},
		{"right", "keyboard-interactive", right, true, "open-otp"},
		{"the same again", "keyboard-interactive", right, false, "otp-used"},
		{"a recovery code", "keyboard-interactive", written(t, strings.ToLower(fixture.RecoveryCode)), true, "open-otp"},
		{"the same recovery code again", "keyboard-interactive", written(t, fixture.RecoveryCode), false, "otp-wrong"},
		// sshd's password method answers every prompt with the password: nobody can be asked.
		{"no prompt", "password", code(t, fixture.Seed, 1), false, "otp-cannot-ask"},
		{"a key asks without a code", "publickey", "/dev/null", true, "open"},
	})
}

// TestSSHDServerCodes is otp = server-totp: the Latch server checks.
func TestSSHDServerCodes(t *testing.T) {
	configure(t, bed.conf.With("otp", "server-totp"))
	enrolled(t)
	c, err := config.Load(confFile)
	if err != nil {
		t.Fatal(err)
	}
	client, err := adapters.NewClient(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	tryCodes(t, []codeRow{{"an authenticator of this machine's alone", "keyboard-interactive", code(t, fixture.Seed, 0), false, "otp-not-enrolled"}})
	made, err := client.CreateTOTP(t.Context(), opened, opened)
	if err != nil {
		t.Fatal(err)
	}
	if err := codeStore.EnrolRemote(t.Context(), opened, int64(bed.users[opened].ID), c.AppID, made.TOTPID, "none"); err != nil {
		t.Fatal(err)
	}
	right := code(t, made.Secret, 0)
	tryCodes(t, []codeRow{
		{"wrong", "keyboard-interactive", written(t, "000000"), false, "otp-wrong"},
		{"right", "keyboard-interactive", right, true, "open-otp"},
		{"the same again", "keyboard-interactive", right, false, "otp-used"},
		{"a recovery code", "keyboard-interactive", written(t, fixture.RecoveryCode), true, "open-otp"},
	})
	if err := client.DeleteTOTP(t.Context(), made.TOTPID); err != nil {
		t.Fatal(err)
	}
	tryCodes(t, []codeRow{{"gone at the server", "keyboard-interactive", code(t, made.Secret, 1), false, "error-close"}})
}

// TestCodesWhileTheServerIsDown is action = otp, at hosts that ask and at those that cannot.
func TestCodesWhileTheServerIsDown(t *testing.T) {
	configure(t, bed.conf.With("latch_host", nowhere).With("action", "otp"))
	enrolled(t)
	steps := int64(-1)
	typed := func(a attempt, text string) attempt {
		if text == "" {
			c, err := otp.Code(fixture.Seed, time.Now().Unix()/30+steps)
			if err != nil {
				t.Fatal(err)
			}
			text = c
			steps++
		}
		a.stdin += text + "\n"
		return a
	}
	for _, row := range []struct {
		name string
		run  func() attempt
		user string
		in   bool
	}{
		{"su, wrong", func() attempt { return typed(su(unpaired, opened), "000000") }, opened, false},
		{"su, right", func() attempt { return typed(su(unpaired, opened), "") }, opened, true},
		{"sudo, wrong", func() attempt { return typed(sudo(opened), "000000") }, "root", false},
		{"sudo, right", func() attempt { return typed(sudo(opened), "") }, "root", true},
		{"su, not enrolled", func() attempt { return typed(su(unpaired, closed), "000000") }, closed, false},
		{"su, nothing typed", func() attempt { return su(unpaired, opened) }, opened, false},
	} {
		if r := row.run().run(); r.in(row.user) != row.in {
			t.Errorf("%s: in = %v, want %v\n%s%s", row.name, !row.in, row.in, r.stdout, r.stderr)
		}
	}
	tryCodes(t, []codeRow{
		{"a key, where nobody can be asked", "publickey", "/dev/null", false, "otp-cannot-ask"},
		{"a recovery code", "keyboard-interactive", written(t, fixture.RecoveryCode), true, "no-answer-otp"},
	})
	bypass := otpstore.Bypass{Reason: "test", By: "root"}
	if err := codeStore.Excuse(t.Context(), opened, int64(bed.users[opened].ID), bypass, time.Hour); err != nil {
		t.Fatal(err)
	}
	tryCodes(t, []codeRow{{"a key, excused", "publickey", "/dev/null", true, "no-answer-otp-excused"}})
}

// TestOneCodeManyLogins has logins by different services use one code at the same time: one gets in.
func TestOneCodeManyLogins(t *testing.T) {
	configure(t, bed.conf.With("otp", "totp"))
	enrolled(t)
	right := code(t, fixture.Seed, 0)
	text, err := os.ReadFile(right)
	if err != nil {
		t.Fatal(err)
	}
	var in atomic.Int32
	var all sync.WaitGroup
	for i := range 9 {
		all.Go(func() {
			var r result
			if i%3 == 0 {
				a := su(unpaired, opened)
				a.stdin += string(text)
				r = a.run()
			} else {
				r = sshResult(client("keyboard-interactive", fixture.Password, right, "ssh", opened+"@127.0.0.1", proveIt))
			}
			if r.in(opened) {
				in.Add(1)
			}
		})
	}
	all.Wait()
	if n := in.Load(); n != 1 {
		t.Errorf("%d logins got in with one code, want 1", n)
	}
}
