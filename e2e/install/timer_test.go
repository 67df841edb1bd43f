package install

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const (
	timerUnit   = "/etc/systemd/system/latch-rollback.timer"
	serviceUnit = "/etc/systemd/system/latch-rollback.service"
)

// TestTimerOfSystemd stands in for the systemd that this machine does not run: it notes what it is told, and the test runs
// what the units say. Whether they are good ones systemd-analyze knows.
func TestTimerOfSystemd(t *testing.T) {
	before := tree(t)
	if err := os.MkdirAll("/run/systemd/system", 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll("/run/systemd")
	const fake, told = "/usr/local/sbin/systemctl", "/run/told"
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho \"$@\" >>"+told+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(fake)
	env := append([]string{"PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/bin"}, overSSH...)
	for _, end := range []string{"its time", "rollback", "uninstall"} {
		if err := os.WriteFile(told, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		after := "2s"
		if end != "its time" {
			after = "1h"
		}
		_, errs, status := latch(t, env, "install", "su", "--yes", "--rollback-after", after)
		if status != 0 || strings.Contains(errs, "no systemd here") {
			t.Fatalf("%d %s", status, errs)
		}
		commands, err := os.ReadFile(told)
		if want := "daemon-reload\nenable latch-rollback.timer\nrestart latch-rollback.timer\n"; err != nil || string(commands) != want {
			t.Errorf("systemctl was told %q, want %q: %v", commands, want, err)
		}
		if out, err := exec.Command("systemd-analyze", "verify", "--man=no", timerUnit, serviceUnit).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze: %v %s", err, out)
		}
		units := read(t, timerUnit) + read(t, serviceUnit)
		for _, want := range []string{"OnActiveSec=", "OnCalendar=20", " UTC\n", "Persistent=true", "WantedBy=timers.target"} {
			if !strings.Contains(units, want) {
				t.Errorf("no %s in %s", want, units)
			}
		}
		switch end {
		case "its time":
			start := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(units)
			if start == nil {
				t.Fatal(units)
			}
			cmd := exec.Command("sh", "-c", start[1])
			cmd.Env = env[:1]
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v %s", start[1], err, out)
			}
		case "rollback":
			latch(t, env, "rollback")
		case "uninstall":
			latch(t, env, "uninstall", "--all", "--yes")
		}
		same(t, end, before)
		for _, unit := range []string{timerUnit, serviceUnit} {
			if _, err := os.Stat(unit); err == nil {
				t.Errorf("%s: %s is left", end, unit)
			}
		}
		if commands := read(t, told); !strings.Contains(commands, "disable --now latch-rollback.timer\n") {
			t.Errorf("%s: systemctl was told %s", end, commands)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
