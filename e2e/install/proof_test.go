package install

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestProofTakesTheLineAsItWillBe refuses lines and configurations that would refuse every login.
func TestProofTakesTheLineAsItWillBe(t *testing.T) {
	before := tree(t)
	const auth = "/usr/local/libexec/latch/latch-auth"
	for _, c := range []struct {
		name     string
		unpaired string
		gone     bool // the authenticator
		args     []string
		status   int
		says     string
	}{
		{"an operation that nobody defined", "", false, []string{"--operation", "door"}, 1, "operation=door"},
		{"an operation that is two words", "", false, []string{"--operation", "front door"}, 2, "cannot stand on a PAM line"},
		{"a word that otp does not know", "", false, []string{"--otp", "maybe"}, 2, "--otp"},
		{"another configuration than the line's", "", false, []string{"--config", "/etc/latch/other.conf"}, 2, "--config"},
		{"another profile than the line's", "", false, []string{"--profile", "openvpn"}, 2, "--profile"},
		{"no time at all", "", false, []string{"--rollback-after", "0s"}, 2, "--rollback-after"},
		{"a time and none", "", false, []string{"--rollback-after", "1h", "--no-rollback"}, 2, "--no-rollback"},
		{"no authenticator where unpaired users are refused", "close", true, nil, 1, "does not work"},
		{"an operation where unpaired users are refused", "close", false, []string{"--operation", "door"}, 1, "operation=door"},
	} {
		if _, err := bed.conf.With("unpaired", c.unpaired).Write(confFile); err != nil {
			t.Fatal(err)
		}
		if c.gone {
			rename(t, auth, auth+".aside")
		}
		out, errs, status := latch(t, nil, append([]string{"install", "su", "--yes"}, c.args...)...)
		if c.gone {
			rename(t, auth+".aside", auth)
		}
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%s: %d %s%s", c.name, status, out, errs)
		}
		same(t, c.name, before)
	}
	if _, err := bed.conf.With("unpaired", "close").Write(confFile); err != nil {
		t.Fatal(err)
	}
	must(t, "install", "su", "--yes")
	if _, err := bed.conf.Write(confFile); err != nil {
		t.Fatal(err)
	}
	must(t, "uninstall", "su", "--yes")
	same(t, "uninstalling", before)
}

// TestNonRootIsToldSo does not tell somebody who sees half of it that all is well.
func TestNonRootIsToldSo(t *testing.T) {
	must(t, "install", "su", "--yes")
	for _, args := range [][]string{{"doctor"}, {"doctor", "--drift"}, {"explain", "--user", ana, "--service", "su"}, {"support", "--output", "/tmp/support.tar.gz"},
		{"install", "sudo", "--yes"}, {"uninstall", "--all", "--yes"}, {"rollback"}} {
		cmd := exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", cli}, args...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "with sudo") {
			t.Errorf("%q: %v %s", args, err, out)
		}
	}
	must(t, "uninstall", "su", "--yes")
}

// TestEachServiceHasItsOwnQuestion gives sudo an operation and sshd none, and takes it back.
func TestEachServiceHasItsOwnQuestion(t *testing.T) {
	before := tree(t)
	conf := bed.conf.Text() + "[operations]\ndoor = " + strings.Repeat("a", 20) + "\n"
	if err := os.WriteFile(confFile, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "install", "sudo", "--operation", "door", "--otp", "yes", "--yes")
	must(t, "install", "sshd", "--yes")
	each := func() {
		t.Helper()
		for service, want := range map[string]string{"sudo": "pam_latch.so operation=door otp=yes\n", "sshd": "pam_latch.so\n"} {
			if text, err := os.ReadFile(pamDir + "/" + service); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s: %v %s", service, err, text)
			}
		}
	}
	each()
	must(t, "install", "--repair", "--check") // with the options of each
	must(t, "install", "sudo", "--yes")       // which keeps those that are not given
	each()
	must(t, "uninstall", "--all", "--yes")
	if _, err := bed.conf.Write(confFile); err != nil {
		t.Fatal(err)
	}
	same(t, "uninstalling", before)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestAClockThatIsWrongIsRefused puts something between that tells another time than the server.
func TestAClockThatIsWrongIsRefused(t *testing.T) {
	before := tree(t)
	tap := throughTap(t)
	tap.Edit = func(answer *http.Response) error {
		answer.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		return nil
	}
	if _, errs, status := latch(t, nil, "install", "su", "--yes"); status == 0 || !strings.Contains(errs, "timedatectl") {
		t.Errorf("an hour: %d %s", status, errs)
	}
	same(t, "the wrong time", before)
	tap.Edit = nil
	must(t, "install", "su", "--yes")
	must(t, "uninstall", "su", "--yes")
	same(t, "uninstalling", before)
}

// TestTwoRunsAtOnce lets several people install at once: the line is there once, each run is told the truth, and what
// failed undoes nothing.
func TestTwoRunsAtOnce(t *testing.T) {
	before := tree(t)
	var all sync.WaitGroup
	said := make([]string, 6)
	for i := range said {
		all.Go(func() {
			_, errs, status := latch(t, nil, "install", "su", "sudo", "--yes")
			if status == 0 {
				errs = ""
			}
			said[i] = errs
		})
	}
	all.Wait()
	for _, errs := range said {
		if errs != "" && !strings.Contains(errs, "meanwhile") {
			t.Errorf("a run failed: %s", errs)
		}
	}
	for _, service := range []string{"su", "sudo"} {
		text, err := os.ReadFile(pamDir + "/" + service)
		if n := strings.Count(string(text), "pam_latch.so"); err != nil || n != 1 {
			t.Errorf("%s has %d lines of ours: %v", service, n, err)
		}
	}
	must(t, "uninstall", "--all", "--yes")
	same(t, "uninstalling", before)
}

// TestSELinuxThatEnforces lays a system over /sys/fs that enforces, without our policy and with it.
func TestSELinuxThatEnforces(t *testing.T) {
	before := tree(t)
	if err := syscall.Mount("tmpfs", "/sys/fs", "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Unmount("/sys/fs", syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	if err := os.MkdirAll("/sys/fs/selinux", 0o755); err != nil {
		t.Fatal(err)
	}
	const semodule = "/usr/local/sbin/semodule"
	defer os.Remove(semodule)
	for _, c := range []struct {
		enforce, modules string
		status           int
	}{{"1", "", 1}, {"1", "abrt\nlatchd", 1}, {"1", "abrt\nlatch", 0}, {"0", "abrt", 0}} {
		if err := os.WriteFile("/sys/fs/selinux/enforce", []byte(c.enforce), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Remove(semodule)
		if c.modules != "" {
			if err := os.WriteFile(semodule, []byte("#!/bin/sh\nprintf '"+c.modules+"\n'\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		_, errs, status := latch(t, []string{"PATH=/usr/local/sbin:/usr/bin:/bin"}, "install", "su", "--yes")
		if status != c.status || status != 0 && !strings.Contains(errs, "semodule -i latch.pp") {
			t.Errorf("%+v: %d %s", c, status, errs)
		}
		must(t, "uninstall", "--all", "--yes")
		same(t, c.modules, before)
	}
}
