package install

import (
	"strings"
	"testing"
)

// TestSSHDTakesWhatIsAdvised follows the advice that a host without passwords gets when it wants codes.
func TestSSHDTakesWhatIsAdvised(t *testing.T) {
	before := tree(t)
	advised := []string{"AuthenticationMethods publickey,keyboard-interactive:pam", "KbdInteractiveAuthentication yes"}
	t.Run("the advice", func(t *testing.T) {
		startSSHD(t, "UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no")
		_, errs, status := latch(t, nil, "install", "sshd", "--otp", "yes", "--yes")
		if status == 0 || !strings.Contains(errs, strings.Join(advised, " and ")) {
			t.Errorf("%d %s", status, errs)
		}
	})
	t.Run("taken", func(t *testing.T) {
		address := startSSHD(t, append(advised, "UsePAM yes", "PasswordAuthentication no")...)
		if offers := offered(t, address); strings.Contains(offers, "password") || strings.Contains(offers, "keyboard") {
			t.Errorf("sshd offers %s to somebody without a key", offers)
		}
		must(t, "install", "sshd", "--otp", "yes", "--yes")
		must(t, "uninstall", "sshd", "--yes")
	})
	same(t, "uninstalling", before)
}
