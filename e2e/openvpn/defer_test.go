package openvpn

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// TestBesideADeferringPlugin has another plugin that answers later: ours answers at once then, and the latch decides. With
// both, OpenVPN itself ends.
func TestBesideADeferringPlugin(t *testing.T) {
	built := filepath.Join(t.TempDir(), "deferring.so")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", built, "testdata/deferring.c").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	v := startVPN(t, setting{before: "plugin " + built + "\n"})
	if strings.Contains(v.config, "deferred_auth_pam") {
		t.Errorf("the PAM plugin would answer later too:\n%s", v.config)
	}
	v.expect(t, map[string]bool{ana: true, eva: true})
	closeLatch(t, ana)
	v.expect(t, map[string]bool{ana: false, eva: true})

	const both = "setenv deferred_auth_pam 1\n"
	other := v.beside(t, func(text string) string { return text + both })
	client := other.dial(t, eva, fixture.Password)
	<-other.ended
	client.stop()
	if err := os.WriteFile(vpnConf, []byte(v.config+both), 0o640); err != nil {
		t.Fatal(err)
	}
	if out, status := latch(t, "doctor"); status != 2 || !strings.Contains(strings.Join(strings.Fields(out), " "), "OpenVPN ends at the first login") {
		t.Errorf("the doctor: %d\n%s", status, out)
	}
	if out, status := latch(t, "install", "openvpn", "--yes"); status == 0 || !strings.Contains(out, "take deferred_auth_pam away") {
		t.Errorf("installing beside it: %d\n%s", status, out)
	}
	if err := os.WriteFile(vpnConf, []byte(v.config), 0o640); err != nil {
		t.Fatal(err)
	}
}
