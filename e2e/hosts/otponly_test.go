package hosts

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

const sshdFile = "/etc/pam.d/sshd"

// stack replaces sshd's service file for the time of a test.
func stack(t *testing.T, edit func(string) string) {
	t.Helper()
	before, err := os.ReadFile(sshdFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(sshdFile, before, 0o644); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(sshdFile, []byte(edit(string(before))), 0o644); err != nil {
		t.Fatal(err)
	}
}

// keyAndCode logs in with the key, if there is one, and then by what PAM asks. It returns the questions that somebody was asked.
func keyAndCode(t *testing.T, user, port, key, text string) (r result, questions string) {
	t.Helper()
	asked := filepath.Join(t.TempDir(), "asked")
	cmd := client("publickey,keyboard-interactive", fixture.Password, written(t, text), "ssh", "-i", key, user+"@127.0.0.1", proveIt)
	// The first value of an option counts.
	cmd.Args = append([]string{"ssh", "-o", "Port=" + port}, cmd.Args[1:]...)
	cmd.Env = append(cmd.Env, "ASKED="+asked)
	r = sshResult(cmd)
	shown, _ := os.ReadFile(asked)
	return r, string(shown)
}

// TestKeyAndCode is AuthenticationMethods publickey,keyboard-interactive:pam with a stack that asks for the code alone: whoever has
// key and code comes in, and no password is asked for.
func TestKeyAndCode(t *testing.T) {
	const port = "2223"
	configure(t, bed.conf.With("otp", "totp").With("otp_required", "yes"))
	stack(t, func(text string) string { return strings.Replace(text, "@include common-auth\n", "", 1) })
	secondSSHD(t, port, "AuthenticationMethods=publickey,keyboard-interactive:pam", "PasswordAuthentication=no")
	if err := anew(opened, otp.Standard(), time.Now(), otpstore.ForEver); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := codeStore.Remove(context.Background(), opened); err != nil {
			t.Error(err)
		}
	})
	right := of(fixture.Seed, 0)
	for _, row := range []struct {
		name, user, key, text string
		in                    bool
		log                   string
	}{
		{"no key", opened, "/dev/null", right, false, ""},
		{"wrong", opened, bed.key, "000000", false, "otp-wrong"},
		{"right", opened, bed.key, right, true, "open-otp"},
		{"the same again", opened, bed.key, right, false, "otp-used"},
		{"nothing", opened, bed.key, "", false, "otp-cannot-ask"},
		{"closed", closed, bed.key, right, false, "closed"},
		{"not enrolled, not paired", unpaired, bed.key, right, false, "otp-not-enrolled"},
	} {
		r, questions := keyAndCode(t, row.user, port, row.key, row.text)
		if r.in(row.user) != row.in || strings.Contains(questions, "assword") {
			t.Errorf("%s: in is %v, want %v, asked %q\n%s", row.name, !row.in, row.in, questions, r.stderr)
		}
		if row.log != "" && len(bed.log.Await(`user="`+row.user+`"`, `phase="auth"`, `reason="`+row.log+`"`)) == 0 {
			t.Errorf("%s: no log line with %q", row.name, row.log)
		}
	}
	// The other way round: the account phase comes after the key, and takes the word of the code's.
	secondSSHD(t, "2224", "AuthenticationMethods=keyboard-interactive:pam,publickey", "PasswordAuthentication=no")
	if r, _ := keyAndCode(t, opened, "2224", bed.key, of(fixture.Seed, 1)); !r.in(opened) {
		t.Errorf("code, then key: not in\n%s", r.stderr)
	}
	// Without otp_required somebody whom nobody asks about is let in by no module, and so not at all.
	configure(t, bed.conf.With("otp", "totp"))
	if r, _ := keyAndCode(t, unpaired, port, bed.key, ""); r.in(unpaired) {
		t.Error("a stack that asks nobody lets in")
	}
}
