package install

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// findings runs latch doctor and returns its rows, unwrapped.
func findings(t *testing.T, args ...string) (text string, status int) {
	t.Helper()
	out, errs, status := latch(t, nil, append([]string{"doctor"}, args...)...)
	if errs != "" {
		t.Errorf("doctor: %s", errs)
	}
	for line := range strings.Lines(out) {
		if utf8.RuneCountInString(line) > 81 {
			t.Errorf("doctor: %d columns: %s", utf8.RuneCountInString(line)-1, line)
		}
	}
	return strings.Join(strings.Fields(out), " "), status
}

func TestDoctor(t *testing.T) {
	before := tree(t)
	must(t, "install", "sshd", "su", "--yes")
	text, status := findings(t)
	if status != 1 || strings.Contains(text, "fail ") {
		t.Errorf("a sound machine: %d\n%s", status, text)
	}
	for _, want := range []string{"ok - module", "ok - authenticator", "ok system configuration", "ok system DNS", "ok system TLS", "ok system credentials",
		"ok system server", "ok system clock", "ok system certificate", "ok system pairings", "ok system service sshd asks in auth and account",
		"ok - log /dev/log", "ok system service su", "warn system action", "system root root is", "ok - drift"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	out, _, _ := latch(t, nil, "doctor", "--json")
	var answer struct {
		Version  int `json:"version"`
		Findings []struct{ State, Check, Found, Fix string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Version != 1 || len(answer.Findings) < 8 {
		t.Errorf("--json: %v %s", err, out)
	}
	must(t, "uninstall", "--all", "--yes")
	same(t, "uninstalling after the doctor", before)
}

// TestDoctorIsContent: a machine whose decisions are on record has no warning, and monitoring sees 0.
func TestDoctorIsContent(t *testing.T) {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	others := strings.Join(regexp.MustCompile("(?m)^[^:]+").FindAllString(strings.Replace(string(passwd), "\n"+ana+":", "\n", 1), -1), " ")
	if _, err := bed.conf.With("action", "open").With("exempt_users", others).Write(confFile); err != nil {
		t.Fatal(err)
	}
	must(t, "install", "sshd", "su", "sudo", "sudo-i", "--yes")
	text, status := findings(t)
	must(t, "uninstall", "--all", "--yes")
	if _, err := bed.conf.Write(confFile); err != nil {
		t.Fatal(err)
	}
	if status != 0 || !strings.Contains(text, "ok - mode exec: every login starts /usr/local/libexec/latch/latch-auth") {
		t.Errorf("%d\n%s", status, text)
	}
}

// TestDoctorAsksTheServer about pairings and operations, by queries that leave nothing in the person's history.
func TestDoctorAsksTheServer(t *testing.T) {
	must(t, "operation", "add", "asked", "--save")
	working, err := os.ReadFile(confFile)
	if err != nil {
		t.Fatal(err)
	}
	paired, err := os.ReadFile(accounts)
	if err != nil {
		t.Fatal(err)
	}
	must(t, "install", "su", "--operation", "asked", "--yes")
	defer func() {
		must(t, "uninstall", "su", "--yes")
		_, err := bed.conf.Write(confFile)
		if err = errors.Join(err, os.WriteFile(accounts, paired, 0o600)); err != nil {
			t.Error(err)
		}
	}()
	before := history(t)
	text, _ := findings(t)
	if after := history(t); !slices.Equal(before, after) {
		t.Errorf("the history was %q and is %q", before, after)
	}
	for _, want := range []string{"ok system operation operations that the server knows: 1 of 1", "ok system pairings at the server: 1 of 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	unknown := regexp.MustCompile("(?m)^asked = .*$").ReplaceAllString(string(working), "asked = "+strings.Repeat("u", 20))
	err = errors.Join(os.WriteFile(confFile, []byte(unknown), 0o600), os.WriteFile(accounts, append(paired, "root: "+strings.Repeat("r", 64)+"\n"...), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	text, status := findings(t)
	for _, want := range []string{"fail system operation", "(error 301): everybody who is paired is refused by su, su-l", "fix: latch operation add asked --save",
		`warn system pairings "root" is paired here and not at the server (error 201)`, "fix: latch unpair --user root, then latch pair CODE --user root", "at the server: 1 of 2"} {
		if !strings.Contains(text, want) || status != 2 {
			t.Errorf("%d, no %q in\n%s", status, want, text)
		}
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	su := pamDir + "/su"
	shipped, err := os.ReadFile(su)
	if err != nil {
		t.Fatal(err)
	}
	pairings, err := os.ReadFile(accounts)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path, text string, mode os.FileMode) func() error {
		return func() error {
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				return err
			}
			return os.Chmod(path, mode)
		}
	}
	const auth = "/usr/local/libexec/latch/latch-auth"
	mendConf := func() error { _, err := bed.conf.Write(confFile); return err }
	remove := func(path string) func() error { return func() error { return os.RemoveAll(path) } }
	cases := []struct {
		name        string
		spoil, mend func() error
		state, says string
	}{
		{"the server is gone", bed.server.Stop, bed.server.Start, "fail", "server"},
		{"configuration broken", write(confFile, "nonsense\n", 0o600), mendConf, "fail", "configuration"},
		{"configuration readable", func() error { return os.Chmod(confFile, 0o644) }, mendConf, "warn", "configuration"},
		{"authenticator writable", func() error { return os.Chmod(auth, 0o777) }, func() error { return os.Chmod(auth, 0o755) }, "fail", "authenticator"},
		{"a way past", write(su, "auth sufficient pam_permit.so\nauth required pam_latch.so\n", 0o644), write(su, string(shipped), 0o644), "fail", "service su"},
		{"optional", write(su, "auth requisite pam_unix.so\nauth optional pam_latch.so\n", 0o644), write(su, string(shipped), 0o644), "fail", "service su"},
		{"guesses", write(su, "auth required pam_latch.so\nauth requisite pam_unix.so\n", 0o644), write(su, string(shipped), 0o644), "warn", "service su"},
		{"twice", write(su, "auth requisite pam_unix.so\nauth required pam_latch.so\nauth required pam_latch.so\n", 0o644), write(su, string(shipped), 0o644), "warn", "service su"},
		{"the server's secret changed", func() error {
			_, err := bed.conf.With("secret_key", strings.Repeat("z", 40)).Write(confFile)
			return err
		}, mendConf, "fail", "credentials"},
		{"another certificate", func() error {
			_, err := bed.conf.With("ca_file", "").Write(confFile)
			return err
		}, mendConf, "fail", "TLS"},
		{"no such name", func() error {
			_, err := bed.conf.With("latch_host", "https://nowhere.invalid").Write(confFile)
			return err
		}, mendConf, "fail", "DNS"},
		{"a line for a screen locker", write(pamDir+"/swaylock", "auth requisite pam_unix.so\nauth required pam_latch.so\n", 0o644),
			remove(pamDir + "/swaylock"), "warn", "service swaylock"},
		{"a service that nobody can read", write(pamDir+"/broken", "auth include nowhere\n@include nowhere\n", 0o644), remove(pamDir + "/broken"), "warn", "service broken"},
		{"a pairing of nobody", func() error {
			return os.WriteFile(accounts, []byte("nosuchperson: "+strings.Repeat("a", 64)+"\n"), 0o600)
		}, func() error { return os.WriteFile(accounts, pairings, 0o600) }, "warn", "pairings"},
		{"pairings broken", func() error { return os.WriteFile(accounts, []byte("nonsense\n"), 0o600) },
			func() error { return os.WriteFile(accounts, pairings, 0o600) }, "fail", "pairings"},
		{"a file of another plugin", write("/etc/vnc-latch.conf", "", 0o600), remove("/etc/vnc-latch.conf"), "warn", "leftovers"},
		{"a line of another plugin", write("/etc/ssh/sshd_config.d/x.conf", "ForceCommand /usr/sbin/latch-ssh-cmd\n", 0o600),
			remove("/etc/ssh/sshd_config.d/x.conf"), "warn", "leftovers"},
		{"an earlier plugin", func() error { return os.Mkdir("/usr/lib/latch", 0o755) }, remove("/usr/lib/latch"), "warn", "leftovers"},
		{"a set-uid wrapper", write("/usr/bin/pairSYS", "", os.ModeSetuid|0o755), remove("/usr/bin/pairSYS"), "fail", "leftovers"},
		{"certificates alone", func() error {
			if err := os.MkdirAll("/etc/openvpn/server", 0o755); err != nil {
				return err
			}
			return os.WriteFile("/etc/openvpn/server/office.conf", []byte("port 1194\nserver 10.8.0.0 255.255.255.0\n"), 0o644)
		}, remove("/etc/openvpn/server"), "warn", "openvpn"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := c.spoil(); err != nil {
				t.Fatal(err)
			}
			out, _, _ := latch(t, nil, "doctor", "--json")
			if err := c.mend(); err != nil {
				t.Fatal(err)
			}
			var answer struct {
				Findings []struct{ State, Check, Found, Fix string }
			}
			if err := json.Unmarshal([]byte(out), &answer); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			for _, f := range answer.Findings {
				if f.State != "ok" && f.Fix == "" {
					t.Errorf("nobody knows what to do about %v", f)
				}
			}
			for _, f := range answer.Findings {
				if f.State == c.state && f.Check == c.says {
					return
				}
			}
			t.Errorf("no %s about %s in %s", c.state, c.says, out)
		})
	}
}

func TestDriftIsFound(t *testing.T) {
	shipped, err := os.ReadFile(pamDir + "/su")
	if err != nil {
		t.Fatal(err)
	}
	must(t, "install", "su", "--yes")
	if _, status := findings(t, "--drift"); status != 0 {
		t.Errorf("nothing has drifted: %d", status)
	}
	if err := os.WriteFile(pamDir+"/su", shipped, 0o644); err != nil {
		t.Fatal(err)
	}
	if text, status := findings(t, "--drift"); status != 2 || !strings.Contains(text, "latch install --repair") {
		t.Errorf("%d %s", status, text)
	}
	must(t, "uninstall", "su", "--yes")
}

// TestDriftOfOnePhase takes the account line away, by which a public key comes in, and leaves the other one.
func TestDriftOfOnePhase(t *testing.T) {
	before := tree(t)
	must(t, "install", "sshd", "--yes")
	installed := tree(t)
	text, err := os.ReadFile(pamDir + "/sshd")
	if err != nil {
		t.Fatal(err)
	}
	half := regexp.MustCompile(`(?m)^account.*pam_latch.so\n`).ReplaceAll(text, nil)
	if err := os.WriteFile(pamDir+"/sshd", half, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, status := findings(t, "--drift"); status != 2 || !strings.Contains(out, "account phase") {
		t.Errorf("%d %s", status, out)
	}
	must(t, "install", "--repair", "--yes")
	same(t, "repairing", installed)
	must(t, "uninstall", "sshd", "--yes")
	if text, err := os.ReadFile(pamDir + "/sshd"); err != nil || strings.Contains(string(text), "pam_latch.so") {
		t.Errorf("uninstalled: %v %s", err, text)
	}
	same(t, "uninstalling", before)
}

// TestRepairGoesOnWithoutTheOthers has one service that is gone, one that has no place any more, and one to be repaired.
func TestRepairGoesOnWithoutTheOthers(t *testing.T) {
	before := tree(t)
	door, hatch := pamDir+"/door", pamDir+"/hatch"
	const stack = "auth requisite pam_unix.so\naccount required pam_unix.so\n"
	for _, path := range []string{door, hatch} {
		if err := os.WriteFile(path, []byte(stack), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shipped, err := os.ReadFile(pamDir + "/su")
	if err != nil {
		t.Fatal(err)
	}
	must(t, "install", "door", "hatch", "su", "--yes")
	if err := errors.Join(os.Remove(door), os.WriteFile(hatch, []byte("auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n@include nowhere\n"), 0o644),
		os.WriteFile(pamDir+"/su", shipped, 0o644)); err != nil {
		t.Fatal(err)
	}
	if out, status := findings(t, "--drift"); status != 2 || !strings.Contains(out, "latch uninstall door") {
		t.Errorf("%d %s", status, out)
	}
	_, errs, status := latch(t, nil, "install", "--repair", "--yes")
	if status != 1 || !strings.Contains(errs, "door is gone") || !strings.Contains(errs, "hatch is not repaired") || !strings.Contains(errs, "not repaired: hatch") {
		t.Errorf("%d %s", status, errs)
	}
	if text, err := os.ReadFile(pamDir + "/su"); err != nil || !strings.Contains(string(text), "pam_latch.so") {
		t.Errorf("su was not repaired: %v", err)
	}
	out, _, status := latch(t, nil, "install", "--repair", "--yes", "--json")
	var answer struct {
		Changed     bool
		NotRepaired []string `json:"not_repaired"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || status != 1 || answer.Changed || !slices.Equal(answer.NotRepaired, []string{"hatch"}) {
		t.Errorf("--json: %v, %d %s", err, status, out)
	}
	if err := os.Remove(hatch); err != nil {
		t.Fatal(err)
	}
	must(t, "install", "--repair", "--yes") // what is gone lets nobody in
	must(t, "uninstall", "--all", "--yes")
	same(t, "uninstalling", before)
}
